"""The node with real rclpy: its outputs against those of the core on the same frames."""

import threading
from pathlib import Path

import numpy as np
import pytest
from cv_bridge import CvBridge
from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState
from nav_msgs.msg import Odometry
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from tf2_ros import StaticTransformBroadcaster

from sfm_odometry.errors import InputError
from sfm_odometry.nodes import tf_conversions
from sfm_odometry.nodes.conversions import stamp_to_ns
from sfm_odometry.nodes.odometry_node import OdometryNode
from sfm_odometry.nodes.players.drive import DriveMessages, Mounting
from sfm_odometry.odometry import MonocularOdometry
from sfm_odometry.results import DenseMap, OdometryResult

START_NS = 1_700_000_000_000_000_000
MOUNTING = Mounting(camera_height_m=1.2)


def stamps(messages: list) -> list[int]:
    """Stamps of messages in nanoseconds."""
    return [stamp_to_ns(message.header.stamp) for message in messages]


def pose_of(message: Odometry) -> np.ndarray:
    """Pose (4, 4) of an odometry message."""
    return tf_conversions.matrix_from_pose(message.pose.pose)


def test_odometry_is_the_cores_in_the_base_frame(rig) -> None:
    rig.start()
    sent = [rig.send(index) for index in range(8)]
    rig.spinner.until(lambda: len(rig.received.odom) == 8, "odometry of every frame")
    assert stamps(rig.received.odom) == sent
    motions = [motion for result in rig.expected(8) for motion in result.motions]
    base_from_camera = MOUNTING.base_from_camera()
    camera_from_base = np.linalg.inv(base_from_camera)
    for message, motion in zip(rig.received.odom, motions, strict=True):
        assert (message.header.frame_id, message.child_frame_id) == ("odom", "base_link")
        np.testing.assert_allclose(
            pose_of(message),
            base_from_camera @ motion.start_from_camera @ camera_from_base,
            atol=1e-9,
        )
        linear = message.twist.twist.linear
        angular = message.twist.twist.angular
        rotation_rate = base_from_camera[:3, :3] @ motion.twist[3:]
        np.testing.assert_allclose([angular.x, angular.y, angular.z], rotation_rate, atol=1e-9)
        expected = base_from_camera[:3, :3] @ motion.twist[:3] + np.cross(
            base_from_camera[:3, 3], rotation_rate
        )
        np.testing.assert_allclose([linear.x, linear.y, linear.z], expected, atol=1e-9)
        for covariance in (message.pose.covariance, message.twist.covariance):
            matrix = np.array(covariance).reshape(6, 6)
            np.testing.assert_array_equal(matrix, matrix.T)
            assert np.linalg.eigvalsh(matrix).min() > 0
    np.testing.assert_allclose(pose_of(rig.received.odom[0]), np.eye(4), atol=1e-12)
    assert np.linalg.norm(pose_of(rig.received.odom[7])[:3, 3]) > 1e-6


def test_tf_is_the_odometry(rig) -> None:
    rig.start()
    for index in range(7):
        rig.send(index)
    rig.spinner.until(lambda: len(rig.received.odom) == 7 and len(rig.received.tf) == 7)
    transforms = [transform for message in rig.received.tf for transform in message.transforms]
    assert stamps(transforms) == stamps(rig.received.odom)
    for transform, message in zip(transforms, rig.received.odom, strict=True):
        assert (transform.header.frame_id, transform.child_frame_id) == ("odom", "base_link")
        np.testing.assert_allclose(
            tf_conversions.matrix_from_transform(transform.transform), pose_of(message), atol=1e-12
        )


def test_inverted_tf_has_the_base_as_parent(rig) -> None:
    rig.start(invert_tf=True)
    for index in range(6):
        rig.send(index)
    rig.spinner.until(lambda: len(rig.received.odom) == 6 and len(rig.received.tf) == 6)
    (transform,) = rig.received.tf[-1].transforms
    assert (transform.header.frame_id, transform.child_frame_id) == ("base_link", "odom")
    np.testing.assert_allclose(
        tf_conversions.matrix_from_transform(transform.transform) @ pose_of(rig.received.odom[-1]),
        np.eye(4),
        atol=1e-9,
    )


