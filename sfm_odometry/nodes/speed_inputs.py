"""The speed that wheels or another sensor measure, from wheel_odom or twist: what metric scale
is taken from in those modes."""

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

WARN_EVERY_S = 5.0
WAITING_SPEEDS = 1000
"""So many speeds may wait for the next frame."""


@dataclass(frozen=True)
class StampedTwist:
    """Velocity of the robot's body in its own axes, metres and radians a second."""

    stamp_ns: int
    linear: np.ndarray
    angular: np.ndarray

    def speed_at(self, base_from_camera: np.ndarray) -> float:
        """Speed of the camera: that of the base, and what the turning adds at the end of the
        lever arm."""
        return float(np.linalg.norm(self.linear + np.cross(self.angular, base_from_camera[:3, 3])))


class SpeedInputs:
    """Listens to wheel_odom or twist where scale.mode says so, and keeps what came for the worker.

    Best effort, which hears publishers of either reliability. The twist is taken for the base
    frame's; without angular velocity in it the lever arm of the camera counts for nothing.
    """

    def __init__(self, node: Node, scale_mode: str, statistics: Statistics) -> None:
        self._node, self._statistics = node, statistics
        self._waiting: deque[StampedTwist] = deque(maxlen=WAITING_SPEEDS)
        self.subscription: Subscription | None = None
        """None where the scale comes from elsewhere."""
        qos = QoSProfile(depth=100, reliability=ReliabilityPolicy.BEST_EFFORT)
        if scale_mode == "odometry":
            self.subscription = node.create_subscription(
                Odometry, "wheel_odom", self._on_odometry, qos
            )
        elif scale_mode == "twist":
            self.subscription = node.create_subscription(TwistStamped, "twist", self._on_twist, qos)

    @property
    def topic(self) -> str:
        """The topic that is listened to, or nothing."""
        return self.subscription.topic_name if self.subscription is not None else ""

    def take(self) -> list[StampedTwist]:
        """What came since the last call, oldest first; may be called from another thread than
        the messages come in."""
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
        linear, angular = _vector(twist.linear), _vector(twist.angular)
        if stamp_ns <= 0 or not np.isfinite([linear, angular]).all():
            self._statistics.count("speeds_refused")
            why = "its stamp is zero" if stamp_ns <= 0 else "it is not finite"
            self._node.get_logger().warning(
                f"speed on {self.topic} refused: {why}", throttle_duration_sec=WARN_EVERY_S
            )
            return
        self._statistics.count("speeds_received")
        self._waiting.append(StampedTwist(stamp_ns, linear, angular))


def _vector(vector: Vector3) -> np.ndarray:
    return np.array([vector.x, vector.y, vector.z])
