"""Settings of a running node: pose, rate, waiting time, covariance, recovery, and the path."""

import time

import numpy as np
import pytest
from geometry_msgs.msg import PoseWithCovarianceStamped
from nav_msgs.msg import Path as PathMessage
from tf2_ros import StaticTransformBroadcaster

from sfm_odometry.errors import InputError
from sfm_odometry.inference.estimator import Estimator
from sfm_odometry.nodes import path_output, tf_conversions
from sfm_odometry.nodes.conversions import stamp_to_ns
from sfm_odometry.nodes.players.drive import Mounting
from sfm_odometry.nodes.pose_reset import PoseReset

START_NS = 1_700_000_000_000_000_000
MOUNTING = Mounting(camera_height_m=1.2)
SET_POSE = np.array([[0.0, -1, 0, 50], [1, 0, 0, -20], [0, 0, 1, 3], [0, 0, 0, 1]])
SET_COVARIANCE = np.diag([0.4, 0.5, 0.6, 0.01, 0.02, 0.03])


def pose_of(message) -> np.ndarray:
    return tf_conversions.matrix_from_pose(message.pose.pose)


def covariance_of(message) -> np.ndarray:
    return np.reshape(message.pose.covariance, (6, 6))


def pose_message(
    pose: np.ndarray = SET_POSE, frame: str = "odom", covariance: np.ndarray = SET_COVARIANCE
) -> PoseWithCovarianceStamped:
    message = PoseWithCovarianceStamped()
    message.header.frame_id = frame
    message.pose.pose = tf_conversions.pose_message(pose)
    message.pose.covariance = covariance.ravel()
    return message


def set_pose(rig, message: PoseWithCovarianceStamped, counter: str = "poses_set") -> None:
    publisher = rig.camera.create_publisher(PoseWithCovarianceStamped, "set_pose", 10)
    rig.spinner.until(
        lambda: publisher.get_subscription_count() == 1, "the subscription of set_pose"
    )
    publisher.publish(message)
    rig.spinner.until(lambda: rig.count(counter) == 1, counter)


def drive(rig, indices: range, count: int) -> None:
    for index in indices:
        rig.send(index)
    rig.spinner.until(lambda: len(rig.received.odom) == count, f"{count} odometry messages")


def test_conversion_between_base_and_camera_pose() -> None:
    reset = PoseReset.from_message(pose_message(), "odom")
    base_from_camera = MOUNTING.base_from_camera()
    start_from_camera, covariance = reset.camera_pose(base_from_camera)
    np.testing.assert_allclose(
        tf_conversions.base_pose(base_from_camera, start_from_camera), SET_POSE, atol=1e-12
    )
    np.testing.assert_allclose(
        tf_conversions.base_pose_covariance(base_from_camera, SET_POSE, covariance),
        SET_COVARIANCE,
        atol=1e-12,
    )


def test_odometry_continues_from_a_set_pose(rig) -> None:
    rig.start()
    drive(rig, range(7), 7)
    set_pose(rig, pose_message())
    drive(rig, range(7, 9), 9)
    before = pose_of(rig.received.odom[6])
    after = pose_of(rig.received.odom[7])
    motions = [motion for result in rig.expected(9) for motion in result.motions]
    unchanged = [
        tf_conversions.base_pose(MOUNTING.base_from_camera(), motion.start_from_camera)
        for motion in motions
    ]
    np.testing.assert_allclose(before, unchanged[6], atol=1e-9)
    np.testing.assert_allclose(
        after, SET_POSE @ np.linalg.inv(unchanged[6]) @ unchanged[7], atol=1e-9
    )
    assert (np.diag(covariance_of(rig.received.odom[7])) >= np.diag(SET_COVARIANCE)).all()
    transforms = [transform for message in rig.received.tf for transform in message.transforms]
    stamps = [stamp_to_ns(transform.header.stamp) for transform in transforms]
    assert stamps == sorted(set(stamps))
    assert any("pose set to 50.00, -20.00, 3.00 in odom" in line for line in rig.whole_log())


def test_a_pose_set_before_the_first_image_is_the_start(rig) -> None:
    rig.start()
    set_pose(rig, pose_message())
    drive(rig, range(5), 5)
    np.testing.assert_allclose(pose_of(rig.received.odom[0]), SET_POSE, atol=1e-9)
    assert rig.trigger("reset").success  # a reset discards the pose
    drive(rig, range(5, 10), 10)
    np.testing.assert_allclose(pose_of(rig.received.odom[5]), np.eye(4), atol=1e-9)


