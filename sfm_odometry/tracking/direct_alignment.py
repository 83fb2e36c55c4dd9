"""Direct image alignment at run time: the pose network's motion made more precise by the images
themselves and the predicted depth.

ImageView synthesis is the networks' training signal; here the same error is minimised over the six
numbers of one motion, coarse to fine, with the gain and offset of brightness and smooth corrections
of the predicted depth. The points are those of the previous frame, sought in the current one: a
motion is there before the current frame's depth is. `sfm_odometry.tracking.photometric` has the
error and its derivatives, `sfm_odometry.tracking.direct_solver` the minimisation on one level,
`sfm_odometry.tracking.depth_deformation` the corrections.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sfm_odometry.errors import InputError
from sfm_odometry.tracking.depth_deformation import DepthCorrection
from sfm_odometry.tracking.direct_config import RefineConfig
from sfm_odometry.tracking.direct_solver import DirectSolver, Errors, Outcome, SolverState
from sfm_odometry.tracking.pyramid import Pyramid, Targets
from sfm_odometry.tracking.trajectory import adjoint, invert_rigid

__all__ = ["RefineConfig", "Refinement", "align_frames", "motion_information", "refine_motion"]

DEFAULT_CONFIG = RefineConfig()
MAX_CONDITION = 1e12
"""Normal equations worse conditioned than this, in the 1-norm, have no solution worth the name."""


@dataclass(frozen=True)
class Refinement:
    """A motion after refinement, or as it was given where the images do not support a better
    one."""

    previous_from_current: np.ndarray
    """(4, 4) float64."""
    covariance: np.ndarray
    """(6, 6), translation then rotation, in the current camera's axes; where the given motion
    was kept, as wide as the corrections that would have been believed: no measurement, so the
    caller's own model of the given motion is the better one."""
    converged: bool
    reason: str
    """Why the given motion was kept; empty where it was not."""
    residual_before: float
    residual_after: float
    """Robust root mean square error of the grey values (0 to 1), gain and offset fitted, on the
    finest level; NaN if never there."""
    inliers: float
    """Share of the selected points that lie inside the current image and fit."""
    iterations: int
    depth_correction: tuple[DepthCorrection, np.ndarray] | None = None
    """How the previous frame's depth had to be changed to fit the images; None where the given
    motion was kept."""

    @property
    def length(self) -> float:
        """Length of the translation."""
        return float(np.linalg.norm(self.previous_from_current[:3, 3]))

    @property
    def length_sigma(self) -> float:
        """Standard deviation of the length."""
        along = _along(self.previous_from_current)
        return float(np.sqrt(along @ self.covariance[:3, :3] @ along))


def refine_motion(
    previous: Tensor,
    current: Tensor,
    depth_previous: Tensor,
    intrinsics: np.ndarray | Tensor,
    previous_from_current: np.ndarray | Tensor,
    weights: Tensor | None = None,
    config: RefineConfig = DEFAULT_CONFIG,
) -> Refinement:
    """Refine the motion between two frames of one camera.

    previous, current: (H, W) grey, float in [0, 1] or uint8; depth_previous: (H, W) along z, a
    pixel of NaN, infinity or <= 0 is left out; intrinsics: (3, 3) of both; previous_from_current:
    (4, 4), lengths in the depth's unit; weights: (H, W) of the previous frame, 0 to 1, such as the
    explainability mask. All tensors on one device. Raises InputError for shapes that do not fit.
    """
    shape = tuple(previous.shape)
    for name, values in {
        "current": current,
        "depth_previous": depth_previous,
        "weights": weights,
    }.items():
        if values is not None and (len(shape) != 2 or tuple(values.shape) != shape):
            raise InputError(
                f"refine_motion wants images of one shape (H, W), got previous {shape} and {name} {tuple(values.shape)}"
            )
    if tuple(intrinsics.shape) != (3, 3):
        raise InputError(f"intrinsics must be (3, 3), got {tuple(intrinsics.shape)}")
    given = torch.as_tensor(previous_from_current).double().cpu().numpy()
    with torch.inference_mode():
        targets = Targets.of(
            Pyramid.of(previous, intrinsics, config), depth_previous, weights, config
        )
        return align_frames(targets, Pyramid.of(current, intrinsics, config), given, config)


