"""The motion that tracked points agree with, and their depths with it: a bundle adjustment of one
step.

A point is seen at p in the previous frame, with an inverse depth rho that is known so well as sigma says, and at q in the current one.
The cost is
    sum_i w_i [rho_c(|q_i - pi(T^-1 X_i(rho_i))| / s)  +  rho_c((rho_i - rho0_i) / sigma_i)]  +  1/2 d^T P d
with Cauchy's rho_c, w_i that says how much a point counts, the robust scale s in pixels, and the prior's information P on the difference d
between the motion and the given one. Gauss-Newton over the six numbers of the motion; each inverse depth is eliminated by itself (Schur
complement; Triggs et al., Bundle adjustment: a modern synthesis, section 6.1). So a point of doubtful depth still says where its epipolar
line runs, which is what the rotation is seen from, and a point of known depth says how far the camera went.
"""

from dataclasses import dataclass

import numpy as np

from sfm_odometry.tracking.trajectory import (
    invert_rigid,
    nearest_rotation,
    rotation_from_vector,
    rotation_vector,
)

ITERATIONS = 10
STOP_RAD = 1e-5
NEAREST = 0.1
"""Points are not projected from nearer to the camera than this share of the median depth."""
MEDIAN_TO_SIGMA = 0.8493
"""Standard deviation of either coordinate over the median length of a normal error in the plane."""
SHORTEST = 1e-3
"""A shorter step has no length to speak of."""
LARGEST_SHRINKING = 0.3
"""A step makes an inverse depth no smaller than this share of it."""


@dataclass(frozen=True)
class Correspondences:
    """Points tracked from the previous into the current frame."""

    previous: np.ndarray
    """(N, 2) pixels."""
    current: np.ndarray
    """(N, 2) pixels."""
    inverse_depth: np.ndarray
    """(N,) in the previous frame."""
    sigma: np.ndarray
    """(N,) standard deviation of the inverse depth."""
    trust: np.ndarray | float = 1.0
    """(N,) or of all: how many points each counts for."""


@dataclass(frozen=True)
class TrackedMotion:
    """What the points agree on."""

    previous_from_current: np.ndarray
    """(4, 4) float64."""
    information: np.ndarray
    """(6, 6) of a small motion in the current camera's axes, translation then rotation, as if
    the points erred alone."""
    inverse_depth: np.ndarray
    """(N,) in the previous frame."""
    variance: np.ndarray
    """(N,) of the inverse depth, given the motion."""
    errors: np.ndarray
    """(N,) pixels."""
    scale: float
    """Robust standard deviation of either coordinate, pixels."""


@dataclass(frozen=True)
class TrackPrior:
    """What is known of the motion before."""

    previous_from_current: np.ndarray
    """(4, 4)."""
    information: np.ndarray
    """(6, 6), in the current camera's axes."""


def align_tracks(
    points: Correspondences,
    intrinsics: np.ndarray,
    prior: TrackPrior,
    robust_threshold: float,
    robust_depth: float,
    noise_floor: float,
) -> TrackedMotion:
    """The motion of points (N >= 3) from the prior's on; thresholds of the robust norms in
    standard deviations, noise_floor in pixels."""
    rays, seen = _rays(points.previous, intrinsics), np.ascontiguousarray(points.current.T)
    trust = np.broadcast_to(points.trust, len(points.previous))
    motion, inverse_depth = prior.previous_from_current.copy(), points.inverse_depth.copy()
    depth_information = 1.0 / points.sigma**2
    for _ in range(ITERATIONS):
        residuals, by_motion, by_depth = _linearised(rays, inverse_depth, seen, motion, intrinsics)
        squared = (residuals**2).sum(0)
        errors = np.sqrt(squared)
        scale = max(MEDIAN_TO_SIGMA * _weighted_median(errors, trust), noise_floor)
        weights = 1.0 / (scale**2 + squared / robust_threshold**2)
        off = inverse_depth - points.inverse_depth
        depth_weights = depth_information / (1.0 + off**2 * (depth_information / robust_depth**2))
        # Of each point: its inverse depth's own information and gradient, and what it shares with
        # the motion.
        disparity, along = (by_depth**2).sum(0), (by_depth * residuals).sum(0)
        own = weights * disparity + depth_weights
        gradient_own = weights * along + depth_weights * off
        shared = (by_motion * by_depth).sum(1) * weights
        weighted = (by_motion * (trust * weights)).reshape(6, -1)
        counted = shared * (trust / own)
        information = weighted @ by_motion.reshape(6, -1).T + prior.information - counted @ shared.T
        difference = _difference(prior.previous_from_current, motion)
        gradient = (
            weighted @ residuals.ravel() + prior.information @ difference - counted @ gradient_own
        )
        gradient[:3] += _stretching(
            motion, disparity, along, weights, depth_weights * off**2, own, trust
        )
        step = -np.linalg.solve(information, gradient)
        motion = _moved(motion, step)
        inverse_depth = np.maximum(
            inverse_depth - (gradient_own + step @ shared) / own, LARGEST_SHRINKING * inverse_depth
        )
        if np.abs(step[3:]).max() < STOP_RAD:
            break
    motion[:3, :3] = nearest_rotation(motion[:3, :3])
    return TrackedMotion(motion, information, inverse_depth, 1.0 / own, errors, scale)


def project(
    places: np.ndarray,
    inverse_depth: np.ndarray,
    previous_from_current: np.ndarray,
    intrinsics: np.ndarray,
) -> np.ndarray:
    """Where points at pixels (N, 2) of the previous frame are seen in the current one, (N, 2)."""
    points = _moved_points(_rays(places, intrinsics), inverse_depth, previous_from_current)
    return (points[:2] / points[2]).T * intrinsics[[0, 1], [0, 1]] + intrinsics[:2, 2]


