"""Compatibility of the tf2_msgs package that set-up builds with other installs of ROS 2."""

import ctypes

import pytest
import rclpy
from geometry_msgs.msg import TransformStamped
from rclpy.serialization import deserialize_message, serialize_message
from tf2_msgs.msg import TFMessage

# Published by ROS 2 since Iron, which introduced type hashes. It follows from the definitions of
# the message and of all messages in it.
TYPE_HASH = "RIHS01_e369d0f05a23ae52508854b66f6aa0437f3449d652e8cbf22d5abe85d020f087"


def message() -> TFMessage:
    transform = TransformStamped(child_frame_id="base_link")
    transform.header.frame_id = "odom"
    transform.transform.translation.x = 3.5
    return TFMessage(transforms=[transform, TransformStamped()])


def test_serialization_round_trip() -> None:
    assert deserialize_message(serialize_message(message()), TFMessage) == message()
    assert deserialize_message(serialize_message(TFMessage()), TFMessage) == TFMessage()


def test_type_hash_is_that_of_other_installs() -> None:
    context = rclpy.Context()
    context.init()
    node = rclpy.create_node("asker", context=context)
    try:
        node.create_publisher(TFMessage, "/tf", 10)
        (endpoint,) = node.get_publishers_info_by_topic("/tf")
        assert endpoint.topic_type == "tf2_msgs/msg/TFMessage"
        if hasattr(endpoint, "topic_type_hash"):  # since Iron
            assert str(endpoint.topic_type_hash) == TYPE_HASH
    finally:
        node.destroy_node()
        context.shutdown()


@pytest.mark.parametrize("kind", ["fastrtps_c", "introspection_c"])
def test_type_supports_are_found_by_name(kind: str) -> None:
    """Fast DDS describes the type with introspection_c.

    Without it everything works, but errors are printed at odd moments.
    """
    library = ctypes.CDLL(f"libtf2_msgs__rosidl_typesupport_{kind}.so")
    assert hasattr(
        library,
        f"rosidl_typesupport_{kind}__get_message_type_support_handle__tf2_msgs__msg__TFMessage",
    )