def test_a_pose_in_another_frame_is_refused_and_logged(rig) -> None:
    rig.start()
    drive(rig, range(6), 6)
    set_pose(rig, pose_message(frame="map"), "poses_refused")
    rig.spinner.until(lambda: rig.logged("set_pose is in frame 'map', expected 'odom'"))
    drive(rig, range(6, 7), 7)
    start_from_camera = rig.expected(7)[-1].motions[-1].start_from_camera
    np.testing.assert_allclose(
        pose_of(rig.received.odom[-1]),
        tf_conversions.base_pose(MOUNTING.base_from_camera(), start_from_camera),
        atol=1e-9,
    )


@pytest.mark.parametrize(
    "quaternion", [(0.0, 0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 2.0), (float("nan"), 0.0, 0.0, 1.0)]
)
def test_numbers_that_are_no_pose_are_refused(quaternion: tuple[float, ...]) -> None:
    message = pose_message()
    for axis, value in zip("xyzw", quaternion, strict=True):
        setattr(message.pose.pose.orientation, axis, value)
    with pytest.raises(InputError, match="expected finite numbers and a quaternion of length 1"):
        PoseReset.from_message(message, "odom")


def test_a_matrix_that_is_no_covariance_is_refused() -> None:
    with pytest.raises(
        InputError, match="a covariance that is not finite or has a negative variance"
    ):
        PoseReset.from_message(pose_message(covariance=np.diag([1.0, 1, 1, 1, 1, -1])), "odom")


def test_the_rate_is_limited_by_stamps_and_counted(rig) -> None:
    rig.start(max_update_rate=10.0)
    sent = [rig.send(index, START_NS + index * 50_000_000) for index in range(20)]  # 20 Hz
    rig.spinner.until(lambda: len(rig.received.odom) == 10, "every other frame")
    assert [stamp_to_ns(message.header.stamp) for message in rig.received.odom] == sent[::2]
    status = rig.status()
    assert (status["frames_received"], status["frames_dropped"], status["dropped_over_rate"]) == (
        "20",
        "10",
        "10",
    )
    assert status["frames_missing"] == "0"


@pytest.mark.parametrize(("limit_s", "processed"), [(0.2, 1), (60.0, 2)])
def test_the_newest_frame_waits_for_the_transform_until_a_limit(
    rig, limit_s: float, processed: int
) -> None:
    rig.start(send_tf=False, always_process_most_recent_frame=True, wait_for_transform=limit_s)
    rig.send(0)
    rig.wait_for_state("waiting_tf")
    time.sleep(0.4)
    rig.tf = StaticTransformBroadcaster(rig.camera)
    rig.tf.sendTransform(MOUNTING.static_transform(START_NS))
    rig.spinner.until(lambda: rig.node.session.extrinsics.base_from_camera is not None)
    rig.spinner.until(lambda: rig.count("frames_processed") + rig.count("dropped_waiting") == 1)
    rig.send(1)
    rig.spinner.until(lambda: rig.count("frames_processed") == processed)
    assert rig.count("dropped_waiting") == 2 - processed


def test_covariances_are_multiplied(rig) -> None:
    rig.start(**{"covariance.factor": 9.0})
    drive(rig, range(6), 6)
    motion = rig.expected(6)[-1].motions[-1]
    odom_from_base = tf_conversions.base_pose(MOUNTING.base_from_camera(), motion.start_from_camera)
    expected = tf_conversions.base_pose_covariance(
        MOUNTING.base_from_camera(), odom_from_base, motion.pose_covariance
    )
    np.testing.assert_allclose(
        covariance_of(rig.received.odom[-1]), 9.0 * expected, rtol=1e-6, atol=1e-12
    )


def break_motion(monkeypatch: pytest.MonkeyPatch, distance: float) -> None:
    """Make the networks' motions implausible: their x translation is `distance`."""
    motion = Estimator.motion

    def broken(
        self: Estimator, *arguments: object, **keywords: object
    ) -> tuple[np.ndarray, np.ndarray | None]:
        chain, mask = motion(self, *arguments, **keywords)
        chain[:, 0, 3] = distance
        return chain, mask

    monkeypatch.setattr(Estimator, "motion", broken)


