"""Bundle adjustment of two views: the camera's motion and the inverse depths of tracked points.

A keypoint at p_i in the previous frame has the inverse depth rho0_i of standard deviation sigma_i,
and is tracked to q_i in the current frame. The motion T = previous_from_current and the inverse
depths rho_i minimise

    sum_i w_i [C(|q_i - pi(T^-1 X_i(rho_i))| / s) + C((rho_i - rho0_i) / sigma_i)] + 1/2 d^T P d

with Cauchy's robust norm C, the weights w_i of the points, the robust scale s in pixels, and the
prior's information P on the small motion d from the prior's motion to T.

Each Gauss-Newton step is x_m (6,) of the motion and x_d (N,) of the inverse depths. With the
residuals r = q - pi, their Jacobians J_m = dr / dx_m and J_d = dr / dx_d, and the robust weights W
of the residuals and W_d of the inverse depths:

    [H_mm    H_md] [x_m]     [g_m]      H_mm = J_m^T W J_m + P    g_m = J_m^T W r + P d
    [H_md^T  H_dd] [x_d] = - [g_d]      H_dd = J_d^T W J_d + W_d  g_d = J_d^T W r + W_d (rho - rho0)
                                        H_md = J_m^T W J_d

H_dd is diagonal, as each inverse depth belongs to one point, so the inverse depths are eliminated
by the Schur complement (Triggs et al., Bundle adjustment: a modern synthesis, section 6.1):

    (H_mm - H_md H_dd^-1 H_md^T) x_m = -(g_m - H_md H_dd^-1 g_d)
                                 x_d = -H_dd^-1 (g_d + H_md^T x_m)

A point of doubtful depth still constrains the motion by its epipolar line, which determines the
rotation; a point of known depth also determines the length of the translation.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from sfm_odometry.geometry import se3

MAX_ITERATIONS = 10
STOP_RAD = 1e-5
"""Iteration ends after a step that turns the camera by less than this about each axis."""
MIN_DEPTH_SHARE = 0.1
"""Least depth at which points are projected, as a share of the median depth."""
MEDIAN_TO_SIGMA = 0.8493
"""Standard deviation of either coordinate over the median length of a normal error in the plane."""
MIN_TRANSLATION = 1e-3
"""Shorter translations count as this long where the bias of their length is cancelled."""
MIN_INVERSE_DEPTH_RATIO = 0.3
"""Least inverse depth after an iteration, as a share of the one before it."""


@dataclass(frozen=True)
class Correspondences:
    """Keypoints of the previous frame and where they were tracked to in the current one."""

    previous: np.ndarray
    """(N, 2) pixels."""
    current: np.ndarray
    """(N, 2) pixels."""
    inverse_depth: np.ndarray
    """(N,) in the previous frame."""
    sigma: np.ndarray
    """Standard deviations (N,) of the inverse depths."""
    weights: np.ndarray | float = 1.0
    """Weights (N,), or one of all: a point of weight 2 counts as two points."""


@dataclass(frozen=True)
class MotionPrior:
    """Motion expected before the points are looked at, as a Gaussian."""

    previous_from_current: np.ndarray
    """(4, 4)."""
    information: np.ndarray
    """(6, 6) in the current camera's axes, translation then rotation."""


@dataclass(frozen=True)
class RobustNorm:
    """Cauchy's norm of the reprojection errors and of the inverse depths."""

    threshold: float
    """Of the reprojection errors, in standard deviations."""
    depth_threshold: float
    """Of the inverse depths, in standard deviations."""
    noise_floor: float
    """Least robust scale s of the reprojection errors, pixels."""


@dataclass(frozen=True)
class BundleAdjustmentResult:
    """Motion and inverse depths that minimise the cost."""

    previous_from_current: np.ndarray
    """(4, 4) float64."""
    information: np.ndarray
    """(6, 6) of a small motion in the current camera's axes, translation then rotation, as if
    the points' errors were independent; the prior's is part of it."""
    inverse_depth: np.ndarray
    """(N,) in the previous frame."""
    variance: np.ndarray
    """(N,) of the inverse depths, given the motion."""
    errors: np.ndarray
    """Reprojection errors (N,), pixels."""
    scale: float
    """Robust standard deviation of either coordinate of the errors, pixels."""


