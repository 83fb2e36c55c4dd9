"""Metric scale from wheel odometry and twists, in the status and in the odometry."""

import numpy as np
import pytest
from cv_bridge import CvBridge
from geometry_msgs.msg import TwistStamped
from nav_msgs.msg import Odometry
from rclpy.parameter import Parameter

from sfm_odometry.errors import InputError
from sfm_odometry.geometry import se3
from sfm_odometry.inference.estimator import Estimator
from sfm_odometry.nodes.conversions import ns_to_stamp
from sfm_odometry.nodes.odometry_node import OdometryNode
from sfm_odometry.nodes.players.drive import Mounting
from sfm_odometry.nodes.speed_inputs import StampedTwist
from sfm_odometry.odometry import MonocularOdometry
from sfm_odometry.results import FrameMotion
from sfm_odometry.scale import ScaleEstimate

START_NS = 1_700_000_000_000_000_000
STEP_NS = 100_000_000
COUNT = 20
MOUNTING = Mounting(camera_height_m=1.2)  # as the rig sends it
TYPES = {"odometry": (Odometry, "wheel_odom"), "twist": (TwistStamped, "twist")}


def unscaled(rig, count: int) -> list[FrameMotion]:
    """Motions of the core without a scale, on the drive's frames over and over."""
    odometry = MonocularOdometry(Estimator.from_file(rig.model_path, "cpu"))
    bridge = CvBridge()
    images = [
        bridge.imgmsg_to_cv2(rig.frames[index % len(rig.frames)].image, "rgb8")
        for index in range(count)
    ]
    results = [
        odometry.process(image, rig.drive.sequence.intrinsics, START_NS + index * STEP_NS)
        for index, image in enumerate(images)
    ]
    return [motion for result in results for motion in result.motions]


def speed_message(mode: str, stamp_ns: int, speed: float) -> Odometry | TwistStamped:
    message = TYPES[mode][0]()
    message.header.stamp = ns_to_stamp(stamp_ns)
    twist = message.twist.twist if mode == "odometry" else message.twist
    twist.linear.x = -speed  # driving backwards has the same speed
    return message


