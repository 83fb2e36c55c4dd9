"""Watch for another node that sends the transform that this node sends."""

import struct
import threading
import time
from collections import Counter, deque
from collections.abc import Callable

from geometry_msgs.msg import TransformStamped
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.serialization import deserialize_message
from rclpy.subscription import Subscription
from tf2_msgs.msg import TFMessage

from sfm_odometry.nodes.conversions import stamp_to_ns

LISTEN_S = 2.0
"""Time of listening to /tf: a robot's /tf takes Python much time."""
PAUSE_S = 15.0
"""Time between two of them."""
MAX_REMEMBERED = 2000
MAX_NAMES = 3
"""Number of names of other nodes in a message."""

TransformKey = tuple[int, float, float, float]


def transform_key(transform: TransformStamped) -> TransformKey:
    """Stamp and translation of a transform, which tell two senders apart."""
    t = transform.transform.translation
    return stamp_to_ns(transform.header.stamp), t.x, t.y, t.z


class SentTransforms:
    """Newest transforms that this node sent; safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._newest: deque[TransformKey] = deque(maxlen=MAX_REMEMBERED)

    def add(self, transform: TransformStamped) -> None:
        """Remember a transform, before it is sent."""
        with self._lock:
            self._newest.append(transform_key(transform))

    def __contains__(self, key: TransformKey) -> bool:
        with self._lock:
            return key in self._newest

    def __len__(self) -> int:
        return len(self._newest)


class TransformWatch:
    """Listens to /tf and /tf_static from time to time for another sender of a child frame.

    A frame has one parent and one sender; with two, poses jump between them. Messages are
    searched for the frame's name as bytes, and deserialised only with it.
    """

    def __init__(
        self, node: Node, sent: SentTransforms, steady_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._node = node
        self._sent = sent
        self._steady_s = steady_s
        self._child = ""
        self._subscriptions: list[Subscription] = []
        self._next_s = 0.0
        self._received: Counter[TransformKey] = Counter()
        self.problem = ""
        """Description of the other sender; empty while none is known."""

    def update(self, child: str) -> None:
        """Begin or end listening. child: frame that is sent; empty: none is."""
        now_s = self._steady_s()
        if child != self._child:
            self._child = child
            self.problem = ""
            self.close()
        if not child or self.problem or not len(self._sent):
            self.close()
        elif now_s >= self._next_s:
            if self._subscriptions:
                self.close()
                self._next_s = now_s + PAUSE_S
            elif self._other_senders("/tf") or self._other_senders("/tf_static"):
                self._listen()
                self._next_s = now_s + LISTEN_S
            else:
                self._next_s = now_s + LISTEN_S

    def close(self) -> None:
        """Stop listening."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        self._subscriptions = []
        self._received.clear()

    def _listen(self) -> None:
        static = QoSProfile(depth=100, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self._subscriptions = [
            self._node.create_subscription(
                TFMessage, "/tf", lambda data: self._search("/tf", data), 100, raw=True
            ),
            self._node.create_subscription(
                TFMessage,
                "/tf_static",
                lambda data: self._search("/tf_static", data),
                static,
                raw=True,
            ),
        ]

    def _search(self, topic: str, serialised: bytes) -> None:
        """Search a serialised TFMessage for a transform of the child by another sender."""
        name = self._child.encode() + b"\0"
        if self.problem or struct.pack("<I", len(name)) + name not in serialised:
            return
        for transform in deserialize_message(serialised, TFMessage).transforms:
            if transform.child_frame_id.lstrip("/") != self._child:
                continue
            key = transform_key(transform)
            self._received[key] += 1
            if key not in self._sent or self._received[key] > 1:
                self._report(topic, transform.header.frame_id)

    def _report(self, topic: str, parent: str) -> None:
        others = self._other_senders(topic)
        names = ", ".join(others[:MAX_NAMES]) + (", ..." if len(others) > MAX_NAMES else "")
        sender = f"another node ({'one of ' if len(others) > 1 else ''}{names})"
        self.problem = (
            f"{sender if names else 'another node'} sends {parent} -> {self._child} on {topic}, "
            "too: set publish_tf: false here, or stop the other one"
        )

    def _other_senders(self, topic: str) -> list[str]:
        """Names of the nodes, except this one, that have a publisher on the topic."""
        own = self._node.get_fully_qualified_name()
        names = [
            f"{info.node_namespace.rstrip('/')}/{info.node_name}"
            for info in self._node.get_publishers_info_by_topic(topic)
        ]
        if topic == "/tf" and own in names:
            names.remove(own)  # once: another node of the same name is another sender
        return sorted(set(names))
