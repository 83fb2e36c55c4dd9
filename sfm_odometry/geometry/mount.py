"""Poses, twists and covariances of the robot's base, from those of the camera that is mounted on
it.

base_from_camera (4, 4) is the pose of the camera on the robot. Six-vectors are linear first, then
angular, as ROS orders its covariances.
"""

import numpy as np

from sfm_odometry.geometry import se3

BASE_FROM_OPTICAL = np.array(
    [[0.0, 0.0, 1.0, 0.0], [-1.0, 0.0, 0.0, 0.0], [0.0, -1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]]
)
"""Rotation from x right, y down, z forward to x forward, y left, z up (REP 103)."""


def base_pose(base_from_camera: np.ndarray, start_from_camera: np.ndarray) -> np.ndarray:
    """Returns odom_from_base (4, 4).

    The odometry frame is the base frame at the time when the camera was at `start`.
    """
    return base_from_camera @ start_from_camera @ se3.inverse(base_from_camera)


def base_pose_covariance(
    base_from_camera: np.ndarray, odom_from_base: np.ndarray, covariance: np.ndarray
) -> np.ndarray:
    """Returns the covariance (6, 6) of odom_from_base as ROS defines it.

    covariance: (6, 6), of the camera's pose in the moving camera's own axes.
    """
    return propagate_covariance(base_pose_jacobian(base_from_camera, odom_from_base), covariance)


def base_pose_jacobian(base_from_camera: np.ndarray, odom_from_base: np.ndarray) -> np.ndarray:
    """Returns the Jacobian (6, 6) of the base's pose with respect to the camera's.

    A small motion xi in the camera's own axes is Ad(base_from_camera) xi in those of the base, as
    the lever arm swings it. ROS defines the covariance along and about the fixed axes of the
    odometry frame, at the base's origin, so both halves are rotated by the pose.
    """
    rotation = odom_from_base[:3, :3]
    adjoint = se3.adjoint(base_from_camera)
    return np.concatenate([rotation @ adjoint[:3], rotation @ adjoint[3:]])


def propagate_covariance(jacobian: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """Returns J C J^T, made exactly symmetric."""
    result = jacobian @ covariance @ jacobian.T
    return 0.5 * (result + result.T)