@torch.inference_mode()
def align_frames(
    previous: Targets,
    current: Pyramid,
    previous_from_current: np.ndarray,
    config: RefineConfig = DEFAULT_CONFIG,
) -> Refinement:
    """Refine the motion from a frame whose depth is known to the next.

    previous_from_current: (4, 4), lengths in the depth's unit. Raises InputError for one that is no
    motion.
    """
    given = np.array(previous_from_current, dtype=np.float64)
    if given.shape != (4, 4) or not np.isfinite(given).all():
        raise InputError(
            f"previous_from_current must be a finite (4, 4) matrix, got shape {given.shape}"
        )
    inverse = invert_rigid(given)
    prior = motion_information(
        inverse,
        config.prior_length,
        config.prior_direction,
        config.prior_floor,
        config.prior_rotation_deg,
    )
    start = state = SolverState(inverse, np.zeros(previous.correction.count), np.zeros(2))
    iterations = 0
    for target, basis, source, most in zip(
        previous.levels, previous.bases, current.views, config.iterations, strict=True
    ):
        if target.values.numel() < config.min_points:
            return _kept(
                given,
                config,
                f"too few points: {target.values.numel()} of at least {config.min_points}",
                iterations=iterations,
            )
        alignment = DirectSolver(target, basis, source, inverse, prior, config)
        at_start = alignment.errors(start)
        errors = at_start if state is start else alignment.errors(state)
        alignment.weigh(state, errors)
        if state is not start:
            state, errors = _better(alignment, (state, errors), (start, at_start))
        outcome = alignment.minimise(state, errors, most)
        state, iterations = outcome.state, iterations + outcome.steps
    return _verdict(given, alignment, previous.correction, (start, at_start), outcome, iterations)


def _along(motion: np.ndarray) -> np.ndarray:
    """Direction (3,) of a motion b_from_a (4, 4) in a's axes; zero where it does not move."""
    translation = motion[:3, :3].T @ motion[:3, 3]
    direction: np.ndarray = translation / max(float(np.linalg.norm(translation)), 1e-12)
    return direction


def motion_information(
    motion: np.ndarray, length: float, direction: float, floor: float, rotation_deg: float
) -> np.ndarray:
    """Information (6, 6), in a's axes, of a motion b_from_a (4, 4) known to standard deviations; 0
    = that says nothing.

    length, direction: along and across its translation, as shares of its length, with `floor`
    added; rotation_deg: of each angle.
    """
    information = np.zeros((6, 6))
    far = float(np.linalg.norm(motion[:3, 3]))
    along = np.outer(_along(motion), _along(motion))
    if length > 0:
        information[:3, :3] += along / (length * far + floor + 1e-9) ** 2
    if direction > 0:
        information[:3, :3] += (np.eye(3) - along) / (direction * far + floor + 1e-9) ** 2
    if rotation_deg > 0:
        information[3:, 3:] = np.eye(3) / np.radians(rotation_deg) ** 2
    return information


def _better(
    alignment: DirectSolver, first: tuple[SolverState, Errors], second: tuple[SolverState, Errors]
) -> tuple[SolverState, Errors]:
    """The one of the lower cost, once the second one's brightness is fitted too."""
    second = alignment.fit_brightness(*second)
    return first if alignment.cost(*first) <= alignment.cost(*second) else second


