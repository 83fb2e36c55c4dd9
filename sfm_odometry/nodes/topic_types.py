"""Types of messages on a topic, and what cures a wrong one."""

from collections.abc import Sequence
from typing import Any

IMAGE = "sensor_msgs/msg/Image"
COMPRESSED_IMAGE = "sensor_msgs/msg/CompressedImage"
CAMERA_INFO = "sensor_msgs/msg/CameraInfo"
COMPRESSED = "/compressed"


def type_name(message_type: Any) -> str:
    """Name of a message class as ROS writes it, such as sensor_msgs/msg/Image."""
    package = message_type.__module__.split(".")[0]
    return f"{package}/msg/{message_type.__name__}"


def wrong_type_reason(topic: str, published: Sequence[str], expected: str) -> str:
    """Reason for which a topic is silent: its publishers' types; empty if one is right.

    published: names of the types that are published on it. expected: name of the one that is
    subscribed to.
    """
    if not published or expected in published:
        return ""
    names = " and ".join(sorted(set(published)))
    return f"{topic} publishes {names}, expected {expected}: {_cure(topic, published, expected)}"


def unpublished_reason(topic: str, is_published: bool) -> str:
    """Reason for which nobody publishes a topic of compressed images that was told twice.

    is_published: whether the topic without the last /compressed has a publisher.
    """
    if topic.endswith(COMPRESSED + COMPRESSED):
        parent = topic[: -len(COMPRESSED)]
        found = f", but {parent} is published" if is_published else ""
        return (
            f"nobody publishes {topic}{found}: give image_topic without {COMPRESSED}, which "
            "image_transport: compressed adds"
        )
    return ""


def _cure(topic: str, published: Sequence[str], expected: str) -> str:
    """What to change for a topic of another type."""
    if expected == IMAGE and COMPRESSED_IMAGE in published:
        without = f", and give image_topic without {COMPRESSED}"
        return "set image_transport: compressed" + (without if topic.endswith(COMPRESSED) else "")
    if expected == COMPRESSED_IMAGE and IMAGE in published:
        return "set image_transport: raw, and image_topic to this topic"
    if expected in (IMAGE, COMPRESSED_IMAGE):
        return "set image_topic to a topic of images"
    if expected == CAMERA_INFO:
        return "set camera_info_topic to the camera's camera_info"
    if expected in ("geometry_msgs/msg/TwistStamped", "nav_msgs/msg/Odometry"):
        return "remap to a topic of this type, or set scale.mode: odometry, twist"
    return "remap to a topic of this type"
