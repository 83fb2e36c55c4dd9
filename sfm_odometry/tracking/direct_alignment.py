"""Direct image alignment: refines the pose network's motion by the images and the predicted depth.

View synthesis is the networks' training signal; here the same error is minimised over the six
numbers of one motion, coarse to fine, with the gain and offset of brightness and smooth corrections
of the predicted depth. The points are those of the previous frame, sought in the current one, so
the motion does not need the current frame's depth. :mod:`sfm_odometry.tracking.photometric` has the
error and its derivatives, :mod:`sfm_odometry.tracking.direct_solver` the minimisation on one level,
:mod:`sfm_odometry.tracking.depth_deformation` the corrections.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sfm_odometry.errors import InputError
from sfm_odometry.geometry import se3
from sfm_odometry.tracking.depth_deformation import DepthCorrection
from sfm_odometry.tracking.direct_config import AlignmentConfig
from sfm_odometry.tracking.direct_solver import DirectSolver, Residuals, SolverResult, SolverState
from sfm_odometry.tracking.noise_model import motion_information, translation_direction
from sfm_odometry.tracking.pyramid import Pyramid, Targets

__all__ = [
    "AlignmentConfig",
    "RefinedMotion",
    "align_frames",
    "refine_motion",
]

DEFAULT_CONFIG = AlignmentConfig()
MAX_CONDITION = 1e12
"""Greatest condition number, in the 1-norm, of normal equations with a usable solution."""


@dataclass(frozen=True)
class RefinedMotion:
    """Motion after refinement, or the initial motion where the refinement was rejected."""

    previous_from_current: np.ndarray
    """(4, 4) float64."""
    covariance: np.ndarray
    """(6, 6), translation then rotation, in the current camera's axes. Where the initial motion
    was kept, it is as wide as the greatest plausible correction: no measurement, and the caller's
    own model of the initial motion is the better one."""
    converged: bool
    """Whether the motion is refined."""
    reason: str
    """Reason for which the initial motion was kept; empty where it was not."""
    residual_before: float
    """Robust root mean square error of the grey values (0 to 1) at the initial motion, gain and
    offset fitted, on the finest level; NaN if that level was not reached."""
    residual_after: float
    """The same at the refined motion."""
    inliers: float
    """Share of the selected points that lie inside the current image and fit."""
    iterations: int
    depth_correction: tuple[DepthCorrection, np.ndarray] | None = None
    """Correction of the previous frame's depth that fits the images, and its coefficients (K,);
    None where the initial motion was kept."""

    @property
    def length(self) -> float:
        """Length of the translation."""
        return float(np.linalg.norm(self.previous_from_current[:3, 3]))

    @property
    def length_sigma(self) -> float:
        """Standard deviation of the length."""
        direction = translation_direction(self.previous_from_current)
        return float(np.sqrt(direction @ self.covariance[:3, :3] @ direction))


@dataclass(frozen=True)
class _Fit:
    """Quality of a solution on the finest level; residuals as in :class:`RefinedMotion`."""

    residual_before: float
    residual_after: float
    cost_grew: bool
    inliers: float


def refine_motion(
    previous: Tensor,
    current: Tensor,
    depth_previous: Tensor,
    intrinsics: np.ndarray | Tensor,
    previous_from_current: np.ndarray | Tensor,
    weights: Tensor | None = None,
    config: AlignmentConfig = DEFAULT_CONFIG,
) -> RefinedMotion:
    """Refine the motion between two frames of one camera.

    previous, current: (H, W) grey, float in [0, 1] or uint8; depth_previous: (H, W) along z, a
    pixel of NaN, infinity or <= 0 is left out; intrinsics: (3, 3) of both; previous_from_current:
    (4, 4), lengths in the depth's unit; weights: (H, W) of the previous frame, 0 to 1, such as the
    explainability mask. All tensors on one device. Raises InputError for shapes that do not fit.
    """
    # Check the shapes.
    shape = tuple(previous.shape)
    images = {"current": current, "depth_previous": depth_previous, "weights": weights}
    for name, values in images.items():
        if values is not None and (len(shape) != 2 or tuple(values.shape) != shape):
            raise InputError(
                f"refine_motion wants images of one shape (H, W), got previous {shape}"
                f" and {name} {tuple(values.shape)}"
            )
    if tuple(intrinsics.shape) != (3, 3):
        raise InputError(f"intrinsics must be (3, 3), got {tuple(intrinsics.shape)}")

    # Select the points of the previous frame, and align them with the current one.
    initial = torch.as_tensor(previous_from_current).double().cpu().numpy()
    with torch.inference_mode():
        pyramid = Pyramid.from_image(previous, intrinsics, config)
        targets = Targets.from_depth(pyramid, depth_previous, weights, config)
        return align_frames(
            targets, Pyramid.from_image(current, intrinsics, config), initial, config
        )


@torch.inference_mode()
def align_frames(
    previous: Targets,
    current: Pyramid,
    previous_from_current: np.ndarray,
    config: AlignmentConfig = DEFAULT_CONFIG,
) -> RefinedMotion:
    """Refine the motion from a frame with known depth to the next.

    previous_from_current: (4, 4), lengths in the depth's unit. Raises InputError for a matrix that
    is no motion.
    """
    initial = _checked_motion(previous_from_current)
    start = SolverState(se3.inverse(initial), np.zeros(previous.correction.count), np.zeros(2))
    prior_information = _prior_information(start.source_from_target, config)
    state = start
    iterations = 0
    # Coarse to fine; each level starts at the better of its predecessor's result and the start.
    for target, basis, source, max_steps in zip(
        previous.levels, previous.bases, current.views, config.iterations, strict=True
    ):
        points = target.values.numel()
        if points < config.min_points:
            reason = f"too few points: {points} of at least {config.min_points}"
            return _rejected(initial, config, reason, iterations=iterations)
        solver = DirectSolver(
            target, basis, source, start.source_from_target, prior_information, config
        )
        start_residuals = solver.residuals(start)
        state, residuals = _initialised(solver, state, start, start_residuals)
        result = solver.minimise(state, residuals, max_steps)
        state = result.state
        iterations += result.steps
    fit = _evaluate(solver, result, start, start_residuals)
    return _verified(initial, solver, result, fit, previous.correction, iterations)


def _checked_motion(previous_from_current: np.ndarray) -> np.ndarray:
    """Copy of the motion in float64; raises InputError unless it is finite and (4, 4)."""
    motion = np.array(previous_from_current, dtype=np.float64)
    if motion.shape != (4, 4) or not np.isfinite(motion).all():
        raise InputError(
            f"previous_from_current must be a finite (4, 4) matrix, got shape {motion.shape}"
        )
    return motion


def _prior_information(current_from_previous: np.ndarray, config: AlignmentConfig) -> np.ndarray:
    """Information (6, 6) of the initial motion, in the previous camera's axes."""
    return motion_information(
        current_from_previous,
        config.prior_length,
        config.prior_direction,
        config.prior_floor,
        config.prior_rotation_deg,
    )