def inverse_depth_after(
    places: np.ndarray,
    inverse_depth: np.ndarray,
    variance: np.ndarray,
    previous_from_current: np.ndarray,
    intrinsics: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Inverse depths (N,) of points of the previous frame, seen from the current one, and their
    variances; <= 0: behind it.

    With the point at ray / rho, its depth in the current frame is a / rho + b. So rho' = rho / (a +
    b rho), and d rho' / d rho = a / (a + b rho)^2.
    """
    current_from_previous = invert_rigid(previous_from_current)
    along = current_from_previous[2, :3] @ _rays(places, intrinsics)
    divisor = along + current_from_previous[2, 3] * inverse_depth
    divisor = np.where(np.abs(divisor) < 1e-9, 1e-9, divisor)
    return inverse_depth / divisor, variance * (along / divisor**2) ** 2


def _rays(places: np.ndarray, intrinsics: np.ndarray) -> np.ndarray:
    """Rays (3, N) with z = 1 of pixels (N, 2)."""
    rays = np.ones((3, len(places)))
    rays[:2] = ((places - intrinsics[:2, 2]) / intrinsics[[0, 1], [0, 1]]).T
    return rays


def _moved_points(rays: np.ndarray, inverse_depth: np.ndarray, motion: np.ndarray) -> np.ndarray:
    """The points (3, N) in the current camera's frame, none of them at or behind the camera."""
    points: np.ndarray = motion[:3, :3].T @ (rays / inverse_depth - motion[:3, 3:])
    np.maximum(points[2], NEAREST / float(np.median(inverse_depth)), out=points[2])
    return points


def _linearised(
    rays: np.ndarray,
    inverse_depth: np.ndarray,
    seen: np.ndarray,
    motion: np.ndarray,
    intrinsics: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Residuals q - pi (2, N) of seen places (2, N), and their derivatives by a small motion (6, 2,
    N) and by the inverse depth (2, N).

    A small motion xi in the current camera's axes, T exp(xi), moves the points X of that frame to X
    - v - w x X = X - v + X x w.
    """
    points = _moved_points(rays, inverse_depth, motion)
    focal, centre = intrinsics[[0, 1], [0, 1], None], intrinsics[:2, 2:]
    directions = points[:2] / points[2]
    residuals = seen - (directions * focal + centre)
    x, y, z = points
    by_motion = np.zeros((6, 2, rays.shape[1]))
    by_x, by_y, by_z = (
        by_motion[0, 0],
        by_motion[1, 1],
        by_motion[2],
    )  # u depends on x and z, v on y and z
    np.divide(focal[0], z, out=by_x)
    np.divide(focal[1], z, out=by_y)
    np.multiply(directions, by_motion[[0, 1], [0, 1]], out=by_z)
    np.negative(by_z, out=by_z)
    np.multiply(by_z, y, out=by_motion[3])
    by_motion[3, 1] -= focal[1]  # by_y z
    np.multiply(by_z, -x, out=by_motion[4])
    by_motion[4, 0] += focal[0]  # by_x z
    np.multiply(by_x, -y, out=by_motion[5, 0])
    np.multiply(by_y, x, out=by_motion[5, 1])
    towards = motion[:3, :3].T @ rays / inverse_depth**2
    by_depth = by_z * towards[2]
    by_depth[0] += by_x * towards[0]
    by_depth[1] += by_y * towards[1]
    return residuals, by_motion, by_depth


def _stretching(
    motion: np.ndarray,
    disparity: np.ndarray,
    along: np.ndarray,
    weights: np.ndarray,
    depth_misfit: np.ndarray,
    own: np.ndarray,
    trust: np.ndarray,
) -> np.ndarray:
    """Gradient (3,) by the translation that takes back what sigmas too large do to its length.

    Along its epipolar line a point errs by e = f - L rho0 with the variance V = s^2 + (L sigma)^2.
    Where the inverse depths really err by sigma_a, the expected gradient of e^2 / (2 V) by L at the
    truth is L s^2 (sigma_a^2 - sigma^2) / V^2, not zero: noise of the images is taken for depth,
    and the step becomes longer, a little more with each step. The ratio of the variances is
    measured. disparity: (N,) squares of the derivatives by the inverse depths; along: (N,) these
    derivatives times the residuals.
    """
    translation = motion[:3, :3].T @ motion[:3, 3]
    by_depths = weights * disparity / own  # (L sigma)^2 / V of each point
    squared = depth_misfit + weights * along**2 / np.maximum(disparity, 1e-12)
    counted = trust * by_depths
    ratio = float(counted @ squared) / max(float(counted.sum()), 1e-9)
    growth = (1.0 - min(ratio, 1.0)) * float((counted * (1.0 - by_depths)).sum())
    gradient: np.ndarray = growth * translation / max(float(translation @ translation), SHORTEST**2)
    return gradient


def _weighted_median(values: np.ndarray, weights: np.ndarray) -> float:
    """The value below which half of the weight lies."""
    order = np.argsort(values)
    reached = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(reached, reached[-1] / 2)])


def _moved(motion: np.ndarray, step: np.ndarray) -> np.ndarray:
    increment = np.eye(4)
    increment[:3, :3], increment[:3, 3] = rotation_from_vector(step[3:]), step[:3]
    result: np.ndarray = motion @ increment
    return result


def _difference(given: np.ndarray, motion: np.ndarray) -> np.ndarray:
    """(6,): the small motion from the given motion to the other, in the current camera's axes."""
    change = invert_rigid(given) @ motion
    return np.concatenate([change[:3, 3], rotation_vector(change[:3, :3])])