def test_depth_and_masks_are_the_cores_with_their_stamps(rig) -> None:
    rig.listen_to_images()
    rig.start()
    rig.wait_for_image_subscriptions()
    sent = [rig.send(index) for index in range(7)]
    rig.spinner.until(
        lambda: (
            len(rig.received.depth) == len(rig.received.depth_info) == 7
            and len(rig.received.mask) == len(rig.received.mask_info) == 3
        )
    )
    results = rig.expected(7)
    assert stamps(rig.received.depth) == stamps(rig.received.depth_info) == sent
    assert (
        stamps(rig.received.mask)
        == stamps(rig.received.mask_info)
        == [result.mask.stamp_ns for result in results if result.mask]
    )
    depths = [result.depth for result in results]
    for image, info, depth in zip(rig.received.depth, rig.received.depth_info, depths, strict=True):
        check_depth(image, info, depth)
    bridge = CvBridge()
    for image, result in zip(rig.received.mask, results[4:], strict=True):
        assert (image.encoding, image.width, image.height) == ("mono8", 416, 128)
        np.testing.assert_allclose(
            bridge.imgmsg_to_cv2(image, "passthrough"), result.mask.values * 255, atol=1
        )


def check_depth(image: Image, info: CameraInfo, depth: DenseMap) -> None:
    """Check that the messages are the depth of the core, with its intrinsics."""
    assert (image.encoding, image.header.frame_id, image.header) == (
        "32FC1",
        MOUNTING.camera_frame,
        info.header,
    )
    values = CvBridge().imgmsg_to_cv2(image, "passthrough")
    np.testing.assert_allclose(values, depth.values, rtol=1e-5)
    intrinsics = (info.width, info.height, info.k[0], info.p[2])
    assert intrinsics == (416, 128, depth.intrinsics.fx, depth.intrinsics.cx)


def test_depth_is_not_computed_while_nobody_listens(rig, monkeypatch: pytest.MonkeyPatch) -> None:
    wants = []
    process = MonocularOdometry.process

    def recorded(self: MonocularOdometry, *arguments: object, **keywords: bool) -> OdometryResult:
        wants.append(keywords)
        return process(self, *arguments, **keywords)

    monkeypatch.setattr(MonocularOdometry, "process", recorded)
    rig.start()
    rig.send(0)
    rig.spinner.until(lambda: wants)
    assert not wants[0]["want_depth"] and not wants[0]["want_mask"]


def test_nothing_is_published_before_the_extrinsics_are_known(rig) -> None:
    rig.start(send_tf=False)
    for index in range(6):
        rig.send(index)
    rig.wait_for_state("waiting_tf")
    assert "no transform from camera_optical_frame to base_link" in rig.status()["reason"]
    assert not rig.received.odom and not rig.received.tf
    rig.tf = StaticTransformBroadcaster(rig.camera)
    rig.tf.sendTransform(MOUNTING.static_transform(START_NS))
    rig.spinner.until(lambda: len(rig.received.odom) == 6, "the frames that waited")


def test_base_from_camera_as_parameter_and_as_identity(rig) -> None:
    pose = tf_conversions.pose_message(MOUNTING.base_from_camera())
    p = pose.position
    q = pose.orientation
    rig.start(send_tf=False, **{"camera.base_from_camera": [p.x, p.y, p.z, q.x, q.y, q.z, q.w]})
    for index in range(6):
        rig.send(index)
    rig.spinner.until(lambda: len(rig.received.odom) == 6)
    motions = rig.expected(6)[-1].motions
    expected = tf_conversions.base_pose(MOUNTING.base_from_camera(), motions[-1].start_from_camera)
    np.testing.assert_allclose(pose_of(rig.received.odom[-1]), expected, atol=1e-9)