def _initialised(
    solver: DirectSolver, state: SolverState, start: SolverState, start_residuals: Residuals
) -> tuple[SolverState, Residuals]:
    """Set the solver's weights at the coarser level's state, and choose where to begin.

    Returns this state or the start, the one of the lower cost once the start's brightness is fitted
    too, and its residuals.
    """
    if state is start:
        solver.update_weights(start, start_residuals)
        return start, start_residuals
    residuals = solver.residuals(state)
    solver.update_weights(state, residuals)
    start, start_residuals = solver.fit_brightness(start, start_residuals)
    if solver.cost(state, residuals) <= solver.cost(start, start_residuals):
        return state, residuals
    return start, start_residuals


def _evaluate(
    solver: DirectSolver, result: SolverResult, start: SolverState, start_residuals: Residuals
) -> _Fit:
    """Compare the photometric errors of the solution with those of the start, equally weighted."""
    scale = solver.update_weights(result.state, result.residuals)
    _, residuals_before = solver.fit_brightness(start, start_residuals)
    cost_before = solver.photometric_cost(residuals_before)
    cost_after = solver.photometric_cost(result.residuals)
    independent_points = solver.total_weight / solver.config.correlated_points
    return _Fit(
        residual_before=float(scale * np.sqrt(2 * cost_before / independent_points)),
        residual_after=float(scale * np.sqrt(2 * cost_after / independent_points)),
        cost_grew=cost_after > cost_before,
        inliers=solver.inlier_share(result.residuals),
    )


def _verified(
    initial: np.ndarray,
    solver: DirectSolver,
    result: SolverResult,
    fit: _Fit,
    correction: DepthCorrection,
    iterations: int,
) -> RefinedMotion:
    """Build the refined motion with its covariance, or keep the initial one with the reason."""
    # Reject a poor fit, a singular solution, or an implausible correction.
    config = solver.config
    state = result.state
    information, _ = solver.normal_equations(state, result.residuals)
    covariance = None
    reason = _poor_fit(result, information, fit, config)
    if not reason:
        covariance = _motion_covariance(information)
        reason = _implausibility(initial, solver.difference(state), covariance, config)
    if reason or covariance is None:
        return _rejected(initial, config, reason, fit.residual_before, fit.inliers, iterations)

    # Invert to previous_from_current, with the covariance in the current camera's axes.
    covariance = _in_current_axes(covariance, state.source_from_target, config)
    return RefinedMotion(
        previous_from_current=se3.inverse(state.source_from_target),
        covariance=covariance,
        converged=True,
        reason="",
        residual_before=fit.residual_before,
        residual_after=fit.residual_after,
        inliers=fit.inliers,
        iterations=iterations,
        depth_correction=(correction, state.correction),
    )


