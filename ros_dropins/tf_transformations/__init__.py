"""Stands in for ROS 2's tf_transformations where that cannot be installed: rotations and 4x4
transforms, quaternions as x, y, z, w.

Like the real one it is written over transforms3d, whose quaternions begin with w. It has the
functions that turn poses into messages and back; reflections, shears, projections and the rest are
left out.
"""

from collections.abc import Sequence

import numpy as np
import transforms3d

Quaternion = tuple[float, float, float, float]


def w_first(quaternion_xyzw: Sequence[float]) -> Quaternion:
    x, y, z, w = quaternion_xyzw
    return w, x, y, z


def w_last(quaternion_wxyz: Sequence[float]) -> Quaternion:
    w, x, y, z = quaternion_wxyz
    return x, y, z, w


def homogeneous(rotation: np.ndarray) -> np.ndarray:
    matrix = np.identity(4)
    matrix[:3, :3] = rotation
    return matrix


def identity_matrix() -> np.ndarray:
    """The 4x4 that moves nothing."""
    return np.identity(4)


def translation_matrix(direction: Sequence[float]) -> np.ndarray:
    """The 4x4 that moves by a vector."""
    matrix = np.identity(4)
    matrix[:3, 3] = direction[:3]
    return matrix


def translation_from_matrix(matrix: np.ndarray) -> np.ndarray:
    """The vector by which a 4x4 moves."""
    return np.array(matrix, dtype=np.float64)[:3, 3]


def quaternion_matrix(quaternion: Sequence[float]) -> np.ndarray:
    """The 4x4 rotation of a quaternion of any length but zero; that one gives the identity."""
    return homogeneous(transforms3d.quaternions.quat2mat(w_first(quaternion)))


def quaternion_from_matrix(matrix: np.ndarray) -> Quaternion:
    """The quaternion of the rotation in a 4x4, with w not negative; a scale in it is taken out
    first."""
    return w_last(transforms3d.quaternions.mat2quat(transforms3d.affines.decompose(matrix)[1]))


def quaternion_from_euler(ai: float, aj: float, ak: float, axes: str = "sxyz") -> Quaternion:
    """The quaternion of three rotations about the axes, by default roll, pitch and yaw about
    fixed x, y, z; angles in radians."""
    return w_last(transforms3d.euler.euler2quat(ai, aj, ak, axes=axes))


def euler_from_quaternion(
    quaternion: Sequence[float], axes: str = "sxyz"
) -> tuple[float, float, float]:
    """The three angles in radians of a quaternion."""
    return euler_from_matrix(quaternion_matrix(quaternion), axes)


def euler_matrix(ai: float, aj: float, ak: float, axes: str = "sxyz") -> np.ndarray:
    """The 4x4 of three rotations about the axes; angles in radians."""
    return homogeneous(transforms3d.euler.euler2mat(ai, aj, ak, axes=axes))


def euler_from_matrix(matrix: np.ndarray, axes: str = "sxyz") -> tuple[float, float, float]:
    """The three angles in radians of the rotation in a 4x4 or 3x3."""
    return transforms3d.euler.mat2euler(matrix, axes=axes)


def quaternion_about_axis(angle: float, axis: Sequence[float]) -> Quaternion:
    """The quaternion of a turn by an angle in radians about an axis of any length."""
    return w_last(transforms3d.quaternions.axangle2quat(axis, angle))


def quaternion_multiply(quaternion1: Sequence[float], quaternion0: Sequence[float]) -> Quaternion:
    """quaternion1 * quaternion0: first turn by quaternion0, then by quaternion1."""
    return w_last(transforms3d.quaternions.qmult(w_first(quaternion1), w_first(quaternion0)))


def quaternion_conjugate(quaternion: Sequence[float]) -> np.ndarray:
    """The turn back, of a unit quaternion."""
    return np.array(quaternion, dtype=np.float64) * (-1.0, -1.0, -1.0, 1.0)


def quaternion_inverse(quaternion: Sequence[float]) -> np.ndarray:
    """The quaternion that multiplies to one, of any length but zero."""
    return quaternion_conjugate(quaternion) / np.dot(quaternion, quaternion)


def quaternion_slerp(quat0: Sequence[float], quat1: Sequence[float], fraction: float) -> np.ndarray:
    """The unit quaternion `fraction` of the way from one to another along the shorter great arc."""
    start, end = (
        np.array(quaternion, dtype=np.float64) / np.linalg.norm(quaternion)
        for quaternion in (quat0, quat1)
    )
    cosine = float(start @ end)
    if fraction == 1.0:
        return end
    if cosine < 0.0:
        end, cosine = -end, -cosine
    if (
        1.0 - cosine < 4.0 * np.finfo(float).eps
    ):  # the arc is too short to tell, and its sine too small to divide by
        return start
    angle_rad = np.arccos(cosine)
    return (
        np.sin((1.0 - fraction) * angle_rad) * start + np.sin(fraction * angle_rad) * end
    ) / np.sin(angle_rad)


def inverse_matrix(matrix: np.ndarray) -> np.ndarray:
    """The inverse of a square matrix."""
    return np.linalg.inv(matrix)


def concatenate_matrices(*matrices: np.ndarray) -> np.ndarray:
    """The product of 4x4 matrices; of none, the identity."""
    product = np.identity(4)
    for matrix in matrices:
        product = product @ matrix
    return product


def is_same_transform(matrix0: np.ndarray, matrix1: np.ndarray) -> bool:
    """Whether two 4x4 matrices are one transform, up to their scale factor and numpy's usual
    tolerance."""
    first, second = (np.array(matrix, dtype=np.float64) for matrix in (matrix0, matrix1))
    return np.allclose(first / first[3, 3], second / second[3, 3])
