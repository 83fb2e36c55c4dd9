import numpy as np
import pytest

from sfm_odometry.tracking.trajectory import (
    Trajectory,
    adjoint,
    invert_rigid,
    nearest_rotation,
    rotation_from_vector,
    rotation_vector,
    skew,
    twist_of,
)


def rigid(translation, rotation_rad):
    result = np.eye(4)
    result[:3, :3] = rotation_from_vector(np.array(rotation_rad, float))
    result[:3, 3] = translation
    return result


def small_motion(xi):
    result = np.eye(4)
    result[:3, :3] = rotation_from_vector(xi[3:])
    result[:3, 3] = xi[:3]
    return result


STEP = rigid([0.1, -0.02, 1.0], [0.01, 0.03, -0.005])


def test_inverse_undoes_the_motion():
    assert invert_rigid(STEP) @ STEP == pytest.approx(np.eye(4), abs=1e-15)


@pytest.mark.parametrize(
    "vector", [[0.0, 0.0, 0.0], [1e-10, 0.0, 0.0], [0.3, -1.0, 2.0], [0.0, 3.1, 0.0]]
)
def test_rotation_vector_round_trip(vector):
    rotation = rotation_from_vector(np.array(vector))
    assert rotation @ rotation.T == pytest.approx(np.eye(3), abs=1e-12)
    assert rotation_vector(rotation) == pytest.approx(vector, abs=1e-9)


def test_adjoint_moves_a_small_motion_between_frames():
    xi = np.array([1e-6, -2e-6, 3e-6, 2e-6, 1e-6, -1e-6])
    in_b = STEP @ small_motion(xi) @ invert_rigid(STEP)
    assert small_motion(adjoint(STEP) @ xi) == pytest.approx(in_b, abs=1e-11)


def test_nearest_rotation_mends_rounding():
    rotation = rotation_from_vector(np.array([0.2, 0.1, -0.4]))
    assert nearest_rotation(rotation + 1e-6) == pytest.approx(rotation, abs=3e-6)
    mended = nearest_rotation(rotation + 1e-6)
    assert mended @ mended.T == pytest.approx(np.eye(3), abs=1e-14)


def test_twist_of_a_constant_turn_is_tangential():
    """Half of a circle's small arc: the velocity in the moving frame's own axes is forward, not
    sideways, to first order."""
    angle, radius = 1e-3, 10.0
    step = rigid([radius * (1 - np.cos(angle)), 0.0, radius * np.sin(angle)], [0.0, angle, 0.0])
    twist = twist_of(step, 0.1)
    assert twist[2] == pytest.approx(radius * angle / 0.1, rel=1e-5)
    assert abs(twist[0]) < 1e-3 * twist[2]
    assert twist[3:] == pytest.approx([0.0, angle / 0.1, 0.0])


def test_chaining_stays_orthonormal_over_many_steps():
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
        difference = invert_rigid(newest.start_from_camera) @ pose
        errors.append(np.concatenate([difference[:3, 3], rotation_vector(difference[:3, :3])]))
    sampled = np.cov(np.array(errors).T)
    scale = np.sqrt(np.outer(np.diag(newest.covariance), np.diag(newest.covariance)))
    assert sampled / scale == pytest.approx(newest.covariance / scale, abs=0.08)


def test_skew_is_the_cross_product():
    a, b = np.array([1.0, 2.0, 3.0]), np.array([-2.0, 0.5, 4.0])
    assert skew(a) @ b == pytest.approx(np.cross(a, b))