def test_base_frame_that_is_the_camera_frame_needs_no_tf(rig) -> None:
    rig.start(send_tf=False, base_frame=MOUNTING.camera_frame)
    for index in range(5):
        rig.send(index)
    rig.spinner.until(lambda: len(rig.received.odom) == 5)
    np.testing.assert_allclose(
        pose_of(rig.received.odom[-1]), rig.expected(5)[-1].motions[-1].start_from_camera, atol=1e-9
    )


def test_missing_camera_info_is_named_in_the_state(rig) -> None:
    rig.start()
    rig.send(0, info=False)
    rig.wait_for_state("waiting_camera_info")
    assert (
        rig.status()["reason"] == "no camera_info: /camera_info has a publisher, but nothing comes"
    )
    rig.info.publish(CameraInfo(width=424, height=136))
    rig.spinner.until(lambda: "K and P are zero" in rig.node.state.reason)
    for index in range(1, 5):
        rig.send(index)
    rig.spinner.until(lambda: len(rig.received.odom) == 5, "odometry from the first frame on")


def test_best_effort_images_are_received(rig) -> None:
    rig.start(reliability="BEST_EFFORT")
    assert rig.node.session.inputs.image.reliability == "best_effort"
    for index in range(6):
        rig.send(index)
    rig.spinner.until(lambda: rig.count("frames_received") >= 1)


def test_compressed_images(rig) -> None:
    rig.start(image_transport="compressed")
    assert rig.node.session.inputs.image.topic == "/image/compressed"
    publisher = rig.camera.create_publisher(CompressedImage, "image/compressed", 50)
    rig.spinner.until(lambda: publisher.get_subscription_count() == 1)
    for index, frame in enumerate(
        DriveMessages(rig.drive.sequence, MOUNTING, stop=6, compressed=True).frames()
    ):
        frame.stamp(START_NS + index * 100_000_000)
        rig.info.publish(frame.camera_info)
        publisher.publish(frame.image)
    rig.spinner.until(lambda: len(rig.received.odom) == 6)
    expected = tf_conversions.base_pose(
        MOUNTING.base_from_camera(), rig.expected(6)[-1].motions[-1].start_from_camera
    )
    np.testing.assert_allclose(pose_of(rig.received.odom[-1]), expected, atol=1e-9)


def test_two_nodes_in_one_process_are_independent(rig) -> None:
    rig.start()
    other = OdometryNode(
        namespace="rear", parameter_overrides=[Parameter("model.path", value=str(rig.model_path))]
    )
    other.autostart()
    rig.spinner.add(other)
    for index in range(6):
        rig.send(index)
    rig.spinner.until(lambda: len(rig.received.odom) == 6)
    assert other.statistics.counts["frames_received"] == 0
    assert other.state.reason == "no image: nobody publishes /rear/image"
    assert rig.listener.count_publishers("/rear/odom") == 1


def test_unusable_frames_are_refused_and_counted(rig) -> None:
    rig.start()
    for index in range(6):
        rig.send(index)
    rig.send(6, encoding="64FC9")
    rig.send(6, step=3)
    rig.send(6, width=100, step=300, height=50)
    rig.send(5)
    rig.send(4)
    rig.send(6, stamp_ns=0)
    rig.spinner.until(lambda: rig.count("frames_refused") == 6, "six refusals")
    rig.send(6)
    rig.spinner.until(lambda: len(rig.received.odom) == 7)
    status = rig.status()
    for name in ("encoding", "step", "length", "equal_stamp", "older_stamp", "zero_stamp"):
        assert status.get(f"refused_{name}") == "1", status
    assert (status["frames_received"], status["frames_processed"], status["frames_published"]) == (
        "13",
        "7",
        "7",
    )


def test_images_that_do_not_fit_their_camera_info_are_refused(rig) -> None:
    rig.start()
    other_info = CameraInfo(width=640, height=480, p=[300.0, 0, 320, 0, 0, 300, 240, 0, 0, 0, 1, 0])
    rig.info.publish(other_info)
    rig.spinner.until(lambda: rig.node.session.inputs.calibration is not None)
    rig.send(0, info=False)
    rig.spinner.until(lambda: rig.count("refused_size") == 1)
    assert rig.status().get("frames_processed", "0") == "0"
    assert rig.received.odom == []


