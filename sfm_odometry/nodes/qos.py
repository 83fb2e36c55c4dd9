"""Quality of service: what we offer, and subscriptions that follow what a publisher offers."""

from collections.abc import Callable
from typing import Any

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSPolicyKind, QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.subscription import Subscription

INPUT_DEPTH = 5
ODOMETRY_QOS = QoSProfile(depth=10, history=HistoryPolicy.KEEP_LAST, reliability=ReliabilityPolicy.RELIABLE)
IMAGE_QOS = QoSProfile(depth=5, history=HistoryPolicy.KEEP_LAST, reliability=ReliabilityPolicy.RELIABLE)
LATCHED_QOS = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)

_RELIABILITY = {"reliable": ReliabilityPolicy.RELIABLE, "best_effort": ReliabilityPolicy.BEST_EFFORT}


def overridable() -> QoSOverridingOptions:
    """Lets users override history, depth and reliability of a publisher by parameters (qos_overrides.<topic>...)."""
    return QoSOverridingOptions((QoSPolicyKind.HISTORY, QoSPolicyKind.DEPTH, QoSPolicyKind.RELIABILITY))


def image_profile(reliability: str, depth: int = INPUT_DEPTH) -> QoSProfile:
    """Profile for image streams; `reliability` is reliable or best_effort."""
    return QoSProfile(depth=depth, history=HistoryPolicy.KEEP_LAST, reliability=_RELIABILITY[reliability])


class FollowingSubscription:
    """A subscription whose reliability is given, or follows the publishers of its topic ("auto").

    A best-effort reader of large images loses many, a reliable reader gets nothing from a best-effort writer. So "auto" subscribes once a
    publisher is there: reliably when all publishers offer it. Call `update` now and then, as ROS does not tell when publishers come and go.
    """

    def __init__(self, node: Node, kind: Any, topic: str, callback: Callable[[Any], None], mode: str, depth: int = INPUT_DEPTH) -> None:
        self._node, self._kind, self._callback, self._mode, self._depth = node, kind, callback, mode, depth
        self.topic = node.resolve_topic_name(topic)
        self.reliability = ""
        self._subscription: Subscription | None = None
        self.update()

    def update(self) -> None:
        """Subscribe, or subscribe anew when the publishers' offer has changed."""
        wanted = self._wanted()
        if wanted and wanted != self.reliability:
            self.close()
            self.reliability = wanted
            profile = image_profile(wanted, self._depth)
            self._subscription = self._node.create_subscription(self._kind, self.topic, self._callback, profile)

    def close(self) -> None:
        """Unsubscribe."""
        if self._subscription is not None:
            self._node.destroy_subscription(self._subscription)
        self._subscription, self.reliability = None, ""

    def _wanted(self) -> str:
        if self._mode != "auto":
            return self._mode
        offers = [info.qos_profile.reliability for info in self._node.get_publishers_info_by_topic(self.topic)]
        if not offers:
            return self.reliability
        return "reliable" if all(offer == ReliabilityPolicy.RELIABLE for offer in offers) else "best_effort"
