"""Travelled path, as nav_msgs/Path."""

import time
from collections import deque

from geometry_msgs.msg import Pose, PoseStamped
from nav_msgs.msg import Path as PathMessage
from rclpy.node import Node
from std_msgs.msg import Header

from sfm_odometry.nodes.qos import ODOMETRY_DEPTH, publisher_overrides, reliable_profile

PUBLISH_PERIOD_S = 1.0
"""Minimum time between two messages, as sending a thousand poses takes Python 16 ms."""


class PathOutput:
    """Keeps the newest `max_length` poses, and publishes them while it has subscribers."""

    def __init__(self, node: Node, max_length: int) -> None:
        self._node = node
        self._publisher = node.create_publisher(
            PathMessage,
            "path",
            reliable_profile(ODOMETRY_DEPTH),
            qos_overriding_options=publisher_overrides(),
        )
        self._poses: deque[PoseStamped] = deque(maxlen=max_length)
        self._new_poses: deque[tuple[Header, Pose]] = deque(maxlen=max_length)
        """Poses since the last message; they are wrapped when the next one is sent."""
        self._sent_s = -PUBLISH_PERIOD_S

    @property
    def has_subscribers(self) -> bool:
        """Whether the topic has subscribers."""
        return self._publisher.get_subscription_count() > 0

    def add(self, header: Header, odom_from_base: Pose) -> None:
        """Add the newest pose, that of an odometry message: converting it again is costly."""
        self._new_poses.append((header, odom_from_base))

    def publish(self) -> None:
        """Publish the path if it has subscribers and PUBLISH_PERIOD_S has passed."""
        now_s = time.monotonic()
        if now_s - self._sent_s < PUBLISH_PERIOD_S or not self.has_subscribers:
            return
        self._poses.extend(
            PoseStamped(header=header, pose=pose) for header, pose in self._new_poses
        )
        self._new_poses.clear()
        if self._poses:
            self._sent_s = now_s
            self._publisher.publish(
                PathMessage(header=self._poses[-1].header, poses=list(self._poses))
            )

    def clear(self) -> None:
        """Start a new path."""
        self._poses.clear()
        self._new_poses.clear()

    def close(self) -> None:
        """Withdraw the topic."""
        self._node.destroy_publisher(self._publisher)
