"""Substitute for ROS 2's tf_transformations, where that cannot be installed.

Rotations and 4x4 transforms, quaternions as x, y, z, w. Like the original it is written over
transforms3d, whose quaternions begin with w. It has the functions that turn poses into messages and
back; reflections, shears, projections and the rest are left out.
"""

from collections.abc import Sequence

import numpy as np
import transforms3d

Quaternion = tuple[float, float, float, float]


def _wxyz(quaternion_xyzw: Sequence[float]) -> Quaternion:
    """Quaternion in transforms3d's order."""
    x, y, z, w = quaternion_xyzw
    return w, x, y, z


def _xyzw(quaternion_wxyz: Sequence[float]) -> Quaternion:
    """Quaternion in ROS's order."""
    w, x, y, z = quaternion_wxyz
    return x, y, z, w


def _homogeneous(rotation: np.ndarray) -> np.ndarray:
    """Transform 4x4 of a rotation 3x3."""
    matrix = np.identity(4)
    matrix[:3, :3] = rotation
    return matrix


def identity_matrix() -> np.ndarray:
    """Identity 4x4."""
    return np.identity(4)


def translation_matrix(direction: Sequence[float]) -> np.ndarray:
    """Transform 4x4 of a translation by a vector."""
    matrix = np.identity(4)
    matrix[:3, 3] = direction[:3]
    return matrix


def translation_from_matrix(matrix: np.ndarray) -> np.ndarray:
    """Translation vector of a 4x4."""
    return np.array(matrix, dtype=np.float64)[:3, 3]


def quaternion_matrix(quaternion: Sequence[float]) -> np.ndarray:
    """Rotation 4x4 of a quaternion of any length; the identity for length zero."""
    return _homogeneous(transforms3d.quaternions.quat2mat(_wxyz(quaternion)))


def quaternion_from_matrix(matrix: np.ndarray) -> Quaternion:
    """Quaternion of the rotation in a 4x4, with w >= 0; a scale in it is first removed."""
    return _xyzw(transforms3d.quaternions.mat2quat(transforms3d.affines.decompose(matrix)[1]))


def quaternion_from_euler(ai: float, aj: float, ak: float, axes: str = "sxyz") -> Quaternion:
    """Quaternion of three rotations about the axes; angles in radians.

    By default roll, pitch and yaw about fixed x, y, z.
    """
    return _xyzw(transforms3d.euler.euler2quat(ai, aj, ak, axes=axes))


def euler_from_quaternion(
    quaternion: Sequence[float], axes: str = "sxyz"
) -> tuple[float, float, float]:
    """Three angles in radians of a quaternion."""
    return euler_from_matrix(quaternion_matrix(quaternion), axes)


def euler_matrix(ai: float, aj: float, ak: float, axes: str = "sxyz") -> np.ndarray:
    """Transform 4x4 of three rotations about the axes; angles in radians."""
    return _homogeneous(transforms3d.euler.euler2mat(ai, aj, ak, axes=axes))


def euler_from_matrix(matrix: np.ndarray, axes: str = "sxyz") -> tuple[float, float, float]:
    """Three angles in radians of the rotation in a 4x4 or 3x3."""
    return transforms3d.euler.mat2euler(matrix, axes=axes)


def quaternion_about_axis(angle: float, axis: Sequence[float]) -> Quaternion:
    """Quaternion of a rotation by an angle in radians about an axis of any length."""
    return _xyzw(transforms3d.quaternions.axangle2quat(axis, angle))


def quaternion_multiply(quaternion1: Sequence[float], quaternion0: Sequence[float]) -> Quaternion:
    """Product quaternion1 * quaternion0: rotation by quaternion0, then by quaternion1."""
    return _xyzw(transforms3d.quaternions.qmult(_wxyz(quaternion1), _wxyz(quaternion0)))


def quaternion_conjugate(quaternion: Sequence[float]) -> np.ndarray:
    """Conjugate, the inverse rotation of a unit quaternion."""
    return np.array(quaternion, dtype=np.float64) * (-1.0, -1.0, -1.0, 1.0)


def quaternion_inverse(quaternion: Sequence[float]) -> np.ndarray:
    """Inverse with respect to multiplication, for any length but zero."""
    return quaternion_conjugate(quaternion) / np.dot(quaternion, quaternion)


def quaternion_slerp(quat0: Sequence[float], quat1: Sequence[float], fraction: float) -> np.ndarray:
    """Unit quaternion at `fraction` between quat0 (0) and quat1 (1), along the shorter arc."""
    # Normalise, and take the nearer of the two signs.
    start, end = (
        np.array(quaternion, dtype=np.float64) / np.linalg.norm(quaternion)
        for quaternion in (quat0, quat1)
    )
    cosine = float(start @ end)
    if fraction == 1.0:
        return end
    if cosine < 0.0:
        end = -end
        cosine = -cosine
    # Of a very short arc the direction is unknown, and its sine too small to divide by.
    if 1.0 - cosine < 4.0 * np.finfo(float).eps:
        return start
    angle_rad = np.arccos(cosine)
    return (
        np.sin((1.0 - fraction) * angle_rad) * start + np.sin(fraction * angle_rad) * end
    ) / np.sin(angle_rad)


def inverse_matrix(matrix: np.ndarray) -> np.ndarray:
    """Inverse of a square matrix."""
    return np.linalg.inv(matrix)


def concatenate_matrices(*matrices: np.ndarray) -> np.ndarray:
    """Product of 4x4 matrices; the identity without any."""
    product = np.identity(4)
    for matrix in matrices:
        product = product @ matrix
    return product


def is_same_transform(matrix0: np.ndarray, matrix1: np.ndarray) -> bool:
    """Whether two 4x4 matrices are the same transform, up to scale and numpy's usual tolerance."""
    first, second = (np.array(matrix, dtype=np.float64) for matrix in (matrix0, matrix1))
    return np.allclose(first / first[3, 3], second / second[3, 3])
