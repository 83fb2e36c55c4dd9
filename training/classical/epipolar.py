"""Motion between two images by the essential matrix, and depths from a known motion."""

from dataclasses import dataclass

import cv2
import numpy as np

from sfm_odometry.geometry import se3
from training.classical.config import ClassicalConfig

REFINEMENT_STEPS = 5
ROTATION_STEPS = 5
MAX_TURN_ERROR_RAD = 0.2
"""Largest angle between the rotation of a motion and the one that explains the tracks without a
translation; on ordinary drives it is below 0.01. Beyond it the motion is not that of the camera."""


@dataclass(frozen=True, eq=False)
class EpipolarMotion:
    """Motion up to scale, estimated from M tracks."""

    b_from_a: np.ndarray
    """(4, 4) with a translation of length one."""
    inliers: np.ndarray
    """(M,) bool."""


def epipolar_motion(
    pixels_a: np.ndarray,
    pixels_b: np.ndarray,
    k: np.ndarray,
    config: ClassicalConfig,
    turn: np.ndarray | None = None,
) -> EpipolarMotion | None:
    """Estimate the motion between two views from the pixels (M, 2) of the same points in both.

    k: camera matrix (3, 3). Nistér's five-point method (TPAMI 2004) in RANSAC, then the Sampson
    error of all inliers is minimised. turn: rotation (3, 3) near the true one, such as that of
    `rotation_fit`, which decides between the two of an essential matrix. None where the points do
    not determine a motion.
    """
    if len(pixels_a) < config.min_tracks:
        return None

    essential = _essential_matrix(pixels_a, pixels_b, k, config)
    if essential is None:
        return None
    matrix, mask = essential
    _, rotation, translation, _ = cv2.recoverPose(matrix, pixels_a, pixels_b, k, mask=mask.copy())

    # Refine the motion over all points.
    rays_a = pixels_to_rays(pixels_a, k)
    rays_b = pixels_to_rays(pixels_b, k)
    focal = (k[0, 0] + k[1, 1]) / 2
    if turn is not None and _angle_rad(turn, rotation) > MAX_TURN_ERROR_RAD:
        rotation, translation = _untwisted(matrix, turn, rays_a, rays_b)
    rotation, direction = _refine(
        rotation, translation[:, 0], rays_a, rays_b, config.epipolar_pixels / focal
    )

    # Inliers of the refined motion.
    error, _ = sampson_errors(rotation, direction, rays_a, rays_b)
    inliers = np.abs(error) * focal < 2 * config.epipolar_pixels
    if turn is not None and _angle_rad(turn, rotation) > MAX_TURN_ERROR_RAD:
        return None
    return EpipolarMotion(_rigid(rotation, direction), inliers)


def _essential_matrix(
    pixels_a: np.ndarray, pixels_b: np.ndarray, k: np.ndarray, config: ClassicalConfig
) -> tuple[np.ndarray, np.ndarray] | None:
    """Essential matrix (3, 3) by RANSAC with the mask of its inliers; None where there is none."""
    essential, mask = cv2.findEssentialMat(
        pixels_a.astype(np.float64),
        pixels_b.astype(np.float64),
        k,
        cv2.USAC_MAGSAC,
        config.confidence,
        config.epipolar_pixels,
        maxIters=2000,
    )
    if essential is None or essential.shape != (3, 3) or np.count_nonzero(mask) < config.min_tracks:
        return None
    return essential, mask


