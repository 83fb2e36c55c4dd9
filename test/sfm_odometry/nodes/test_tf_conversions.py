"""Conversion from camera to base: twists and covariances against numeric differentiation."""

import numpy as np
import pytest
import tf_transformations
from std_msgs.msg import Header

from sfm_odometry.geometry import se3
from sfm_odometry.nodes import tf_conversions

RNG = np.random.default_rng(11)


def random_pose() -> np.ndarray:
    pose = np.eye(4)
    pose[:3, :3] = se3.so3_exp(RNG.uniform(-1, 1, 3))
    pose[:3, 3] = RNG.uniform(-3, 3, 3)
    return pose


def perturbed(pose: np.ndarray, small: np.ndarray) -> np.ndarray:
    """Returns pose exp(small), to first order in the translation."""
    step = np.eye(4)
    step[:3, :3] = se3.so3_exp(small[3:])
    step[:3, 3] = small[:3]
    return pose @ step


def test_optical_axes_become_body_axes() -> None:
    axes = tf_conversions.BASE_FROM_OPTICAL[:3, :3]
    np.testing.assert_array_equal(axes @ [0, 0, 1], [1, 0, 0])  # forward
    np.testing.assert_array_equal(axes @ [1, 0, 0], [0, -1, 0])  # right
    np.testing.assert_array_equal(axes @ [0, 1, 0], [0, 0, -1])  # down
    assert np.linalg.det(axes) == pytest.approx(1.0)


def test_base_starts_at_the_origin_wherever_the_camera_is() -> None:
    np.testing.assert_allclose(
        tf_conversions.base_pose(random_pose(), np.eye(4)), np.eye(4), atol=1e-12
    )


def test_camera_and_base_agree_on_where_the_camera_is() -> None:
    base_from_camera = random_pose()
    start_from_camera = random_pose()
    odom_from_base = tf_conversions.base_pose(base_from_camera, start_from_camera)
    np.testing.assert_allclose(
        odom_from_base @ base_from_camera, base_from_camera @ start_from_camera, atol=1e-12
    )


def test_twist_of_the_base_is_the_derivative_of_its_pose() -> None:
    base_from_camera = random_pose()
    start_from_camera = random_pose()
    twist = RNG.uniform(-1, 1, 6)
    step_s = 1e-6
    before = tf_conversions.base_pose(
        base_from_camera, perturbed(start_from_camera, -twist * step_s / 2)
    )
    after = tf_conversions.base_pose(
        base_from_camera, perturbed(start_from_camera, twist * step_s / 2)
    )
    motion = se3.inverse(before) @ after
    numeric = np.concatenate([motion[:3, 3], se3.so3_log(motion[:3, :3])]) / step_s
    np.testing.assert_allclose(se3.adjoint(base_from_camera) @ twist, numeric, atol=1e-5)


def test_twist_of_a_camera_ahead_of_a_turning_base() -> None:
    base_from_camera = tf_conversions.BASE_FROM_OPTICAL.copy()
    base_from_camera[:3, 3] = [2.0, 0.0, 1.0]
    # The robot turns left about its own origin at 0.5 rad/s: the camera, 2 m ahead, moves left at
    # 1 m/s.
    twist_of_camera = np.array([-1.0, 0.0, 0.0, 0.0, -0.5, 0.0])
    np.testing.assert_allclose(
        se3.adjoint(base_from_camera) @ twist_of_camera, [0, 0, 0, 0, 0, 0.5], atol=1e-12
    )


def test_pose_covariance_is_that_of_position_and_fixed_axis_rotation() -> None:
    base_from_camera = random_pose()
    start_from_camera = random_pose()
    root = RNG.uniform(-1, 1, (6, 6))
    covariance = root @ root.T
    odom_from_base = tf_conversions.base_pose(base_from_camera, start_from_camera)
    jacobian = np.zeros((6, 6))
    for column in range(6):
        small = np.zeros(6)
        small[column] = 1e-6
        disturbed = tf_conversions.base_pose(base_from_camera, perturbed(start_from_camera, small))
        about_fixed_axes = disturbed[:3, :3] @ odom_from_base[:3, :3].T
        jacobian[:, column] = (
            np.concatenate(
                [disturbed[:3, 3] - odom_from_base[:3, 3], se3.so3_log(about_fixed_axes)]
            )
            / 1e-6
        )
    result = tf_conversions.base_pose_covariance(base_from_camera, odom_from_base, covariance)
    np.testing.assert_allclose(result, jacobian @ covariance @ jacobian.T, atol=1e-3)
    np.testing.assert_array_equal(result, result.T)
    assert np.linalg.eigvalsh(result).min() > 0


def test_messages_round_trip_to_rounding() -> None:
    for _ in range(20):
        pose = random_pose()
        stamped = tf_conversions.transform_message(pose, "odom", "base", Header())
        assert (stamped.header.frame_id, stamped.child_frame_id) == ("odom", "base")
        np.testing.assert_allclose(
            tf_conversions.matrix_from_transform(stamped.transform), pose, atol=1e-12
        )
        message = tf_conversions.pose_message(pose)
        np.testing.assert_allclose(tf_conversions.matrix_from_pose(message), pose, atol=1e-12)
        q = message.orientation
        assert abs(q.x**2 + q.y**2 + q.z**2 + q.w**2 - 1.0) < 1e-9


@pytest.mark.parametrize(
    "axis", [(1, 0, 0), (0, 1, 0), (0, 0, 1), (-1, 2, 3), (3, -1, 2), (2, 3, -1)]
)
@pytest.mark.parametrize("angle_rad", [0.0, 1e-9, 0.5, 2.0, 3.1, np.pi, -3.1])
def test_quaternions_of_tf_transformations_are_those_of_se3(axis: tuple, angle_rad: float) -> None:
    rotation = se3.so3_exp(np.array(axis) / np.linalg.norm(axis) * angle_rad)
    found = se3.quaternions_xyzw_from_rotations(rotation[None])[0]
    assert np.linalg.norm(found) == pytest.approx(1.0, abs=1e-15)
    assert found[3] >= 0.0
    pose = np.eye(4)
    pose[:3, :3] = rotation
    expected = tf_transformations.quaternion_from_matrix(pose)
    assert abs(found @ expected) == pytest.approx(
        1.0, abs=1e-12
    )  # of half a turn both signs are right


def test_quaternions_need_not_be_of_unit_length() -> None:
    np.testing.assert_allclose(
        tf_conversions.rigid_transform([1, 2, 3], [0, 0, 2, 2]),
        [[0, -1, 0, 1], [1, 0, 0, 2], [0, 0, 1, 3], [0, 0, 0, 1]],
        atol=1e-12,
    )