def _poor_fit(
    result: SolverResult, information: np.ndarray, fit: _Fit, config: AlignmentConfig
) -> str:
    """Reason for which the solver's result is rejected; empty if none."""
    motion = result.state.source_from_target
    if not np.isfinite(motion).all() or not np.isfinite(information).all():
        return "the alignment is not finite"
    if fit.inliers < config.min_inliers:
        return f"too few inliers: {fit.inliers:.0%} of at least {config.min_inliers:.0%}"
    pixels = result.last_step_pixels
    if pixels > config.converged_pixels:
        return f"not converged: the last step moved the image by {pixels:.2f} pixels"
    gain = 1.0 + float(result.state.brightness[0])
    if not 1.0 / config.max_gain < gain < config.max_gain:
        return f"the images have little in common: a gain of brightness of {gain:.2f}"
    if fit.cost_grew:
        return f"the error grew from {fit.residual_before:.4f} to {fit.residual_after:.4f}"
    return ""


def _motion_covariance(information: np.ndarray) -> np.ndarray | None:
    """Covariance (6, 6) of the motion, or None where the information is near singular."""
    try:
        inverse = np.linalg.inv(information)
    except np.linalg.LinAlgError:
        return None
    condition = np.abs(information).sum(0).max() * np.abs(inverse).sum(0).max()
    return inverse[:6, :6] if condition < MAX_CONDITION else None


def _implausibility(
    initial: np.ndarray,
    difference: np.ndarray,
    covariance: np.ndarray | None,
    config: AlignmentConfig,
) -> str:
    """Reason for which a correction (6,) of the initial motion is rejected; empty if none.

    The correction or its uncertainty exceeds the limits, or it has no covariance.
    """
    undetermined = "the images do not determine the motion"
    if covariance is None:
        return undetermined
    max_length, max_angle_rad = _limits(initial, config)
    length = np.linalg.norm(difference[:3])
    angle_rad = np.linalg.norm(difference[3:])
    if length > max_length or angle_rad > max_angle_rad:
        return f"implausible correction of {length:.2f} and {np.degrees(angle_rad):.2f} deg"
    sigma = np.sqrt(np.trace(covariance[:3, :3]))
    sigma_rad = np.sqrt(np.trace(covariance[3:, 3:]))
    return "" if sigma < max_length and sigma_rad < max_angle_rad else undetermined


def _limits(initial: np.ndarray, config: AlignmentConfig) -> tuple[float, float]:
    """Length and angle in radians of the greatest plausible corrections."""
    length = float(np.linalg.norm(initial[:3, 3]))
    max_length = config.max_translation * length + config.max_translation_floor
    return max_length, float(np.radians(config.max_rotation_deg))


def _in_current_axes(
    covariance: np.ndarray, current_from_previous: np.ndarray, config: AlignmentConfig
) -> np.ndarray:
    """Covariance (6, 6) of the inverse motion, in the current camera's axes.

    covariance: of current_from_previous (4, 4), in the previous camera's axes, from the images.
    """
    # A factor on the whole depth map, and so on the translation, is not observable in the images.
    direction = translation_direction(current_from_previous)
    scale_sigma = config.depth_scale_error * np.linalg.norm(current_from_previous[:3, 3])
    covariance[:3, :3] += scale_sigma**2 * np.outer(direction, direction)

    # T exp(xi) is the inverse of T^-1 exp(-Ad xi): the same error in the current camera's axes.
    adjoint = se3.adjoint(current_from_previous)
    covariance = adjoint @ covariance @ adjoint.T
    symmetric: np.ndarray = (covariance + covariance.T) / 2
    return symmetric


def _rejected(
    initial: np.ndarray,
    config: AlignmentConfig,
    reason: str,
    residual: float = np.nan,
    inliers: float = 0.0,
    iterations: int = 0,
) -> RefinedMotion:
    """Keep the initial motion, with the reason."""
    length, angle_rad = _limits(initial, config)
    return RefinedMotion(
        previous_from_current=initial,
        covariance=np.diag([length**2] * 3 + [angle_rad**2] * 3),
        converged=False,
        reason=reason,
        residual_before=residual,
        residual_after=residual,
        inliers=inliers,
        iterations=iterations,
    )