def _verdict(
    given: np.ndarray,
    alignment: DirectSolver,
    correction: DepthCorrection,
    start: tuple[SolverState, Errors],
    outcome: Outcome,
    iterations: int,
) -> Refinement:
    """The refined motion, if it is to be believed, else the given one."""
    config, state, errors = alignment.config, outcome.state, outcome.errors
    scale = alignment.weigh(state, errors)
    information, _ = alignment.normal_equations(state, errors)
    _, errors_before = alignment.fit_brightness(*start)
    cost, cost_before = (
        alignment.photometric_cost(errors),
        alignment.photometric_cost(errors_before),
    )
    points = alignment.weight / config.correlated_points
    residual_before, residual_after = (
        float(scale * np.sqrt(2 * c / points)) for c in (cost_before, cost)
    )
    inliers = alignment.inliers(errors)
    reason, covariance = _doubt(outcome, information, inliers, config), np.eye(6)
    if not reason and cost > cost_before:
        reason = f"the error grew from {residual_before:.4f} to {residual_after:.4f}"
    if not reason:
        doubt = _inverse(information)
        covariance = doubt[:6, :6]
        if not np.abs(information).sum(0).max() * np.abs(doubt).sum(0).max() < MAX_CONDITION:
            reason = "the images do not determine the motion"
        else:
            reason = _limits_exceeded(given, alignment.difference(state), covariance, config)
    if reason:
        return _kept(given, config, reason, residual_before, inliers, iterations)
    current_from_previous = state.source_from_target
    along = _along(current_from_previous)
    # One factor on the whole depth map, and so on the translation, no alignment of images can see.
    covariance[:3, :3] += (
        config.depth_scale_error * np.linalg.norm(current_from_previous[:3, 3])
    ) ** 2 * np.outer(along, along)
    # T exp(xi) is the inverse of T^-1 exp(-Ad xi): the same doubt in the current camera's axes.
    carry = adjoint(current_from_previous)
    covariance = carry @ covariance @ carry.T
    covariance = (covariance + covariance.T) / 2
    motion = invert_rigid(current_from_previous)
    return Refinement(
        motion,
        covariance,
        True,
        "",
        residual_before,
        residual_after,
        inliers,
        iterations,
        (correction, state.correction),
    )


def _doubt(outcome: Outcome, information: np.ndarray, inliers: float, config: RefineConfig) -> str:
    """Why the alignment itself is not believed, or nothing."""
    if (
        not np.isfinite(outcome.state.source_from_target).all()
        or not np.isfinite(information).all()
    ):
        return "the alignment is not finite"
    if inliers < config.min_inliers:
        return f"too few inliers: {inliers:.0%} of at least {config.min_inliers:.0%}"
    if outcome.last_pixels > config.converged_pixels:
        return f"not converged: the last step moved the image by {outcome.last_pixels:.2f} pixels"
    gain = 1.0 + float(outcome.state.brightness[0])
    if not 1.0 / config.max_gain < gain < config.max_gain:
        return f"the images have little in common: a gain of brightness of {gain:.2f}"
    return ""


def _inverse(information: np.ndarray) -> np.ndarray:
    """The inverse, infinite where there is none."""
    try:
        return np.linalg.inv(information)
    except np.linalg.LinAlgError:
        return np.full_like(information, np.inf)


def _limits_exceeded(
    given: np.ndarray, difference: np.ndarray, covariance: np.ndarray, config: RefineConfig
) -> str:
    """Whether the correction (6,) or its uncertainty (6, 6) is larger than is believed."""
    farthest, widest_rad = _limits(given, config)
    length, angle_rad = np.linalg.norm(difference[:3]), np.linalg.norm(difference[3:])
    if length > farthest or angle_rad > widest_rad:
        return f"implausible correction of {length:.2f} and {np.degrees(angle_rad):.2f} deg"
    sigma, sigma_rad = np.sqrt(np.trace(covariance[:3, :3])), np.sqrt(np.trace(covariance[3:, 3:]))
    if not (sigma < farthest and sigma_rad < widest_rad):
        return "the images do not determine the motion"
    return ""


def _limits(given: np.ndarray, config: RefineConfig) -> tuple[float, float]:
    """Length and angle in radians of the largest corrections that are believed."""
    length = float(np.linalg.norm(given[:3, 3]))
    return config.max_translation * length + config.max_translation_floor, float(
        np.radians(config.max_rotation_deg)
    )


def _kept(
    given: np.ndarray,
    config: RefineConfig,
    reason: str,
    residual: float = np.nan,
    inliers: float = 0.0,
    iterations: int = 0,
) -> Refinement:
    """The motion as it was given."""
    length, angle_rad = _limits(given, config)
    covariance = np.diag([length**2] * 3 + [angle_rad**2] * 3)
    return Refinement(given, covariance, False, reason, residual, residual, inliers, iterations)
