"""Broadcaster of static transforms."""

from collections.abc import Iterable

from geometry_msgs.msg import TransformStamped
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from tf2_msgs.msg import TFMessage

from .transform_broadcaster import as_list


class StaticTransformBroadcaster:
    """Publisher on /tf_static, which keeps its message for late subscribers.

    Every message repeats all transforms sent so far.
    """

    def __init__(self, node: Node, qos: QoSProfile | int | None = None) -> None:
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self.pub_tf = node.create_publisher(
            TFMessage, "/tf_static", latched if qos is None else qos
        )
        self.net_message = TFMessage()

    def sendTransform(self, transform: TransformStamped | Iterable[TransformStamped]) -> None:
        """Send one transform or several.

        As in the original, the first transform of a child frame stays.
        """
        children = {sent.child_frame_id for sent in self.net_message.transforms}
        self.net_message.transforms += [
            new for new in as_list(transform) if new.child_frame_id not in children
        ]
        self.pub_tf.publish(self.net_message)
