"""Direct image alignment at run time: the pose network's motion made more precise by the images themselves and the predicted depth.

View synthesis is the networks' training signal; here the same error is minimised for one pair of frames over the six numbers of the motion
and the gain and offset of brightness, coarse to fine. `sfm_odometry.photometric` has the error and its derivatives,
`sfm_odometry.alignment` the minimisation on one level.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sfm_odometry.alignment import Alignment, Outcome, Pair, PairErrors, State
from sfm_odometry.errors import InputError
from sfm_odometry.photometric import View, select_points
from sfm_odometry.refine_config import RefineConfig

__all__ = ["RefineConfig", "Refinement", "refine_motion"]

DEFAULT_CONFIG = RefineConfig()
MAX_CONDITION = 1e12
"""Normal equations worse conditioned than this have no solution worth the name."""


@dataclass(frozen=True)
class Refinement:
    """A motion after refinement, or as it was given where the images do not support a better one."""

    previous_from_current: np.ndarray
    """(4, 4) float64."""
    covariance: np.ndarray
    """(6, 6), translation then rotation, in the current camera's axes; where the given motion was kept, as wide as the corrections that
    would have been believed: no measurement, so the caller's own model of the given motion is the better one."""
    converged: bool
    reason: str
    """Why the given motion was kept; empty where it was not."""
    residual_before: float
    residual_after: float
    """Robust root mean square error of the grey values (0 to 1), gain and offset fitted, on the finest level; NaN if never there."""
    inliers: float
    """Share of the selected points that lie inside the other image and fit."""
    iterations: int


@torch.inference_mode()
def refine_motion(
    current: Tensor,
    previous: Tensor,
    depth_current: Tensor,
    intrinsics: np.ndarray | Tensor,
    previous_from_current: np.ndarray | Tensor,
    weights: Tensor | None = None,
    config: RefineConfig = DEFAULT_CONFIG,
    depth_previous: Tensor | None = None,
) -> Refinement:
    """Refine the motion between two frames of one camera.

    current, previous: (H, W) grey, float in [0, 1] or uint8; depth_current: (H, W) along z, a pixel of NaN, infinity or <= 0 is left out;
    intrinsics: (3, 3) of both; previous_from_current: (4, 4), lengths in the depth's unit; weights: (H, W) of the current frame, 0 to 1,
    such as the explainability mask; depth_previous: the previous frame's depth: where given, its pixels are sought in the current frame as
    well. All tensors on one device. Raises InputError for shapes that do not fit.
    """
    given = torch.as_tensor(previous_from_current).double().cpu().numpy().copy()
    views = _views(current, previous, depth_current, depth_previous, weights, intrinsics)
    if given.shape != (4, 4) or not np.isfinite(given).all():
        raise InputError(f"previous_from_current must be a finite (4, 4) matrix, got shape {given.shape}")
    prior = _prior(given, config)
    start = state = State(given, np.zeros((1 if depth_previous is None else 2, 2)))
    iterations = 0
    for level, block, most in zip(config.levels, config.blocks, config.iterations, strict=True):
        alignment = Alignment(_pairs(views, level, block, config), given, prior, config)
        if alignment.points < config.min_points:
            return _kept(given, config, f"too few points: {alignment.points} of at least {config.min_points}", iterations=iterations)
        errors = alignment.errors(state)
        alignment.weigh(state, errors)
        if state is not start:
            state, errors = _better(alignment, (state, errors), (start, alignment.errors(start)))
        outcome = alignment.minimise(state, errors, most)
        state, iterations = outcome.state, iterations + outcome.steps
    return _verdict(alignment, start, outcome, iterations)


def _views(
    current: Tensor,
    previous: Tensor,
    depth_current: Tensor,
    depth_previous: Tensor | None,
    weights: Tensor | None,
    intrinsics: np.ndarray | Tensor,
) -> tuple[View, View]:
    """The current and the previous view at full size."""
    shape = tuple(current.shape)
    others = {"previous": previous, "depth_current": depth_current, "depth_previous": depth_previous, "weights": weights}
    for name, values in others.items():
        if values is not None and (len(shape) != 2 or tuple(values.shape) != shape):
            raise InputError(f"refine_motion wants images of one shape (H, W), got current {shape} and {name} {tuple(values.shape)}")
    if tuple(intrinsics.shape) != (3, 3):
        raise InputError(f"intrinsics must be (3, 3), got {tuple(intrinsics.shape)}")
    camera = (float(intrinsics[0, 0]), float(intrinsics[1, 1]), float(intrinsics[0, 2]), float(intrinsics[1, 2]))
    weights = None if weights is None else weights.float()
    return (
        View(_grey(current), _inverse_depth(depth_current), weights, camera),
        View(_grey(previous), None if depth_previous is None else _inverse_depth(depth_previous), None, camera),
    )


def _grey(image: Tensor) -> Tensor:
    return image.float() / 255.0 if image.dtype == torch.uint8 else image.float()


def _inverse_depth(depth: Tensor) -> Tensor:
    """1 / depth, NaN where the depth is unknown."""
    inverse = 1.0 / depth.float()
    return inverse.masked_fill_(~((inverse > 0) & (inverse < torch.inf)), torch.nan)


def _pairs(views: tuple[View, View], level: int, block: int, config: RefineConfig) -> list[Pair]:
    current, previous = views[0].reduced(level), views[1].reduced(level)
    pairs = [Pair(select_points(current, block, config.min_gradient), previous, backward=False)]
    if previous.inverse_depth is not None:
        pairs.append(Pair(select_points(previous, block, config.min_gradient), current, backward=True))
    return pairs


