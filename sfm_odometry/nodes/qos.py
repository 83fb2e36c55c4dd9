"""Quality of service: what we offer, and subscriptions that follow what a publisher offers."""

import time
from collections.abc import Callable
from typing import Any

from rcl_interfaces.msg import IntegerRange, ParameterDescriptor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSPolicyKind, QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.subscription import Subscription

INPUT_DEPTH = 5
ODOMETRY_DEPTH, IMAGE_DEPTH = 10, 5
LOOK_AGAIN_S = 0.5
"""To ask for a topic's publishers takes Python a tenth of a millisecond."""
LATCHED_QOS = QoSProfile(
    depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL
)

_RELIABILITY = {
    "reliable": ReliabilityPolicy.RELIABLE,
    "best_effort": ReliabilityPolicy.BEST_EFFORT,
}


def reliable(depth: int) -> QoSProfile:
    """A profile of its own for each publisher, as rclpy writes overrides into the one that it is
    given."""
    return QoSProfile(
        depth=depth, history=HistoryPolicy.KEEP_LAST, reliability=ReliabilityPolicy.RELIABLE
    )


def overridable() -> QoSOverridingOptions:
    """Lets users override history, depth and reliability of a publisher by parameters
    (qos_overrides.<topic>...)."""
    return QoSOverridingOptions(
        (QoSPolicyKind.HISTORY, QoSPolicyKind.DEPTH, QoSPolicyKind.RELIABILITY)
    )


def image_profile(reliability: str, depth: int = INPUT_DEPTH) -> QoSProfile:
    """Profile for image streams; `reliability` is reliable or best_effort."""
    return QoSProfile(
        depth=depth, history=HistoryPolicy.KEEP_LAST, reliability=_RELIABILITY[reliability]
    )


class FollowingSubscription:
    """A subscription whose reliability is given, or follows the publishers of its topic ("auto").

    A best-effort reader of large images loses many, a reliable reader gets nothing from a
    best-effort writer. So "auto" subscribes once a publisher is there: reliably when all publishers
    offer it. Call `update` now and then, as ROS does not tell when publishers come and go.
    """

    def __init__(
        self,
        node: Node,
        kind: Any,
        topic: str,
        callback: Callable[[Any], None],
        mode: str,
        depth: int = INPUT_DEPTH,
        raw: bool = False,
    ) -> None:
        self._node, self._kind, self._callback, self._mode, self._raw = (
            node,
            kind,
            callback,
            mode,
            raw,
        )
        self.topic = node.resolve_topic_name(topic)
        self._depth = _overridable_depth(node, self.topic, depth)
        self.reliability = ""
        self._next_look_s = 0.0
        self.subscription: Subscription | None = None
        """What rclpy knows of it, or None as long as nobody publishes."""
        self.update()

    def update(self) -> None:
        """Subscribe, or subscribe anew when the publishers' offer has changed; looks at most
        every LOOK_AGAIN_S once it has subscribed."""
        now_s = time.monotonic()
        if self.reliability and now_s < self._next_look_s:
            return
        self._next_look_s = now_s + LOOK_AGAIN_S
        wanted = self._wanted()
        if wanted and wanted != self.reliability:
            self.close()
            self.reliability = wanted
            profile = image_profile(wanted, self._depth)
            self.subscription = self._node.create_subscription(
                self._kind, self.topic, self._callback, profile, raw=self._raw
            )

    @property
    def silence(self) -> str:
        """Why nothing may be heard."""
        offers = self._offers()
        if not offers:
            return f"nobody publishes {self.topic}"
        if self._mode == "reliable" and ReliabilityPolicy.RELIABLE not in offers:
            return f"{self.topic} is published best effort, but image_qos asks for reliable"
        return f"{self.topic} has a publisher, but nothing comes"

    def close(self) -> None:
        """Unsubscribe."""
        if self.subscription is not None:
            self._node.destroy_subscription(self.subscription)
        self.subscription, self.reliability = None, ""

    def _wanted(self) -> str:
        if self._mode != "auto":
            return self._mode
        offers = self._offers()
        if not offers:
            return self.reliability
        return (
            "reliable"
            if all(offer == ReliabilityPolicy.RELIABLE for offer in offers)
            else "best_effort"
        )

    def _offers(self) -> list[ReliabilityPolicy]:
        return [
            info.qos_profile.reliability
            for info in self._node.get_publishers_info_by_topic(self.topic)
        ]


def _overridable_depth(node: Node, topic: str, default: int) -> int:
    """The parameter qos_overrides.<topic>.subscription.depth, as rclpy names it.

    Declared here and not by rclpy: its parameters of a subscription keep the reliability of the
    first one, ours follows the publishers.
    """
    name = f"qos_overrides.{topic}.subscription.depth"
    if not node.has_parameter(name):
        limits = [IntegerRange(from_value=1, to_value=100_000, step=1)]
        description = f"depth for subscription `{topic}`; its reliability is image_qos"
        node.declare_parameter(
            name,
            default,
            ParameterDescriptor(description=description, read_only=True, integer_range=limits),
        )
    return int(node.get_parameter(name).value)