def test_the_newest_frame_wins(rig) -> None:
    rig.start(always_process_most_recent_frame=True)
    pipeline = rig.node.pipeline
    track = pipeline._track
    started = threading.Event()
    go_on = threading.Event()
    pipeline._track = lambda *arguments: (started.set(), go_on.wait(30), track(*arguments))[2]
    rig.send(0)
    assert started.wait(30)
    for index in range(1, 5):
        rig.send(index)
    rig.spinner.until(lambda: rig.count("frames_received") == 5)
    go_on.set()
    rig.spinner.until(lambda: rig.count("frames_processed") == 2)
    assert rig.count("frames_dropped") == 3
    assert pipeline._odometry._window.stamps_ns == [START_NS, START_NS + 400_000_000]


def test_reset_starts_at_the_origin_and_drops_the_current_frame(rig) -> None:
    rig.start()
    for index in range(8):
        rig.send(index)
    rig.spinner.until(lambda: len(rig.received.odom) == 8)
    pipeline = rig.node.pipeline
    track = pipeline._track
    # A reset comes while a frame is being processed.
    pipeline._track = lambda *arguments: (track(*arguments), pipeline.reset())[0]
    rig.send(8)
    rig.spinner.until(lambda: rig.count("frames_stale") == 1)
    pipeline._track = track
    assert rig.trigger("reset").success
    for index in range(9, 15):
        rig.send(index)
    rig.spinner.until(lambda: len(rig.received.odom) == 14)
    assert stamps(rig.received.odom[8:]) == [
        START_NS + index * 100_000_000 for index in range(9, 15)
    ]
    np.testing.assert_allclose(pose_of(rig.received.odom[8]), np.eye(4), atol=1e-12)


def test_pause_drops_frames_and_resume_goes_on(rig) -> None:
    rig.start()
    rig.send(0)
    rig.spinner.until(lambda: rig.count("frames_processed") == 1)
    assert rig.trigger("pause").success
    assert rig.status()["state"] == "paused"
    rig.send(1)
    rig.spinner.until(lambda: rig.count("frames_dropped") == 1)
    assert rig.trigger("resume").success
    rig.send(2)
    rig.spinner.until(lambda: rig.count("frames_processed") == 2)
    assert rig.status()["state"] == "filling_window"