def _prior(given: np.ndarray, config: RefineConfig) -> np.ndarray:
    """Information (6, 6) that the given motion brings along, in the current camera's axes.

    Along the translation the images see only its length over the depth's scale: there the two uncertainties add up; `_share_length` parts
    them again.
    """
    information = np.zeros((6, 6))
    translation = given[:3, :3].T @ given[:3, 3]
    length = float(np.linalg.norm(translation))
    along = np.outer(translation, translation) / max(length, 1e-12) ** 2
    if config.prior_length > 0:
        share = np.hypot(config.prior_length, config.depth_scale_error)
        information[:3, :3] += along / (share * length + config.prior_floor + 1e-9) ** 2
    if config.prior_direction > 0:
        information[:3, :3] += (np.eye(3) - along) / (config.prior_direction * length + config.prior_floor + 1e-9) ** 2
    if config.prior_rotation_deg > 0:
        information[3:, 3:] = np.eye(3) / np.radians(config.prior_rotation_deg) ** 2
    return information


def _better(
    alignment: Alignment, first: tuple[State, list[PairErrors]], second: tuple[State, list[PairErrors]]
) -> tuple[State, list[PairErrors]]:
    """The one of the lower cost, once the second one's brightness is fitted too."""
    second = alignment.fit_brightness(*second)
    return first if alignment.cost(*first) <= alignment.cost(*second) else second


def _verdict(alignment: Alignment, start: State, outcome: Outcome, iterations: int) -> Refinement:
    """The refined motion, if it is to be believed, else the given one."""
    config, state, errors = alignment.config, outcome.state, outcome.errors
    scale = alignment.weigh(state, errors)[0]
    information, _ = alignment.normal_equations(state, errors)
    _, errors_before = alignment.fit_brightness(start, alignment.errors(start))
    cost, cost_before = alignment.photometric_cost(errors), alignment.photometric_cost(errors_before)
    residual_before, residual_after = (
        float(scale * np.sqrt(2 * c * config.correlated_points / alignment.weight)) for c in (cost_before, cost)
    )
    inliers = alignment.inliers(errors)
    reason, covariance = _doubt(outcome, information, inliers, config), np.eye(6)
    if not reason and cost > cost_before:
        reason = f"the error grew from {residual_before:.4f} to {residual_after:.4f}"
    if not reason:
        covariance = np.linalg.inv(information)[:6, :6]
        reason = _limits_exceeded(alignment.given, alignment.difference(state), covariance, config)
    if reason:
        return _kept(alignment.given, config, reason, residual_before, inliers, iterations)
    difference, covariance = _share_length(alignment.given, alignment.difference(state), covariance, config)
    motion = State(alignment.given, state.brightness).moved(np.concatenate([difference, np.zeros(state.brightness.size)]))
    return Refinement(motion.previous_from_current, covariance, True, "", residual_before, residual_after, inliers, iterations)


def _doubt(outcome: Outcome, information: np.ndarray, inliers: float, config: RefineConfig) -> str:
    """Why the alignment itself is not believed, or nothing."""
    if not np.isfinite(outcome.state.previous_from_current).all() or not np.isfinite(information).all():
        return "the alignment is not finite"
    if inliers < config.min_inliers:
        return f"too few inliers: {inliers:.0%} of at least {config.min_inliers:.0%}"
    if outcome.last_pixels > config.converged_pixels:
        return f"not converged: the last step moved the image by {outcome.last_pixels:.2f} pixels"
    gain = 1.0 + float(outcome.state.brightness[0, 0])
    if not 1.0 / config.max_gain < gain < config.max_gain:
        return f"the images have little in common: a gain of brightness of {gain:.2f}"
    if np.linalg.cond(information) > MAX_CONDITION:
        return "the images do not determine the motion"
    return ""


def _limits_exceeded(given: np.ndarray, difference: np.ndarray, covariance: np.ndarray, config: RefineConfig) -> str:
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
    return config.max_translation * length + config.max_translation_floor, float(np.radians(config.max_rotation_deg))


def _share_length(given: np.ndarray, difference: np.ndarray, covariance: np.ndarray, config: RefineConfig) -> tuple[np.ndarray, np.ndarray]:
    """The difference (6,) and covariance (6, 6) once the change of length is shared between a wrong given length and a wrong depth scale.

    With standard deviations p of the length and s of the depth's scale, p^2 / (p^2 + s^2) of the change is the length's, and
    p^2 s^2 / (p^2 + s^2) stays unknown.
    """
    translation = given[:3, :3].T @ given[:3, 3]
    length = float(np.linalg.norm(translation))
    along = np.outer(translation, translation) / max(length, 1e-12) ** 2
    length_variance = config.prior_length**2 if config.prior_length > 0 else np.inf
    share = 1.0 / (1.0 + config.depth_scale_error**2 / length_variance)
    keep = np.eye(6)
    keep[:3, :3] -= (1.0 - share) * along
    shared = keep @ covariance @ keep.T
    shared[:3, :3] += share * (config.depth_scale_error * length) ** 2 * along
    return keep @ difference, (shared + shared.T) / 2


def _kept(
    given: np.ndarray, config: RefineConfig, reason: str, residual: float = np.nan, inliers: float = 0.0, iterations: int = 0
) -> Refinement:
    """The motion as it was given."""
    length, angle_rad = _limits(given, config)
    covariance = np.diag([length**2] * 3 + [angle_rad**2] * 3)
    return Refinement(given, covariance, False, reason, residual, residual, inliers, iterations)
