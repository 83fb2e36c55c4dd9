"""A pose that somebody sets: from a map, an operator or another localisation."""

from dataclasses import dataclass

import numpy as np
from geometry_msgs.msg import PoseWithCovarianceStamped

from sfm_odometry.errors import InputError
from sfm_odometry.nodes import tf_conversions as frames
from sfm_odometry.tracking.trajectory import invert_rigid


@dataclass(frozen=True)
class GivenPose:
    """The base in the odometry frame (4, 4), and its covariance (6, 6) as ROS means it, about
    the odometry frame's axes."""

    odom_from_base: np.ndarray
    covariance: np.ndarray

    def of_camera(self, base_from_camera: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """start_from_camera (4, 4) and its covariance (6, 6) in the camera's own axes: what
        `frames.base_pose` and its covariance undo."""
        start_from_camera = invert_rigid(base_from_camera) @ self.odom_from_base @ base_from_camera
        jacobian = np.linalg.inv(frames.base_pose_jacobian(base_from_camera, self.odom_from_base))
        return start_from_camera, frames.transform_covariance(jacobian, self.covariance)


def read_pose(message: PoseWithCovarianceStamped, odom_frame: str) -> GivenPose:
    """The pose of the message; raises InputError for another frame, numbers that are no pose or
    no covariance."""
    frame = message.header.frame_id.lstrip("/")
    if frame != odom_frame:
        raise InputError(f"set_pose is in frame '{frame}', expected '{odom_frame}'")
    position, turn = message.pose.pose.position, message.pose.pose.orientation
    numbers = np.array([position.x, position.y, position.z, turn.x, turn.y, turn.z, turn.w])
    if not np.isfinite(numbers).all() or abs(np.linalg.norm(numbers[3:]) - 1.0) > 0.01:
        raise InputError(
            f"set_pose has position and quaternion {numbers.tolist()}, expected finite numbers and a quaternion of length 1"
        )
    covariance = np.array(message.pose.covariance, dtype=np.float64).reshape(6, 6)
    if (
        not np.isfinite(covariance).all()
        or np.linalg.eigvalsh((covariance + covariance.T) / 2).min()
        < -1e-9 * np.abs(covariance).max()
    ):
        raise InputError("set_pose has a covariance that is not finite or has a negative variance")
    return GivenPose(frames.matrix_from_pose(message.pose.pose), (covariance + covariance.T) / 2)
