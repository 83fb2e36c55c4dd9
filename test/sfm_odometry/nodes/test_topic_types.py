"""Topics with publishers of another type, and what the state says to cure them."""

import pytest
import rclpy
from geometry_msgs.msg import PoseStamped, Twist
from rclpy.parameter import Parameter
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from sfm_odometry.nodes.odometry_node import OdometryNode
from sfm_odometry.nodes.qos import AdaptiveSubscription
from sfm_odometry.nodes.topic_types import type_name, unpublished_reason, wrong_type_reason

IMAGE, COMPRESSED = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"


def test_type_names_are_those_of_ros() -> None:
    assert [type_name(kind) for kind in (Image, CompressedImage)] == [IMAGE, COMPRESSED]


@pytest.mark.parametrize(
    ("topic", "published", "expected", "words"),
    [
        ("/cam", [COMPRESSED], IMAGE, f"/cam publishes {COMPRESSED}, expected {IMAGE}: set"),
        ("/cam", [COMPRESSED], IMAGE, "set image_transport: compressed"),
        ("/cam/compressed", [COMPRESSED], IMAGE, "give image_topic without /compressed"),
        ("/cam", [IMAGE], COMPRESSED, "set image_transport: raw"),
        ("/cam", ["theora_image_transport/msg/Packet"], IMAGE, "set image_topic to a topic of im"),
        ("/cam", [IMAGE, IMAGE], "sensor_msgs/msg/CameraInfo", "set camera_info_topic"),
        ("/speed", ["geometry_msgs/msg/Twist"], "geometry_msgs/msg/TwistStamped", "of this type"),
    ],
)
def test_a_wrong_type_names_both_and_the_cure(
    topic: str, published: list[str], expected: str, words: str
) -> None:
    assert words in wrong_type_reason(topic, published, expected)


def test_a_right_type_is_no_reason() -> None:
    assert wrong_type_reason("/cam", [], IMAGE) == ""
    assert wrong_type_reason("/cam", [COMPRESSED, IMAGE], IMAGE) == ""
    assert unpublished_reason("/cam/compressed", True) == ""


@pytest.mark.parametrize(
    ("transport", "kind", "topic", "words"),
    [
        ("raw", CompressedImage, "/cam/compressed", "set image_transport: compressed"),
        ("compressed", CompressedImage, "/cam/compressed", "give image_topic without /compressed"),
        ("compressed", Image, "/cam/compressed/compressed", "set image_transport: raw"),
        ("raw", PoseStamped, "/cam/compressed", "publishes geometry_msgs/msg/PoseStamped"),
    ],
)
def test_the_state_names_the_types_and_the_cure(
    rig, transport: str, kind: type, topic: str, words: str
) -> None:
    publisher = rig.camera.create_publisher(kind, topic, 10)
    node = OdometryNode(
        cli_args=["--ros-args", "-r", "image:=/cam/compressed"],
        parameter_overrides=[
            Parameter(name, value=value)
            for name, value in {
                "model.device": "cpu",
                "model.backend": "eager",
                "model.path": str(rig.model_path),
                "image_transport": transport,
            }.items()
        ],
    )
    node.autostart()
    rig.spinner.add(node)
    rig.spinner.until(lambda: words in str(node.state), f"'{words}', is {node.state}")
    assert node.state.name == "waiting_image"
    rig.camera.destroy_publisher(publisher)


def test_a_camera_info_topic_of_another_type_is_named(rig) -> None:
    rig.camera.create_publisher(Image, "/strange/camera_info", 10)
    topic = AdaptiveSubscription(rig.listener, CameraInfo, "/strange/camera_info", print, "auto")
    rig.spinner.until(lambda: "expected sensor_msgs/msg/CameraInfo" in topic.silence_reason)
    assert topic.subscription is None


def test_speeds_of_another_type_are_a_doubt(rig) -> None:
    context = rclpy.Context()  # one participant cannot have two types on a topic
    rclpy.init(context=context)
    wheels = rclpy.create_node("wheels", context=context)
    wheels.create_publisher(Twist, "/twist", 10)
    rig.start(**{"scale.mode": "twist"})
    words = "/twist publishes geometry_msgs/msg/Twist, expected geometry_msgs/msg/TwistStamped"
    rig.spinner.until(lambda: words in rig.node.session.doubts.get("speeds", ""))
    rig.spinner.until(lambda: rig.logged(words))
    wheels.destroy_node()
    rclpy.try_shutdown(context=context)
