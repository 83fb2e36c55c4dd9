"""Relative motions chained into a trajectory with its covariance, in float64.

A pose's uncertainty is a small motion applied on its right, T = T_mean exp(xi), xi = (translation,
rotation) in the axes of the moving camera itself (Barfoot, State Estimation for Robotics, section
7.3).
"""

from dataclasses import dataclass

import numpy as np


def invert_rigid(b_from_a: np.ndarray) -> np.ndarray:
    """a_from_b (4, 4) = [R^T, -R^T t; 0 1] of a rigid motion (4, 4)."""
    rotation = b_from_a[:3, :3].T
    result = np.eye(4)
    result[:3, :3] = rotation
    result[:3, 3] = -rotation @ b_from_a[:3, 3]
    return result


def skew(vector: np.ndarray) -> np.ndarray:
    """The 3x3 matrix S with S @ x = vector x x."""
    x, y, z = vector
    return np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])


def adjoint(b_from_a: np.ndarray) -> np.ndarray:
    """The 6x6 that moves a twist or a small motion (translation, rotation) from frame a to frame
    b: [R, [t]x R; 0 R]."""
    rotation = b_from_a[:3, :3]
    result = np.zeros((6, 6))
    result[:3, :3] = result[3:, 3:] = rotation
    result[:3, 3:] = skew(b_from_a[:3, 3]) @ rotation
    return result


def rotation_vector(rotation: np.ndarray) -> np.ndarray:
    """Axis times angle (3,) in radians of a rotation (3, 3), for angles below pi."""
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


def rotation_from_vector(vector_rad: np.ndarray) -> np.ndarray:
    """Rotation (3, 3) of axis times angle (3,): Rodrigues' formula."""
    angle = np.linalg.norm(vector_rad)
    matrix = skew(vector_rad)
    if angle < 1e-8:
        return nearest_rotation(np.eye(3) + matrix)
    return (
        np.eye(3)
        + np.sin(angle) / angle * matrix
        + (1 - np.cos(angle)) / angle**2 * matrix @ matrix
    )


def nearest_rotation(matrix: np.ndarray) -> np.ndarray:
    """The rotation (3, 3) nearest to a matrix (3, 3) that drifted from orthonormal by rounding."""
    u, _, vt = np.linalg.svd(matrix)
    return u @ np.diag([1.0, 1.0, np.linalg.det(u @ vt)]) @ vt


def twist_of(previous_from_current: np.ndarray, dt_s: float) -> np.ndarray:
    """Linear and angular velocity (6,) in the moving frame's own axes, constant over the step."""
    # The camera's displacement seen from where it was, turned into the axes it has now.
    linear = previous_from_current[:3, :3].T @ previous_from_current[:3, 3]
    return np.concatenate([linear, rotation_vector(previous_from_current[:3, :3])]) / dt_s


@dataclass(frozen=True)
class TrajectoryPose:
    """A pose of the moving camera and its covariance (6, 6), in the camera's own axes."""

    start_from_camera: np.ndarray
    covariance: np.ndarray


class Trajectory:
    """The pose of the newest frame: start_from_current = start_from_previous @
    previous_from_current."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Back to the identity, known exactly."""
        self.newest = TrajectoryPose(np.eye(4), np.zeros((6, 6)))

    def continue_from(self, start_from_camera: np.ndarray, covariance: np.ndarray) -> None:
        """Put the newest frame at a pose (4, 4) that is known from elsewhere, with its
        covariance (6, 6) in the camera's own axes."""
        self.newest = TrajectoryPose(start_from_camera, covariance)

    def append(self, previous_from_current: np.ndarray, covariance: np.ndarray) -> TrajectoryPose:
        """Chain one motion (4, 4) with its covariance (6, 6): P' = Ad P Ad^T + Q, Ad of
        current_from_previous."""
        pose = self.newest.start_from_camera @ previous_from_current
        pose[:3, :3] = nearest_rotation(pose[:3, :3])
        pose[3] = (0.0, 0.0, 0.0, 1.0)
        carry = adjoint(invert_rigid(previous_from_current))
        carried = carry @ self.newest.covariance @ carry.T + covariance
        self.newest = TrajectoryPose(pose, (carried + carried.T) / 2)
        return self.newest
