"""Pose set from outside: by a map, an operator or another localisation."""

from dataclasses import dataclass

import numpy as np
from geometry_msgs.msg import PoseWithCovarianceStamped

from sfm_odometry.errors import InputError
from sfm_odometry.geometry import se3
from sfm_odometry.nodes import tf_conversions

QUATERNION_TOLERANCE = 0.01
"""Largest deviation of a quaternion's length from 1."""
VARIANCE_TOLERANCE = 1e-9
"""Largest negative eigenvalue of a covariance, relative to its largest entry."""


@dataclass(frozen=True)
class PoseReset:
    """Pose odom_from_base (4, 4) to continue from, and its covariance (6, 6).

    The covariance is as ROS defines it, about the axes of the odometry frame.
    """

    odom_from_base: np.ndarray
    covariance: np.ndarray

    @classmethod
    def from_message(cls, message: PoseWithCovarianceStamped, odom_frame: str) -> "PoseReset":
        """Returns the pose of a message.

        Raises InputError for another frame than `odom_frame`, for numbers that are no pose, and for
        a matrix that is no covariance.
        """
        # Check the frame.
        frame = message.header.frame_id.lstrip("/")
        if frame != odom_frame:
            raise InputError(f"set_pose is in frame '{frame}', expected '{odom_frame}'")

        # Check the pose.
        p = message.pose.pose.position
        q = message.pose.pose.orientation
        numbers = np.array([p.x, p.y, p.z, q.x, q.y, q.z, q.w])
        length = np.linalg.norm(numbers[3:])
        if not np.isfinite(numbers).all() or abs(length - 1.0) > QUATERNION_TOLERANCE:
            raise InputError(
                f"set_pose has position and quaternion {numbers.tolist()}, "
                "expected finite numbers and a quaternion of length 1"
            )

        # Check the covariance.
        covariance = np.array(message.pose.covariance, dtype=np.float64).reshape(6, 6)
        if not _is_covariance(covariance):
            raise InputError(
                "set_pose has a covariance that is not finite or has a negative variance"
            )
        odom_from_base = tf_conversions.matrix_from_pose(message.pose.pose)
        return cls(odom_from_base, (covariance + covariance.T) / 2)

    def camera_pose(self, base_from_camera: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns start_from_camera (4, 4) and its covariance (6, 6) in the camera's own axes.

        Inverse of `tf_conversions.base_pose` and `base_pose_covariance`.
        """
        start_from_camera = se3.inverse(base_from_camera) @ self.odom_from_base @ base_from_camera
        jacobian = np.linalg.inv(
            tf_conversions.base_pose_jacobian(base_from_camera, self.odom_from_base)
        )
        return start_from_camera, tf_conversions.propagate_covariance(jacobian, self.covariance)


def _is_covariance(matrix: np.ndarray) -> bool:
    """Whether the matrix (6, 6) is finite and, made symmetric, has no negative eigenvalue."""
    if not np.isfinite(matrix).all():
        return False
    min_eigenvalue = np.linalg.eigvalsh((matrix + matrix.T) / 2).min()
    return bool(min_eigenvalue >= -VARIANCE_TOLERANCE * np.abs(matrix).max())