def _untwisted(
    essential: np.ndarray, turn: np.ndarray, rays_a: np.ndarray, rays_b: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Rotation (3, 3) of an essential matrix that is near `turn`, and its translation (3, 1).

    The other rotation is turned by 180 degrees about the translation. Points of small parallax lie
    behind the cameras as often as before them and do not tell the two apart.
    """
    first, second, translation = cv2.decomposeEssentialMat(essential)
    near = min((first, second), key=lambda rotation: _angle_rad(turn, rotation))
    _, parallax = inverse_depths(rays_a, rays_b, _rigid(near, translation[:, 0]))
    return near, translation if np.median(parallax) >= 0 else -translation


@dataclass(frozen=True, eq=False)
class RotationFit:
    """Rotation that explains the tracks best without a translation."""

    b_from_a: np.ndarray
    """(4, 4) with a translation of zero."""
    residual_pixels: float
    """Median displacement that it leaves unexplained: the parallax."""


def rotation_fit(
    pixels_a: np.ndarray, pixels_b: np.ndarray, k: np.ndarray, config: ClassicalConfig
) -> RotationFit:
    """Fit a rotation to the pixels (M, 2) of the same points in two views; camera matrix k (3, 3).

    Wahba's problem for the directions of the points, with weights that leave out points of large
    parallax (Geman and McClure's, at twice the median residual).
    """
    rays_a, rays_b = pixels_to_rays(pixels_a, k), pixels_to_rays(pixels_b, k)
    directions_a = rays_a / np.linalg.norm(rays_a, axis=1, keepdims=True)
    directions_b = rays_b / np.linalg.norm(rays_b, axis=1, keepdims=True)
    rotation = np.eye(3)
    residuals = np.linalg.norm(pixels_b - pixels_a, axis=1)
    for _ in range(ROTATION_STEPS):
        threshold = max(2 * float(np.median(residuals)), config.epipolar_pixels)
        weights = 1 / (1 + (residuals / threshold) ** 2) ** 2
        rotation = se3.nearest_rotation((directions_b * weights[:, None]).T @ directions_a)
        rotated = rays_a @ rotation.T
        expected = rotated[:, :2] / rotated[:, 2:] * (k[0, 0], k[1, 1]) + k[:2, 2]
        residuals = np.linalg.norm(pixels_b - expected, axis=1)
    return RotationFit(_rigid(rotation, np.zeros(3)), float(np.median(residuals)))


def _angle_rad(a: np.ndarray, b: np.ndarray) -> float:
    """Angle between two rotations (3, 3)."""
    return float(np.linalg.norm(cv2.Rodrigues(a.T @ b)[0]))


def _rigid(rotation: np.ndarray, translation: np.ndarray) -> np.ndarray:
    """Rigid motion (4, 4) of a rotation (3, 3) and a translation (3,)."""
    motion = np.eye(4)
    motion[:3, :3] = rotation
    motion[:3, 3] = translation
    return motion


def pixels_to_rays(pixels: np.ndarray, k: np.ndarray) -> np.ndarray:
    """Back-project pixels (M, 2) to points (M, 3) at depth one; camera matrix k (3, 3)."""
    return np.column_stack([(pixels - k[:2, 2]) / (k[0, 0], k[1, 1]), np.ones(len(pixels))]).astype(
        np.float64
    )


def sampson_errors(
    rotation: np.ndarray, direction: np.ndarray, rays_a: np.ndarray, rays_b: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Signed Sampson errors (M,) of a motion, and the norms (M,) of their gradients.

    x_b^T E x_a / |gradient| with E = [t]x R (Hartley and Zisserman, equation 11.9); rotation R
    (3, 3), direction t (3,), rays (M, 3).
    """
    essential = se3.hat(direction) @ rotation
    lines_b = rays_a @ essential.T
    lines_a = rays_b @ essential
    norms = np.sqrt(np.sum(lines_b[:, :2] ** 2, axis=1) + np.sum(lines_a[:, :2] ** 2, axis=1))
    return np.sum(rays_b * lines_b, axis=1) / np.maximum(norms, 1e-12), norms


def inverse_depths(
    rays_a: np.ndarray, rays_b: np.ndarray, b_from_a: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Inverse depth (M,) in a of points along rays (M, 3) in both views, and parallax (M,) in b.

    x_b ~ R x_a + w t, so (x_b x R x_a) + w (x_b x t) = 0, solved for w along the epipolar line.
    The parallax is the displacement in b against a point at infinity, along the epipolar line, at
    depth one.
    """
    rotated = np.cross(rays_b, rays_a @ b_from_a[:3, :3].T)
    baseline = np.cross(rays_b, np.broadcast_to(b_from_a[:3, 3], rays_b.shape))
    lengths = np.maximum(np.linalg.norm(baseline, axis=1), 1e-12)
    parallax = -np.sum(rotated * baseline, axis=1) / lengths
    return parallax / lengths, parallax


def _refine(
    rotation: np.ndarray,
    direction: np.ndarray,
    rays_a: np.ndarray,
    rays_b: np.ndarray,
    threshold: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Refine a motion by Gauss-Newton on the Sampson errors of the rays (M, 3).

    Weights are Geman and McClure's with `threshold`, in rays. The five unknowns are the rotation
    (3, 3) and the unit vector of the translation (3,).
    """
    for _ in range(REFINEMENT_STEPS):
        error, norms = sampson_errors(rotation, direction, rays_a, rays_b)

        # Linearise around the current motion; the translation moves in its tangent plane.
        tangents = np.linalg.svd(direction[None])[2][1:]
        jacobian = (
            _jacobian(rotation, direction, tangents, rays_a, rays_b)
            / np.maximum(norms, 1e-12)[:, None]
        )

        # Solve the weighted normal equations and apply the step.
        weighted = jacobian * (1 / (1 + (error / threshold) ** 2) ** 2)[:, None]
        step = -np.linalg.lstsq(weighted.T @ jacobian, weighted.T @ error, rcond=None)[0]
        rotation = rotation @ se3.so3_exp(step[:3])
        direction = direction + step[3:] @ tangents
        direction = direction / np.linalg.norm(direction)
    return rotation, direction


def _jacobian(
    rotation: np.ndarray,
    direction: np.ndarray,
    tangents: np.ndarray,
    rays_a: np.ndarray,
    rays_b: np.ndarray,
) -> np.ndarray:
    """Jacobian (M, 5) of x_b^T [t]x R x_a; the norms of the Sampson errors count as constant.

    By the rotation R exp(w), then by t along the two rows of `tangents` (2, 3).
    """
    lines_a = rays_b @ se3.hat(direction) @ rotation
    by_rotation = np.cross(rays_a, lines_a)
    by_translation = np.cross(rays_a @ rotation.T, rays_b) @ tangents.T
    return np.column_stack([by_rotation, by_translation])