@dataclass(frozen=True)
class Linearisation:
    """Residuals and their Jacobians at one motion and one set of inverse depths."""

    r: np.ndarray
    """Residuals q - pi (2, N), pixels."""
    J_m: np.ndarray
    """(6, 2, N) by a small motion in the current camera's axes, translation then rotation."""
    J_d: np.ndarray
    """(2, N) by each point's own inverse depth."""

    @cached_property
    def J_d_squared(self) -> np.ndarray:
        """J_d^T J_d (N,) of each point."""
        squared: np.ndarray = (self.J_d**2).sum(0)
        return squared

    @cached_property
    def J_d_r(self) -> np.ndarray:
        """J_d^T r (N,) of each point."""
        product: np.ndarray = (self.J_d * self.r).sum(0)
        return product


@dataclass(frozen=True)
class _RobustWeights:
    """Weights of the squared residuals by Cauchy's norm, at one linearisation."""

    reprojection: np.ndarray
    """(N,), 1 / pixels^2."""
    depth: np.ndarray
    """(N,), in units of 1 / inverse depth^2."""
    errors: np.ndarray
    """Reprojection errors (N,), pixels."""
    scale: float
    """Robust standard deviation s of either coordinate of the errors, pixels."""


@dataclass(frozen=True)
class _NormalEquations:
    """Normal equations of one Gauss-Newton step.

    The weight w_i of a point cancels in the equation of its own inverse depth: H_md, H_dd and g_d
    are without it, H_mm and g_m with it.
    """

    H_mm: np.ndarray
    """(6, 6)."""
    H_md: np.ndarray
    """(6, N)."""
    H_dd: np.ndarray
    """(N,), the diagonal."""
    g_m: np.ndarray
    """(6,)."""
    g_d: np.ndarray
    """(N,)."""

    def with_prior(self, prior: MotionPrior, motion: np.ndarray) -> "_NormalEquations":
        """Add the prior's term 1/2 d^T P d at a motion (4, 4)."""
        d = _difference(prior.previous_from_current, motion)
        H_mm = self.H_mm + prior.information
        return replace(self, H_mm=H_mm, g_m=self.g_m + prior.information @ d)

    def reduced(self, point_weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Schur complement (6, 6) of H_dd, and the gradient (6,) without the inverse depths."""
        H_md_over_H_dd = self.H_md * (point_weights / self.H_dd)
        return self.H_mm - H_md_over_H_dd @ self.H_md.T, self.g_m - H_md_over_H_dd @ self.g_d

    def depth_step(self, x_m: np.ndarray) -> np.ndarray:
        """Step x_d (N,) of the inverse depths that goes with the step x_m (6,) of the motion."""
        return -(self.g_d + x_m @ self.H_md) / self.H_dd


def align_tracks(
    points: Correspondences, intrinsics: np.ndarray, prior: MotionPrior, norm: RobustNorm
) -> BundleAdjustmentResult:
    """Estimate the motion and the inverse depths of N >= 3 points, starting at the prior's motion.

    intrinsics: (3, 3) of both frames.
    """
    rays = pixel_rays(points.previous, intrinsics)
    keypoints = np.ascontiguousarray(points.current.T)
    point_weights = np.broadcast_to(points.weights, len(points.previous))
    motion = prior.previous_from_current.copy()
    inverse_depth = points.inverse_depth.copy()
    for _ in range(MAX_ITERATIONS):
        # Linearise the residuals, and weight them by the robust norm.
        linear = linearise(rays, inverse_depth, keypoints, motion, intrinsics)
        depth_change = inverse_depth - points.inverse_depth
        weights = _robust_weights(linear.r, depth_change, points.sigma, point_weights, norm)

        # Build the normal equations, and eliminate the inverse depths.
        equations = _normal_equations(linear, weights, depth_change, point_weights)
        equations = equations.with_prior(prior, motion)
        information, gradient = equations.reduced(point_weights)
        gradient[:3] += _length_bias_gradient(
            motion, linear, weights, depth_change, equations.H_dd, point_weights
        )

        # Step the motion, then the inverse depths.
        x_m = -np.linalg.solve(information, gradient)
        motion = perturb(motion, x_m)
        stepped = inverse_depth + equations.depth_step(x_m)
        inverse_depth = np.maximum(stepped, MIN_INVERSE_DEPTH_RATIO * inverse_depth)
        if np.abs(x_m[3:]).max() < STOP_RAD:
            break
    motion[:3, :3] = se3.nearest_rotation(motion[:3, :3])
    variance = 1.0 / equations.H_dd
    return BundleAdjustmentResult(
        motion, information, inverse_depth, variance, weights.errors, weights.scale
    )


def project(
    keypoints: np.ndarray,
    inverse_depth: np.ndarray,
    previous_from_current: np.ndarray,
    intrinsics: np.ndarray,
) -> np.ndarray:
    """Project keypoints (N, 2) of the previous frame into the current one: (N, 2), pixels.

    inverse_depth: (N,) in the previous frame; previous_from_current: (4, 4); intrinsics: (3, 3).
    """
    points = _transform_points(
        pixel_rays(keypoints, intrinsics), inverse_depth, previous_from_current
    )
    return (points[:2] / points[2]).T * intrinsics[[0, 1], [0, 1]] + intrinsics[:2, 2]


def inverse_depth_after(
    keypoints: np.ndarray,
    inverse_depth: np.ndarray,
    variance: np.ndarray,
    previous_from_current: np.ndarray,
    intrinsics: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Propagate inverse depths (N,) and their variances (N,) to the current frame.

    keypoints: (N, 2) pixels of the previous frame. An inverse depth <= 0 is that of a point behind
    the current camera. With the point at ray / rho, its depth in the current frame is a / rho + b.
    So rho' = rho / (a + b rho), and d rho' / d rho = a / (a + b rho)^2.
    """
    current_from_previous = se3.inverse(previous_from_current)
    a = current_from_previous[2, :3] @ pixel_rays(keypoints, intrinsics)
    divisor = a + current_from_previous[2, 3] * inverse_depth
    divisor = np.where(np.abs(divisor) < 1e-9, 1e-9, divisor)
    return inverse_depth / divisor, variance * (a / divisor**2) ** 2


def pixel_rays(pixels: np.ndarray, intrinsics: np.ndarray) -> np.ndarray:
    """Rays (3, N) with z = 1 of pixels (N, 2)."""
    rays = np.ones((3, len(pixels)))
    rays[:2] = ((pixels - intrinsics[:2, 2]) / intrinsics[[0, 1], [0, 1]]).T
    return rays


def _transform_points(
    rays: np.ndarray, inverse_depth: np.ndarray, motion: np.ndarray
) -> np.ndarray:
    """Points (3, N) in the current camera's frame, none of them at or behind the camera."""
    points: np.ndarray = motion[:3, :3].T @ (rays / inverse_depth - motion[:3, 3:])
    np.maximum(points[2], MIN_DEPTH_SHARE / float(np.median(inverse_depth)), out=points[2])
    return points


def linearise(
    rays: np.ndarray,
    inverse_depth: np.ndarray,
    keypoints: np.ndarray,
    motion: np.ndarray,
    intrinsics: np.ndarray,
) -> Linearisation:
    """Compute residuals and Jacobians for rays (3, N) tracked to keypoints (2, N).

    A small motion xi = (v, w) in the current camera's axes, T exp(xi), moves the points X of that
    frame to X - v - w x X = X - v + X x w.
    """
    # Residuals at the projections u = fx x / z + cx, v = fy y / z + cy.
    points = _transform_points(rays, inverse_depth, motion)
    focal = intrinsics[[0, 1], [0, 1], None]
    directions = points[:2] / points[2]
    r = keypoints - (directions * focal + intrinsics[:2, 2:])

    # Jacobian by the inverse depth, which moves a point along its ray.
    J_m = _motion_jacobian(points, directions, focal)
    ray_direction = motion[:3, :3].T @ rays / inverse_depth**2
    J_d = J_m[2] * ray_direction[2]
    J_d[0] += J_m[0, 0] * ray_direction[0]
    J_d[1] += J_m[1, 1] * ray_direction[1]
    return Linearisation(r, J_m, J_d)


def _motion_jacobian(points: np.ndarray, directions: np.ndarray, focal: np.ndarray) -> np.ndarray:
    """Jacobian J_m (6, 2, N) of the residuals of points (3, N) in the current camera's frame.

    directions: (2, N) = x / z and y / z; focal: (2, 1) = fx and fy.
    """
    # By the translation: u depends on x and z, v on y and z.
    x, y, z = points
    J_m = np.zeros((6, 2, points.shape[1]))
    by_x = J_m[0, 0]
    by_y = J_m[1, 1]
    by_z = J_m[2]
    np.divide(focal[0], z, out=by_x)
    np.divide(focal[1], z, out=by_y)
    np.multiply(directions, J_m[[0, 1], [0, 1]], out=by_z)
    np.negative(by_z, out=by_z)

    # By the rotation, X x w.
    np.multiply(by_z, y, out=J_m[3])
    J_m[3, 1] -= focal[1]  # by_y z
    np.multiply(by_z, -x, out=J_m[4])
    J_m[4, 0] += focal[0]  # by_x z
    np.multiply(by_x, -y, out=J_m[5, 0])
    np.multiply(by_y, x, out=J_m[5, 1])
    return J_m


def perturb(motion: np.ndarray, xi: np.ndarray) -> np.ndarray:
    """Apply a small motion xi (6,), in the current camera's axes, to a motion T (4, 4): T exp(xi).

    To first order: the translation of xi is not turned by its rotation.
    """
    increment = np.eye(4)
    increment[:3, :3] = se3.so3_exp(xi[3:])
    increment[:3, 3] = xi[:3]
    result: np.ndarray = motion @ increment
    return result


def _difference(reference: np.ndarray, motion: np.ndarray) -> np.ndarray:
    """Small motion (6,) from a reference to a motion, both (4, 4), in the current camera's axes."""
    change = se3.inverse(reference) @ motion
    return np.concatenate([change[:3, 3], se3.so3_log(change[:3, :3])])


def _robust_weights(
    r: np.ndarray,
    depth_change: np.ndarray,
    sigma: np.ndarray,
    point_weights: np.ndarray,
    norm: RobustNorm,
) -> _RobustWeights:
    """Weight the residuals r (2, N) and the changes (N,) of the inverse depths by Cauchy's norm."""
    squared = (r**2).sum(0)
    errors = np.sqrt(squared)
    scale = max(MEDIAN_TO_SIGMA * _weighted_median(errors, point_weights), norm.noise_floor)
    reprojection = 1.0 / (scale**2 + squared / norm.threshold**2)
    information = 1.0 / sigma**2
    depth = information / (1.0 + depth_change**2 * (information / norm.depth_threshold**2))
    return _RobustWeights(reprojection, depth, errors, scale)


def _normal_equations(
    linear: Linearisation,
    weights: _RobustWeights,
    depth_change: np.ndarray,
    point_weights: np.ndarray,
) -> _NormalEquations:
    """Normal equations of the reprojection errors and the inverse depths, without the prior."""
    W = weights.reprojection
    H_dd = W * linear.J_d_squared + weights.depth
    g_d = W * linear.J_d_r + weights.depth * depth_change
    H_md = (linear.J_m * linear.J_d).sum(1) * W
    J_m_W = (linear.J_m * (point_weights * W)).reshape(6, -1)
    H_mm = J_m_W @ linear.J_m.reshape(6, -1).T
    g_m = J_m_W @ linear.r.ravel()
    return _NormalEquations(H_mm, H_md, H_dd, g_m, g_d)


def _length_bias_gradient(
    motion: np.ndarray,
    linear: Linearisation,
    weights: _RobustWeights,
    depth_change: np.ndarray,
    H_dd: np.ndarray,
    point_weights: np.ndarray,
) -> np.ndarray:
    """Gradient (3,) by the translation that cancels the bias of its length by too large sigmas.

    Along its epipolar line a point errs by e = f - L rho0 with the variance V = s^2 + (L sigma)^2.
    Where the inverse depths really err by sigma_a, the expected gradient of e^2 / (2 V) by L at the
    truth is L s^2 (sigma_a^2 - sigma^2) / V^2, not zero: noise of the images is taken for depth,
    and the step becomes longer, a little more with each step. The ratio of the variances is
    measured.
    """
    # (L sigma)^2 / V of each point, and its squared error e^2 / V.
    depth_share = weights.reprojection * linear.J_d_squared / H_dd
    squared = weights.depth * depth_change**2 + (
        weights.reprojection * linear.J_d_r**2 / np.maximum(linear.J_d_squared, 1e-12)
    )

    # Measured over expected variance: the mean over the points whose error is that of their depth.
    share = point_weights * depth_share
    ratio = float(share @ squared) / max(float(share.sum()), 1e-9)

    # Expected gradient by L, turned into one by the translation.
    growth = (1.0 - min(ratio, 1.0)) * float((share * (1.0 - depth_share)).sum())
    translation = motion[:3, :3].T @ motion[:3, 3]
    squared_length = max(float(translation @ translation), MIN_TRANSLATION**2)
    gradient: np.ndarray = growth * translation / squared_length
    return gradient


def _weighted_median(values: np.ndarray, weights: np.ndarray) -> float:
    """Median of values (N,): half of the weight (N,) lies at or below it."""
    order = np.argsort(values)
    cumulative = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(cumulative, cumulative[-1] / 2)])
