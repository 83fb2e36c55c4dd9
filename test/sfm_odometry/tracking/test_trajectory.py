"""Trajectory: twists, chained poses and their covariances."""

import numpy as np
import pytest

from sfm_odometry.geometry import se3
from sfm_odometry.tracking.trajectory import Trajectory, twist_of


def rigid(translation, rotation_rad):
    result = np.eye(4)
    result[:3, :3] = se3.so3_exp(np.array(rotation_rad, float))
    result[:3, 3] = translation
    return result


def small_motion(xi):
    result = np.eye(4)
    result[:3, :3] = se3.so3_exp(xi[3:])
    result[:3, 3] = xi[:3]
    return result


STEP = rigid([0.1, -0.02, 1.0], [0.01, 0.03, -0.005])


def test_twist_of_a_constant_turn_is_tangential():
    """On a circle, the velocity in the moving frame's own axes is forward to first order."""
    angle = 1e-3
    radius = 10.0
    step = rigid([radius * (1 - np.cos(angle)), 0.0, radius * np.sin(angle)], [0.0, angle, 0.0])
    twist = twist_of(step, 0.1)
    assert twist[2] == pytest.approx(radius * angle / 0.1, rel=1e-5)
    assert abs(twist[0]) < 1e-3 * twist[2]
    assert twist[3:] == pytest.approx([0.0, angle / 0.1, 0.0])


def test_rotation_stays_orthonormal_over_many_steps():
    trajectory = Trajectory()
    for _ in range(20_000):
        pose = trajectory.append(STEP, np.eye(6) * 1e-6).start_from_camera
    assert pose[:3, :3] @ pose[:3, :3].T == pytest.approx(np.eye(3), abs=1e-13)


def test_covariance_agrees_with_sampled_trajectories():
    random = np.random.default_rng(0)
    sigma = np.array([0.01, 0.01, 0.03, 0.002, 0.004, 0.002])
    trajectory = Trajectory()
    for _ in range(10):
        newest = trajectory.append(STEP, np.diag(sigma**2))
    errors = []
    for _ in range(4000):
        pose = np.eye(4)
        for _ in range(10):
            pose = pose @ STEP @ small_motion(random.normal(size=6) * sigma)
        difference = se3.inverse(newest.start_from_camera) @ pose
        errors.append(np.concatenate([difference[:3, 3], se3.so3_log(difference[:3, :3])]))
    sampled = np.cov(np.array(errors).T)
    scale = np.sqrt(np.outer(np.diag(newest.covariance), np.diag(newest.covariance)))
    assert sampled / scale == pytest.approx(newest.covariance / scale, abs=0.08)
