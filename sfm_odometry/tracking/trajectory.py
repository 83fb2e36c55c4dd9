"""Trajectory of relative motions chained into poses with covariances, in float64.

The error of a pose is a small motion applied on its right, T = T_mean exp(xi), xi = (translation,
rotation) in the axes of the moving camera itself (Barfoot, State Estimation for Robotics, section
7.3).
"""

from dataclasses import dataclass

import numpy as np

from sfm_odometry.geometry import se3


def twist_of(previous_from_current: np.ndarray, dt_s: float) -> np.ndarray:
    """Linear and angular velocity (6,) in the moving frame's own axes, constant over the step.

    previous_from_current: (4, 4).
    """
    # Displacement of the camera, turned from the previous into the current camera's axes.
    linear = previous_from_current[:3, :3].T @ previous_from_current[:3, 3]
    return np.concatenate([linear, se3.so3_log(previous_from_current[:3, :3])]) / dt_s


@dataclass(frozen=True)
class TrajectoryPose:
    """Pose of the moving camera with its covariance."""

    start_from_camera: np.ndarray
    """(4, 4)."""
    covariance: np.ndarray
    """(6, 6), translation then rotation, in the camera's own axes."""


class Trajectory:
    """Chain of motions, of which the newest pose is kept.

    start_from_current = start_from_previous @ previous_from_current.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Return to the identity, with a covariance of zero."""
        self.newest = TrajectoryPose(np.eye(4), np.zeros((6, 6)))

    def continue_from(self, start_from_camera: np.ndarray, covariance: np.ndarray) -> None:
        """Set the newest frame's pose (4, 4) and its covariance (6, 6) in the camera's own axes."""
        self.newest = TrajectoryPose(start_from_camera, covariance)

    def append(self, previous_from_current: np.ndarray, covariance: np.ndarray) -> TrajectoryPose:
        """Append a motion (4, 4) with its covariance (6, 6); returns the new pose.

        P' = Ad P Ad^T + Q, with Ad of current_from_previous.
        """
        pose = self.newest.start_from_camera @ previous_from_current
        pose[:3, :3] = se3.nearest_rotation(pose[:3, :3])
        pose[3] = (0.0, 0.0, 0.0, 1.0)
        adjoint = se3.adjoint(se3.inverse(previous_from_current))
        propagated = adjoint @ self.newest.covariance @ adjoint.T + covariance
        self.newest = TrajectoryPose(pose, (propagated + propagated.T) / 2)
        return self.newest