@pytest.mark.parametrize("distance", [np.nan, np.inf, 1e6])
def test_an_implausible_motion_is_not_integrated_and_recovered_from(
    rig, monkeypatch: pytest.MonkeyPatch, distance: float
) -> None:
    rig.start(refine=False)
    drive(rig, range(6), 6)
    with monkeypatch.context() as fault:
        break_motion(fault, distance)
        for index in range(6, 12):
            rig.send(index)
        rig.spinner.until(lambda: rig.count("frames_processed") == 12)
        assert rig.node.state.name == "lost"  # also while the window refills
        assert len(rig.received.odom) == 6
    drive(rig, range(12, 17), 11)  # lost at 6 and 11; frames 12 to 16 fill the next window
    assert rig.node.state.name == "tracking"
    assert rig.count("losses") == 2


def test_recovery_goes_on_from_the_last_pose_with_less_trust(
    rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.start(refine=False)
    drive(rig, range(6), 6)
    with monkeypatch.context() as fault:
        break_motion(fault, np.nan)
        rig.send(6)
        rig.wait_for_state("lost")
    drive(rig, range(7, 12), 11)
    assert rig.node.state.name == "tracking"
    last = rig.received.odom[5]
    next_ = rig.received.odom[6]
    assert np.linalg.norm((np.linalg.inv(pose_of(last)) @ pose_of(next_))[:3, 3]) < 5.0
    grown = [
        np.trace(covariance_of(after) - covariance_of(before))
        for before, after in zip(rig.received.odom, rig.received.odom[1:], strict=False)
    ]
    assert grown[5] > 5 * np.median(grown[:5])
    assert rig.status()["losses"] == "1"


@pytest.mark.parametrize(("limit_s", "resets"), [(0.0, 0), (0.45, 1)])
def test_after_a_long_loss_a_new_trajectory_starts_if_asked(
    rig, monkeypatch: pytest.MonkeyPatch, limit_s: float, resets: int
) -> None:
    rig.start(refine=False, **{"lost.reset_after": limit_s})
    set_pose(rig, pose_message())
    drive(rig, range(6), 6)
    with monkeypatch.context() as fault:
        break_motion(fault, np.nan)
        for index in range(6, 12):  # lost at 6, and again at 11, 0.5 s later
            rig.send(index)
        rig.spinner.until(lambda: rig.count("frames_processed") == 12)
    assert rig.count("resets") == resets
    drive(rig, range(12, 17), 11)
    at_origin = np.allclose(pose_of(rig.received.odom[6])[:3, 3], 0.0, atol=1e-9)
    assert at_origin == bool(resets)
    assert (
        sum(
            "lost for 0.45 s: a new trajectory starts at the origin" in line
            for line in rig.whole_log()
        )
        == resets
    )


def test_the_path_is_the_odometry_and_bounded(rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(path_output, "PUBLISH_PERIOD_S", 0.0)
    paths = rig.listen(PathMessage, "path", "path")
    rig.start(**{"path.max_length": 4})
    rig.spinner.until(lambda: rig.outputs.path.has_subscribers)
    drive(rig, range(8), 8)
    rig.spinner.until(lambda: len(paths) >= 4 and paths[-1].header == rig.received.odom[-1].header)
    assert paths[-1].header.frame_id == "odom"
    assert [pose.header for pose in paths[-1].poses] == [
        odometry.header for odometry in rig.received.odom[-4:]
    ]
    assert [pose.pose for pose in paths[-1].poses] == [
        odometry.pose.pose for odometry in rig.received.odom[-4:]
    ]
    rig.trigger("reset")
    for index in range(8, 13):
        rig.send(index)
    rig.spinner.until(
        lambda: (
            len(rig.received.odom) == 13
            and stamp_to_ns(paths[-1].poses[-1].header.stamp) == START_NS + 1_200_000_000
        )
    )
    # The new path has no pose from before the reset.
    assert stamp_to_ns(paths[-1].poses[0].header.stamp) >= START_NS + 900_000_000
    assert len(paths[-1].poses) == 4


def test_the_path_is_published_at_most_once_a_period(rig) -> None:
    paths = rig.listen(PathMessage, "path", "path")
    rig.start()
    rig.spinner.until(lambda: rig.outputs.path.has_subscribers)
    start_s = time.monotonic()
    drive(rig, range(10), 10)
    rig.spinner.until(lambda: paths)
    assert len(paths) <= 1 + (time.monotonic() - start_s) / path_output.PUBLISH_PERIOD_S
