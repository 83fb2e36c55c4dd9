"""Speed measured by wheels or another sensor, the source of metric scale in two of its modes."""

from collections import deque
from dataclasses import dataclass

import numpy as np
from geometry_msgs.msg import Twist, TwistStamped, Vector3
from nav_msgs.msg import Odometry
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.subscription import Subscription

from sfm_odometry.nodes.conversions import stamp_to_ns
from sfm_odometry.nodes.statistics import Statistics
from sfm_odometry.nodes.topic_types import type_name, wrong_type_reason

WARNING_PERIOD_S = 5.0
MAX_WAITING_SPEEDS = 1000
"""Number of speeds that are kept for the next frame; older ones are dropped."""


@dataclass(frozen=True)
class StampedTwist:
    """Velocity of the robot's body in its own axes: linear (3,) in m/s, angular (3,) in rad/s."""

    stamp_ns: int
    linear: np.ndarray
    angular: np.ndarray

    def camera_speed(self, base_from_camera: np.ndarray) -> float:
        """Speed of the camera in m/s: |v + omega x t|, with t the camera's lever arm."""
        return float(np.linalg.norm(self.linear + np.cross(self.angular, base_from_camera[:3, 3])))


class SpeedInputs:
    """Subscription of wheel_odom or twist, as scale.mode asks, and the speeds received from it.

    Best effort, which receives from publishers of either reliability. The twist is taken as that of
    the base frame; without angular velocity in it the camera's lever arm has no effect.
    """

    def __init__(self, node: Node, scale_mode: str, statistics: Statistics) -> None:
        self._node = node
        self._statistics = statistics
        self._waiting: deque[StampedTwist] = deque(maxlen=MAX_WAITING_SPEEDS)
        self.subscription: Subscription | None = None
        """None where the scale has another source."""
        qos = QoSProfile(depth=100, reliability=ReliabilityPolicy.BEST_EFFORT)
        if scale_mode == "odometry":
            self.subscription = node.create_subscription(
                Odometry, "wheel_odom", self._on_odometry, qos
            )
        elif scale_mode == "twist":
            self.subscription = node.create_subscription(TwistStamped, "twist", self._on_twist, qos)

    @property
    def topic(self) -> str:
        """Full name of the topic; empty without a subscription."""
        return self.subscription.topic_name if self.subscription is not None else ""

    @property
    def problem(self) -> str:
        """Reason why no speed can come: publishers of another type; empty otherwise."""
        if self.subscription is None or self._statistics.counts["speeds_received"]:
            return ""
        published = [
            info.topic_type for info in self._node.get_publishers_info_by_topic(self.topic)
        ]
        return wrong_type_reason(self.topic, published, type_name(self.subscription.msg_type))

    def drain(self) -> list[StampedTwist]:
        """Remove and return the speeds since the last call, oldest first.

        May be called from another thread than that of the messages.
        """
        return [self._waiting.popleft() for _ in range(len(self._waiting))]

    def close(self) -> None:
        """Unsubscribe."""
        if self.subscription is not None:
            self._node.destroy_subscription(self.subscription)
        self.subscription = None

    def _on_odometry(self, message: Odometry) -> None:
        self._store(stamp_to_ns(message.header.stamp), message.twist.twist)

    def _on_twist(self, message: TwistStamped) -> None:
        self._store(stamp_to_ns(message.header.stamp), message.twist)

    def _store(self, stamp_ns: int, twist: Twist) -> None:
        """Keep a speed; refuse it without a stamp or with numbers that are not finite."""
        linear = _vector(twist.linear)
        angular = _vector(twist.angular)
        if stamp_ns <= 0 or not np.isfinite([linear, angular]).all():
            self._statistics.count("speeds_refused")
            reason = "its stamp is zero" if stamp_ns <= 0 else "it is not finite"
            self._node.get_logger().warning(
                f"speed on {self.topic} refused: {reason}", throttle_duration_sec=WARNING_PERIOD_S
            )
            return
        self._statistics.count("speeds_received")
        self._waiting.append(StampedTwist(stamp_ns, linear, angular))


def _vector(message: Vector3) -> np.ndarray:
    return np.array([message.x, message.y, message.z])
