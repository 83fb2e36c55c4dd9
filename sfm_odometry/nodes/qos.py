"""Quality of service: profiles of publishers, and subscriptions that match a publisher's."""

import time
from collections.abc import Callable
from typing import Any

from rcl_interfaces.msg import IntegerRange, ParameterDescriptor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSPolicyKind, QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.subscription import Subscription

from sfm_odometry.nodes.topic_types import (
    COMPRESSED,
    type_name,
    unpublished_reason,
    wrong_type_reason,
)

INPUT_DEPTH = 5
ODOMETRY_DEPTH = 10
IMAGE_DEPTH = 5
MATCH_PERIOD_S = 0.5
"""Minimum time between two queries for a topic's publishers, each of which takes 0.1 ms."""
LATCHED_QOS = QoSProfile(
    depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL
)

_RELIABILITY = {
    "reliable": ReliabilityPolicy.RELIABLE,
    "best_effort": ReliabilityPolicy.BEST_EFFORT,
}


def reliable_profile(depth: int) -> QoSProfile:
    """Returns a new reliable profile.

    Each publisher needs a profile of its own, as rclpy writes the user's overrides into it.
    """
    return QoSProfile(
        depth=depth, history=HistoryPolicy.KEEP_LAST, reliability=ReliabilityPolicy.RELIABLE
    )


def publisher_overrides() -> QoSOverridingOptions:
    """Returns the policies of a publisher that users may override by parameters.

    History, depth and reliability, as qos_overrides.<topic>.publisher.<policy>.
    """
    return QoSOverridingOptions(
        (QoSPolicyKind.HISTORY, QoSPolicyKind.DEPTH, QoSPolicyKind.RELIABILITY)
    )


def image_profile(reliability: str, depth: int = INPUT_DEPTH) -> QoSProfile:
    """Returns a profile for image streams; `reliability` is reliable or best_effort."""
    return QoSProfile(
        depth=depth, history=HistoryPolicy.KEEP_LAST, reliability=_RELIABILITY[reliability]
    )


class AdaptiveSubscription:
    """Subscription whose reliability is fixed, or matches the publishers of its topic.

    A best-effort reader loses many large images, and a reliable reader receives nothing from a
    best-effort writer. Mode "auto" therefore subscribes once a publisher exists: reliably when all
    publishers offer that. Call `update` regularly, as ROS reports neither new nor lost publishers.

    message_type: class of the messages. mode: "auto", "reliable" or "best_effort". raw: whether
    callbacks take serialised messages.
    """

    def __init__(
        self,
        node: Node,
        message_type: Any,
        topic: str,
        callback: Callable[[Any], None],
        mode: str,
        depth: int = INPUT_DEPTH,
        raw: bool = False,
    ) -> None:
        # Settings.
        self._node = node
        self._message_type = message_type
        self._callback = callback
        self._mode = mode
        self._raw = raw
        self.topic = node.resolve_topic_name(topic)
        self._depth = _overridable_depth(node, self.topic, depth)

        # Current subscription.
        self.reliability = ""
        """Reliability of the subscription; empty while it does not exist."""
        self._next_match_s = 0.0
        self.subscription: Subscription | None = None
        """Subscription of rclpy; None until a publisher is there."""
        self.update()

    def update(self) -> None:
        """Subscribe, or subscribe again after the publishers' reliability has changed.

        Once subscribed, queries the publishers at most every MATCH_PERIOD_S.
        """
        now_s = time.monotonic()
        if self.reliability and now_s < self._next_match_s:
            return
        self._next_match_s = now_s + MATCH_PERIOD_S
        reliability = self._matching_reliability()
        if reliability and reliability != self.reliability:
            self.close()
            self.reliability = reliability
            self.subscription = self._node.create_subscription(
                self._message_type,
                self.topic,
                self._callback,
                image_profile(reliability, self._depth),
                raw=self._raw,
            )

    @property
    def publisher_count(self) -> int:
        """Number of publishers of the topic with this type."""
        return len(self._offered_reliabilities())

    @property
    def silence_reason(self) -> str:
        """Likely reason why no message comes."""
        wrong_type = wrong_type_reason(
            self.topic, self._published_types(self.topic), type_name(self._message_type)
        )
        if wrong_type:
            return wrong_type
        offers = self._offered_reliabilities()
        if not offers:
            parent = self.topic.removesuffix(COMPRESSED)
            told_twice = unpublished_reason(self.topic, bool(self._published_types(parent)))
            return told_twice or f"nobody publishes {self.topic}"
        if self._mode == "reliable" and ReliabilityPolicy.RELIABLE not in offers:
            return f"{self.topic} is published best effort, but image_qos asks for reliable"
        return f"{self.topic} has a publisher, but nothing comes"

    def close(self) -> None:
        """Unsubscribe."""
        if self.subscription is not None:
            self._node.destroy_subscription(self.subscription)
        self.subscription = None
        self.reliability = ""

    def _matching_reliability(self) -> str:
        """Returns the reliability to subscribe with; without publishers, the current one."""
        if self._mode != "auto":
            return self._mode
        offers = self._offered_reliabilities()
        if not offers:
            return self.reliability
        all_reliable = all(offer == ReliabilityPolicy.RELIABLE for offer in offers)
        return "reliable" if all_reliable else "best_effort"

    def _offered_reliabilities(self) -> list[ReliabilityPolicy]:
        """Reliabilities of the topic's publishers, without those of another type."""
        expected = type_name(self._message_type)
        return [
            info.qos_profile.reliability
            for info in self._node.get_publishers_info_by_topic(self.topic)
            if info.topic_type == expected
        ]

    def _published_types(self, topic: str) -> list[str]:
        return [info.topic_type for info in self._node.get_publishers_info_by_topic(topic)]


def _overridable_depth(node: Node, topic: str, default: int) -> int:
    """Returns the parameter qos_overrides.<topic>.subscription.depth, as rclpy names it.

    Declared here and not by rclpy, whose parameters of a subscription fix the reliability of the
    first one, whereas this one matches the publishers.
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