def send_speeds(rig, mode: str, motions: list[FrameMotion], factor: float) -> None:
    """Send speeds three times a step: the camera's own over that step times the factor."""
    kind, topic = TYPES[mode]
    publisher = rig.camera.create_publisher(kind, topic, 200)
    rig.spinner.until(
        lambda: publisher.get_subscription_count() == 1, f"the subscription of {topic}"
    )
    for motion in motions[1:]:
        speed = factor * float(np.linalg.norm(motion.previous_from_current[:3, 3])) / 0.1
        for before_ns in (STEP_NS - 1_000_000, STEP_NS // 2, 1_000_000):
            publisher.publish(speed_message(mode, motion.stamp_ns - before_ns, speed))
    rig.spinner.until(lambda: rig.count("speeds_received") == 3 * (len(motions) - 1), "the speeds")


@pytest.mark.parametrize("mode", ["odometry", "twist"])
def test_wheels_make_the_odometry_metric(rig, mode: str) -> None:
    motions = unscaled(rig, COUNT)
    factor = 4.0 / float(np.median([np.linalg.norm(motion.twist[:3]) for motion in motions]))
    rig.start(**{"scale.mode": mode, "diagnostics.period": 0.1})
    assert rig.status()["is_metric"] == "false"
    send_speeds(rig, mode, motions, factor)
    for index in range(COUNT):
        rig.send(index)
    rig.spinner.until(lambda: len(rig.received.odom) == COUNT, "odometry of every frame")
    rig.spinner.until(lambda: rig.status()["is_metric"] == "true", "a metric scale")
    status = rig.status()
    assert (status["scale_source"], status["scale_reason"], status["speed_topic"]) == (
        mode,
        "",
        "/" + TYPES[mode][1],
    )
    assert float(status["scale"]) == pytest.approx(factor, rel=0.03)
    assert 0.0 < float(status["scale_sigma"]) < 0.1 * factor
    twist = rig.received.odom[-1].twist.twist
    speed = np.linalg.norm([twist.linear.x, twist.linear.y, twist.linear.z])
    base_twist = se3.adjoint(MOUNTING.base_from_camera()) @ (
        motions[-1].twist * [factor, factor, factor, 1.0, 1.0, 1.0]
    )
    assert speed == pytest.approx(np.linalg.norm(base_twist[:3]), rel=0.03)
    rig.spinner.until(lambda: rig.logged(f"scale: metric, by {mode}: "), "the log line")


def test_a_change_of_the_metric_scale_is_logged_once(rig, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.start(**{"scale.mode": "fixed", "scale.value": 0.85, "diagnostics.period": 0.05})
    line = "scale: metric, by fixed: 0.85 m for the model's unit"
    rig.spinner.until(lambda: rig.logged(line), "the log line")
    diagnostics = rig.node.diagnostics
    for metric in (True, False, True):  # changes soon after a line are not logged
        diagnostics.log_scale(
            ScaleEstimate(0.85, 0.1, metric, "fixed", "" if metric else "nobody knows")
        )
    assert [text for text in rig.whole_log() if text.startswith("scale: ")] == [line]
    monkeypatch.setattr("sfm_odometry.nodes.diagnostics.SCALE_LOG_PERIOD_S", 0.0)
    diagnostics.log_scale(ScaleEstimate(0.85, 0.1, False, "fixed", "nobody knows"))
    rig.spinner.until(lambda: rig.logged("scale: not metric: nobody knows"), "the log line")


def test_speeds_without_stamp_or_not_finite_are_refused(rig) -> None:
    rig.start(**{"scale.mode": "twist"})
    publisher = rig.camera.create_publisher(TwistStamped, "twist", 10)
    rig.spinner.until(lambda: publisher.get_subscription_count() == 1, "the subscription of twist")
    publisher.publish(speed_message("twist", 0, 1.0))
    publisher.publish(speed_message("twist", START_NS, float("nan")))
    publisher.publish(speed_message("twist", START_NS, 1.0))
    rig.spinner.until(
        lambda: rig.count("speeds_refused") == 2 and rig.count("speeds_received") == 1,
        "two refusals",
    )


def test_speeds_are_subscribed_to_only_in_their_mode(rig) -> None:
    rig.start()
    assert (
        rig.listener.count_subscribers("wheel_odom") == rig.listener.count_subscribers("twist") == 0
    )
    status = rig.status()
    assert (status["scale_source"], status["is_metric"], status["scale"]) == ("none", "false", "1")
    assert "speed_topic" not in status


def test_a_fixed_scale_is_in_the_status(rig) -> None:
    rig.start(**{"scale.mode": "fixed", "scale.value": 0.85})
    status = rig.status()
    assert (
        status["scale_source"],
        status["is_metric"],
        status["scale"],
        status["scale_sigma"],
    ) == ("fixed", "true", "0.85", "0.085")


def test_the_height_of_the_camera_must_be_given(ros) -> None:
    with pytest.raises(
        InputError, match=r"scale.camera_height must be given, in metres over the ground"
    ):
        OdometryNode(parameter_overrides=[Parameter("scale.mode", value="camera_height")])


def test_a_camera_without_ground_is_not_metric_and_the_status_says_why(rig) -> None:
    """The passing texture of these frames is no road."""
    rig.start(**{"scale.mode": "camera_height", "scale.camera_height": 1.2})
    for index in range(6):
        rig.send(index)
    rig.spinner.until(lambda: len(rig.received.odom) == 6, "odometry of every frame")
    status = rig.status()
    assert (status["scale_source"], status["is_metric"]) == ("camera_height", "false")
    assert status["scale_reason"]


def test_camera_speed_includes_the_lever_arm() -> None:
    base_from_camera = np.eye(4)
    base_from_camera[:3, 3] = [1.0, 0.0, 1.5]
    turning = StampedTwist(0, np.array([3.0, 0.0, 0.0]), np.array([0.0, 0.0, 4.0]))
    # 4 m/s to the side, at the end of a lever arm of 1 m.
    assert turning.camera_speed(base_from_camera) == pytest.approx(5.0)
    assert turning.camera_speed(np.eye(4)) == pytest.approx(3.0)
