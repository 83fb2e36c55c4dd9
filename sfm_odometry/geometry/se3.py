"""SE(3) and SO(3) in numpy, float64: rigid motions, rotation vectors and quaternions.

`b_from_a` is the 4x4 with x_b = b_from_a @ x_a. A twist or a small motion is (6,): translation
first, then rotation. Quaternions are x, y, z, w. The batched functions in torch are in
:mod:`sfm_odometry.geometry.projection`.
"""

import numpy as np


def inverse(b_from_a: np.ndarray) -> np.ndarray:
    """Inverse a_from_b (4, 4) = [R^T, -R^T t; 0 1] of a rigid motion (4, 4)."""
    rotation = b_from_a[:3, :3].T
    result = np.eye(4)
    result[:3, :3] = rotation
    result[:3, 3] = -rotation @ b_from_a[:3, 3]
    return result


def with_length(motion: np.ndarray, length: float) -> np.ndarray:
    """Copy of the motion (4, 4) with a translation of that length; a zero translation stays."""
    result = np.array(motion, dtype=np.float64)
    old_length = float(np.linalg.norm(result[:3, 3]))
    if old_length > 0.0:
        result[:3, 3] *= length / old_length
    return result


def scaled(motion: np.ndarray, factor: float) -> np.ndarray:
    """Copy of the motion (4, 4) with its translation times a factor."""
    result = motion.copy()
    result[:3, 3] *= factor
    return result


def adjoint(b_from_a: np.ndarray) -> np.ndarray:
    """Adjoint (6, 6) = [R, [t]x R; 0 R] of a rigid motion (4, 4).

    It moves a twist or a small motion (translation, rotation) from frame a to frame b.
    """
    rotation = b_from_a[:3, :3]
    result = np.zeros((6, 6))
    result[:3, :3] = result[3:, 3:] = rotation
    result[:3, 3:] = hat(b_from_a[:3, 3]) @ rotation
    return result


def hat(vector: np.ndarray) -> np.ndarray:
    """Skew-symmetric matrix S (3, 3) of a vector (3,): S @ x is the cross product vector x x."""
    x, y, z = vector
    return np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])


def so3_exp(rotation_vector_rad: np.ndarray) -> np.ndarray:
    """Rotation (3, 3) of a rotation vector (3,), axis times angle: Rodrigues' formula."""
    angle = np.linalg.norm(rotation_vector_rad)
    matrix = hat(rotation_vector_rad)
    if angle < 1e-8:
        return nearest_rotation(np.eye(3) + matrix)
    return (
        np.eye(3)
        + np.sin(angle) / angle * matrix
        + (1 - np.cos(angle)) / angle**2 * matrix @ matrix
    )


def so3_log(rotation: np.ndarray) -> np.ndarray:
    """Rotation vector (3,), axis times angle in radians, of a rotation (3, 3) by less than pi."""
    axis_sine = (
        np.array(
            [
                rotation[2, 1] - rotation[1, 2],
                rotation[0, 2] - rotation[2, 0],
                rotation[1, 0] - rotation[0, 1],
            ]
        )
        / 2
    )
    sine = np.linalg.norm(axis_sine)
    angle = np.arctan2(sine, (np.trace(rotation) - 1) / 2)
    return axis_sine * (angle / sine if sine > 1e-12 else 1.0)


def nearest_rotation(matrix: np.ndarray) -> np.ndarray:
    """Rotation (3, 3) nearest to a matrix (3, 3) that drifted from orthonormal by rounding."""
    u, _, vt = np.linalg.svd(matrix)
    return u @ np.diag([1.0, 1.0, np.linalg.det(u @ vt)]) @ vt


def quaternions_xyzw_from_rotations(rotations: np.ndarray) -> np.ndarray:
    """Unit quaternions (N, 4) with w >= 0 of rotations (N, 3, 3), exact at every angle.

    4 q q^T is linear in the rotation's entries; its row with the largest diagonal is q up to length
    and sign, free of cancellation.
    """
    r = np.moveaxis(np.asarray(rotations, dtype=np.float64), 0, 2)
    rows = [
        [1 + r[0, 0] - r[1, 1] - r[2, 2], r[0, 1] + r[1, 0], r[0, 2] + r[2, 0], r[2, 1] - r[1, 2]],
        [r[0, 1] + r[1, 0], 1 - r[0, 0] + r[1, 1] - r[2, 2], r[1, 2] + r[2, 1], r[0, 2] - r[2, 0]],
        [r[0, 2] + r[2, 0], r[1, 2] + r[2, 1], 1 - r[0, 0] - r[1, 1] + r[2, 2], r[1, 0] - r[0, 1]],
        [r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1], 1 + r[0, 0] + r[1, 1] + r[2, 2]],
    ]
    outer = np.moveaxis(np.array(rows), 2, 0)
    best = np.argmax(np.diagonal(outer, axis1=1, axis2=2), axis=1)
    quaternions = outer[np.arange(len(outer)), best]
    quaternions = quaternions / np.linalg.norm(quaternions, axis=1, keepdims=True)
    return np.where(quaternions[:, 3:] < 0, -quaternions, quaternions)


def rotations_from_quaternions_xyzw(quaternions_xyzw: np.ndarray) -> np.ndarray:
    """Rotations (N, 3, 3) of quaternions (N, 4) of any length but zero: they are normalised."""
    x, y, z, w = (quaternions_xyzw / np.linalg.norm(quaternions_xyzw, axis=1, keepdims=True)).T
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    return np.moveaxis(np.array(rows), 2, 0)
