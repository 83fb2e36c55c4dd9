"""The motion between two images by the essential matrix, and depths from a known motion."""

from dataclasses import dataclass

import cv2
import numpy as np

from sfm_odometry.tracking.trajectory import rotation_from_vector, skew
from training.classical.config import ClassicalConfig

REFINEMENTS = 5


@dataclass(frozen=True, eq=False)
class EpipolarMotion:
    """b_from_a (4, 4) with a translation of length one, and which tracks support it, (M,) bool."""

    b_from_a: np.ndarray
    inliers: np.ndarray


def epipolar_motion(
    pixels_a: np.ndarray, pixels_b: np.ndarray, k: np.ndarray, config: ClassicalConfig
) -> EpipolarMotion | None:
    """The motion between two views of (M, 2) pixels of the same points, camera matrix k (3, 3);
    None where they do not determine it.

    Nistér's five-point method (TPAMI 2004) in a consensus search, then the Sampson error of all
    supporters is minimised.
    """
    if len(pixels_a) < config.min_tracks:
        return None
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
    _, rotation, translation, _ = cv2.recoverPose(
        essential, pixels_a, pixels_b, k, mask=mask.copy()
    )
    rays_a, rays_b = rays(pixels_a, k), rays(pixels_b, k)
    focal = (k[0, 0] + k[1, 1]) / 2
    rotation, direction = _refined(
        rotation, translation[:, 0], rays_a, rays_b, config.epipolar_pixels / focal
    )
    error, _ = sampson(rotation, direction, rays_a, rays_b)
    b_from_a = np.eye(4)
    b_from_a[:3, :3], b_from_a[:3, 3] = rotation, direction
    return EpipolarMotion(b_from_a, np.abs(error) * focal < 2 * config.epipolar_pixels)


def rays(pixels: np.ndarray, k: np.ndarray) -> np.ndarray:
    """(M, 3) points at depth one behind (M, 2) pixels."""
    return np.column_stack([(pixels - k[:2, 2]) / (k[0, 0], k[1, 1]), np.ones(len(pixels))]).astype(
        np.float64
    )


def sampson(
    rotation: np.ndarray, direction: np.ndarray, rays_a: np.ndarray, rays_b: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(M,) signed Sampson errors x_b^T E x_a / |gradient|, E = [t]x R (Hartley and Zisserman,
    equation 11.9), and the gradients' norms."""
    essential = skew(direction) @ rotation
    lines_b, lines_a = rays_a @ essential.T, rays_b @ essential
    norms = np.sqrt(np.sum(lines_b[:, :2] ** 2, axis=1) + np.sum(lines_a[:, :2] ** 2, axis=1))
    return np.sum(rays_b * lines_b, axis=1) / np.maximum(norms, 1e-12), norms


def inverse_depths(
    rays_a: np.ndarray, rays_b: np.ndarray, b_from_a: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(M,) inverse depth in a of points seen along rays (M, 3), and how far each moves in b against
    a point at infinity, along its epipolar line, at depth one.

    x_b ~ R x_a + w t, so (x_b x R x_a) + w (x_b x t) = 0, solved for w along the epipolar line.
    """
    turned = np.cross(rays_b, rays_a @ b_from_a[:3, :3].T)
    baseline = np.cross(rays_b, np.broadcast_to(b_from_a[:3, 3], rays_b.shape))
    lengths = np.maximum(np.linalg.norm(baseline, axis=1), 1e-12)
    parallax = -np.sum(turned * baseline, axis=1) / lengths
    return parallax / lengths, parallax


def _refined(
    rotation: np.ndarray,
    direction: np.ndarray,
    rays_a: np.ndarray,
    rays_b: np.ndarray,
    threshold: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Gauss-Newton steps on the Sampson errors under Geman and McClure's weights, over the
    rotation and the translation's direction."""
    for _ in range(REFINEMENTS):
        error, norms = sampson(rotation, direction, rays_a, rays_b)
        across = np.linalg.svd(direction[None])[2][1:]
        jacobian = (
            _jacobian(rotation, direction, across, rays_a, rays_b)
            / np.maximum(norms, 1e-12)[:, None]
        )
        weighted = jacobian * (1 / (1 + (error / threshold) ** 2) ** 2)[:, None]
        step = -np.linalg.lstsq(weighted.T @ jacobian, weighted.T @ error, rcond=None)[0]
        rotation = rotation @ rotation_from_vector(step[:3])
        direction = direction + step[3:] @ across
        direction = direction / np.linalg.norm(direction)
    return rotation, direction


def _jacobian(
    rotation: np.ndarray,
    direction: np.ndarray,
    across: np.ndarray,
    rays_a: np.ndarray,
    rays_b: np.ndarray,
) -> np.ndarray:
    """(M, 5) of x_b^T [t]x R x_a by a rotation R exp(w) and by t along the rows of `across` (2,
    3); the norms count as constant."""
    lines_a = rays_b @ skew(direction) @ rotation
    by_rotation = np.cross(rays_a, lines_a)
    by_translation = np.cross(rays_a @ rotation.T, rays_b) @ across.T
    return np.column_stack([by_rotation, by_translation])