def test_errors_in_inference_are_reported_and_tracking_recovers(
    rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.start()
    process = MonocularOdometry.process
    monkeypatch.setattr(MonocularOdometry, "process", lambda *_, **__: 1 // 0)
    for index in range(3):
        rig.send(index)
    rig.wait_for_state("error")
    assert rig.status()["reason"].startswith("ZeroDivisionError")
    monkeypatch.setattr(MonocularOdometry, "process", process)
    for index in range(3, 8):
        rig.send(index)
    rig.spinner.until(lambda: len(rig.received.odom) == 5)
    assert rig.node.state.name == "tracking"


def test_status_names_model_and_device(rig, model_path: Path) -> None:
    rig.start(**{"diagnostics.period": 0.05})
    for index in range(6):
        rig.send(index)
    rig.spinner.until(lambda: rig.status()["state"] == "tracking")
    status = rig.status()
    assert (status["device"], status["model"], status["is_metric"]) == (
        "cpu",
        model_path.name,
        "false",
    )
    assert len(status["model_sha256"]) == 64
    assert status["image_qos"] == "reliable"


def set_parameters(rig, **values: object) -> list:
    client = rig.listener.create_client(SetParameters, "/sfm_odometry/set_parameters")
    request = SetParameters.Request(
        parameters=[
            Parameter(name, value=value).to_parameter_msg() for name, value in values.items()
        ]
    )
    return rig.spinner.call(client, request).results


def test_parameters_are_refused_with_the_reason_or_take_effect(rig) -> None:
    rig.start()
    (answer,) = set_parameters(rig, **{"diagnostics.period": 1000.0})
    assert not answer.successful and "diagnostics.period" in answer.reason
    (answer,) = set_parameters(rig, odom_frame="world")
    assert not answer.successful and "only while the node is unconfigured" in answer.reason
    (answer,) = set_parameters(rig, publish_tf=False)
    assert answer.successful
    for index in range(5):
        rig.send(index)
    rig.spinner.until(lambda: len(rig.received.odom) == 5)
    assert not rig.received.tf


@pytest.mark.parametrize(("name", "value", "words"), [
    ("window.max_gap", -1.0, "window.max_gap"),
    ("image_qos", "fast", "image_qos must be one of"),
    ("odom_frame", 3, "odom_frame"),
    ("model.device", "gpu", "model.device must be"),
    ("camera.base_from_camera", [1.0, 2.0], "camera.base_from_camera must be"),
])  # fmt: skip
def test_bad_parameters_refuse_the_start(ros: None, name: str, value: object, words: str) -> None:
    with pytest.raises(InputError, match=words):
        OdometryNode(parameter_overrides=[Parameter(name, value=value)])


def change(rig, transition: int) -> bool:
    request = ChangeState.Request(transition=Transition(id=transition))
    return rig.spinner.call(
        rig.listener.create_client(ChangeState, "/sfm_odometry/change_state"), request
    ).success


def lifecycle_state(rig) -> int:
    return rig.spinner.call(
        rig.listener.create_client(GetState, "/sfm_odometry/get_state"), GetState.Request()
    ).current_state.id


def test_repeated_lifecycle_transitions(rig) -> None:
    rig.start(autostart=False)
    assert lifecycle_state(rig) == State.PRIMARY_STATE_UNCONFIGURED
    for round_number in range(2):
        assert change(rig, Transition.TRANSITION_CONFIGURE)
        assert lifecycle_state(rig) == State.PRIMARY_STATE_INACTIVE
        assert rig.node.state.name == "inactive"
        assert change(rig, Transition.TRANSITION_ACTIVATE)
        rig.wait_until_connected()
        for index in range(5):
            rig.send(10 * round_number + index)
        rig.spinner.until(lambda wanted=5 * round_number + 5: len(rig.received.odom) == wanted)
        assert change(rig, Transition.TRANSITION_DEACTIVATE)
        rig.spinner.until(lambda: rig.image.get_subscription_count() == 0)
        assert change(rig, Transition.TRANSITION_CLEANUP)
        rig.spinner.until(lambda: rig.listener.count_publishers("odom") == 0)
    assert change(rig, Transition.TRANSITION_UNCONFIGURED_SHUTDOWN)
    assert lifecycle_state(rig) == State.PRIMARY_STATE_FINALIZED


def test_a_bad_model_fails_configure_and_a_good_one_succeeds(rig, tmp_path: Path) -> None:
    bad = tmp_path / "truncated.safetensors"
    bad.write_bytes(rig.model_path.read_bytes()[:1000])
    rig.start(autostart=False, **{"model.path": str(bad)})
    assert not change(rig, Transition.TRANSITION_CONFIGURE)
    assert lifecycle_state(rig) == State.PRIMARY_STATE_UNCONFIGURED
    assert str(bad) in rig.node.state.reason
    assert set_parameters(rig, **{"model.path": str(rig.model_path)})[0].successful
    assert change(rig, Transition.TRANSITION_CONFIGURE)


def test_activation_goes_on_from_the_last_pose(rig) -> None:
    rig.start()
    for index in range(6):
        rig.send(index)
    rig.spinner.until(lambda: len(rig.received.odom) == 6)
    assert change(rig, Transition.TRANSITION_DEACTIVATE)
    rig.spinner.until(lambda: rig.image.get_subscription_count() == 0)
    assert change(rig, Transition.TRANSITION_ACTIVATE)
    rig.wait_until_connected()
    for index in range(6, 8):
        rig.send(index)
    rig.spinner.until(lambda: len(rig.received.odom) == 8)
    newest = [motion for result in rig.expected(8) for motion in result.motions][-1]
    expected = tf_conversions.base_pose(MOUNTING.base_from_camera(), newest.start_from_camera)
    np.testing.assert_allclose(pose_of(rig.received.odom[-1]), expected, atol=1e-9)
