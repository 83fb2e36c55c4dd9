"""SE(3) and SO(3): inverse, adjoint, exponential, logarithm and quaternions."""

import cv2
import numpy as np
import pytest

from sfm_odometry.geometry import se3


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


def test_inverse_undoes_the_motion():
    assert se3.inverse(STEP) @ STEP == pytest.approx(np.eye(4), abs=1e-15)


@pytest.mark.parametrize(
    "vector", [[0.0, 0.0, 0.0], [1e-10, 0.0, 0.0], [0.3, -1.0, 2.0], [0.0, 3.1, 0.0]]
)
def test_rotation_vector_round_trip(vector):
    rotation = se3.so3_exp(np.array(vector))
    assert rotation @ rotation.T == pytest.approx(np.eye(3), abs=1e-12)
    assert se3.so3_log(rotation) == pytest.approx(vector, abs=1e-9)


def test_adjoint_moves_a_small_motion_between_frames():
    xi = np.array([1e-6, -2e-6, 3e-6, 2e-6, 1e-6, -1e-6])
    in_b = STEP @ small_motion(xi) @ se3.inverse(STEP)
    assert small_motion(se3.adjoint(STEP) @ xi) == pytest.approx(in_b, abs=1e-11)


def test_nearest_rotation_mends_rounding():
    rotation = se3.so3_exp(np.array([0.2, 0.1, -0.4]))
    assert se3.nearest_rotation(rotation + 1e-6) == pytest.approx(rotation, abs=3e-6)
    mended = se3.nearest_rotation(rotation + 1e-6)
    assert mended @ mended.T == pytest.approx(np.eye(3), abs=1e-14)


def test_hat_is_the_cross_product():
    a = np.array([1.0, 2.0, 3.0])
    b = np.array([-2.0, 0.5, 4.0])
    assert se3.hat(a) @ b == pytest.approx(np.cross(a, b))


def test_quaternions_are_exact_at_every_angle_and_have_positive_w():
    axes = np.random.default_rng(1).normal(size=(40, 3))
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    for angle in (0.0, 1e-9, 1e-3, 1.0, 3.0, np.pi - 1e-9, np.pi):
        rotations = np.array([cv2.Rodrigues(axis * angle)[0] for axis in axes])
        quaternions = se3.quaternions_xyzw_from_rotations(rotations)
        assert (quaternions[:, 3] >= 0).all()
        np.testing.assert_allclose(np.linalg.norm(quaternions, axis=1), 1.0, rtol=1e-15)
        np.testing.assert_allclose(
            se3.rotations_from_quaternions_xyzw(quaternions), rotations, atol=1e-14
        )


def test_half_turns_about_each_axis():
    rotations = np.array(
        [np.diag(signs) for signs in ([1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1])],
        dtype=float,
    )
    np.testing.assert_array_equal(
        np.abs(se3.quaternions_xyzw_from_rotations(rotations)), np.eye(4)[[3, 0, 1, 2]]
    )


def test_scaling_changes_the_length_alone_and_leaves_the_motion_as_it_was():
    motion = np.eye(4)
    motion[:3, :3] = se3.so3_exp(np.array([0.1, -0.2, 0.3]))
    motion[:3, 3] = (1.0, -2.0, 4.0)
    before = motion.copy()
    scaled = se3.scaled(motion, 0.5)
    assert scaled[:3, 3].tolist() == [0.5, -1.0, 2.0]
    assert np.array_equal(scaled[:3, :3], before[:3, :3]) and np.array_equal(motion, before)
