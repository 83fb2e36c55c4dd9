"""Behaviour of tf_transformations; where a ROS 2 is sourced, that of the original."""

import math
from itertools import pairwise

import numpy as np
import pytest
import tf_transformations as tf

GENERATOR = np.random.default_rng(0)
QUATERNIONS = [q / np.linalg.norm(q) for q in GENERATOR.normal(size=(20, 4))]


def same_rotation(a: np.ndarray, b: np.ndarray) -> bool:
    return abs(abs(float(np.dot(a, b))) - 1.0) < 1e-12


def test_w_comes_last() -> None:
    assert tf.quaternion_from_matrix(np.eye(4)) == pytest.approx((0, 0, 0, 1))
    assert tf.quaternion_about_axis(math.pi, (0, 0, 2)) == pytest.approx((0, 0, 1, 0))


def test_a_quarter_turn_about_z_takes_x_to_y() -> None:
    half = math.sqrt(0.5)
    np.testing.assert_allclose(
        tf.quaternion_matrix((0, 0, half, half)) @ (1, 0, 0, 1), (0, 1, 0, 1), atol=1e-15
    )
    assert tf.quaternion_from_euler(0, 0, math.pi / 2) == pytest.approx((0, 0, half, half))


@pytest.mark.parametrize("quaternion", QUATERNIONS)
def test_matrix_round_trip(quaternion: np.ndarray) -> None:
    matrix = tf.quaternion_matrix(quaternion)
    np.testing.assert_allclose(matrix[:3, :3] @ matrix[:3, :3].T, np.eye(3), atol=1e-12)
    assert np.linalg.det(matrix) == pytest.approx(1.0)
    found = np.array(tf.quaternion_from_matrix(tf.translation_matrix((1, 2, 3)) @ matrix))
    assert same_rotation(found, quaternion)
    assert found[3] >= 0.0


@pytest.mark.parametrize("a, b", list(pairwise(QUATERNIONS)))
def test_product_is_the_product_of_matrices(a: np.ndarray, b: np.ndarray) -> None:
    product = tf.quaternion_matrix(tf.quaternion_multiply(a, b))
    np.testing.assert_allclose(
        product,
        tf.concatenate_matrices(tf.quaternion_matrix(a), tf.quaternion_matrix(b)),
        atol=1e-12,
    )
    assert tf.quaternion_multiply(3.0 * a, tf.quaternion_inverse(3.0 * a)) == pytest.approx(
        (0, 0, 0, 1), abs=1e-12
    )
    np.testing.assert_allclose(tf.quaternion_conjugate(a), tf.quaternion_inverse(a), atol=1e-12)


@pytest.mark.parametrize("axes", ["sxyz", "rzyx", "szyx"])
def test_euler_round_trip(axes: str) -> None:
    angles = (0.3, -0.7, 2.1)
    assert tf.euler_from_quaternion(tf.quaternion_from_euler(*angles, axes), axes) == pytest.approx(
        angles
    )
    assert tf.euler_from_matrix(tf.euler_matrix(*angles, axes), axes) == pytest.approx(angles)


def test_fixed_axes_are_applied_in_the_order_of_their_letters() -> None:
    roll, pitch, yaw = (tf.euler_matrix(*angles) for angles in np.diag((0.3, -0.7, 2.1)))
    np.testing.assert_allclose(tf.euler_matrix(0.3, -0.7, 2.1), yaw @ pitch @ roll, atol=1e-12)


def test_slerp_turns_evenly_and_the_shorter_way() -> None:
    start = tf.quaternion_about_axis(0.2, (0, 1, 0))
    end = tf.quaternion_about_axis(1.0, (0, 1, 0))
    for fraction in (0.0, 0.25, 1.0):
        expected = tf.quaternion_about_axis(0.2 + 0.8 * fraction, (0, 1, 0))
        np.testing.assert_allclose(tf.quaternion_slerp(start, end, fraction), expected, atol=1e-12)
    through_the_other_sign = tf.quaternion_slerp(start, -np.array(end), 0.5)
    assert same_rotation(through_the_other_sign, np.array(tf.quaternion_about_axis(0.6, (0, 1, 0))))


def test_translation_and_inverse() -> None:
    matrix = tf.concatenate_matrices(
        tf.translation_matrix((1, 2, 3)), tf.quaternion_matrix(QUATERNIONS[0])
    )
    np.testing.assert_allclose(tf.translation_from_matrix(matrix), (1, 2, 3))
    assert tf.is_same_transform(
        tf.concatenate_matrices(matrix, tf.inverse_matrix(matrix)), tf.identity_matrix()
    )
