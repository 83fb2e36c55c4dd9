"""The way that was travelled, as nav_msgs/Path."""

import time
from collections import deque

from geometry_msgs.msg import PoseStamped
from nav_msgs.msg import Odometry
from nav_msgs.msg import Path as PathMessage
from rclpy.node import Node

from sfm_odometry.nodes.qos import ODOMETRY_DEPTH, overridable, reliable

PERIOD_S = 1.0
"""A thousand poses take Python 16 ms to send, so that a path goes out once in a while and not with each frame."""


class PathOutput:
    """Keeps the newest `max_length` poses, and sends them now and then while somebody listens."""

    def __init__(self, node: Node, max_length: int) -> None:
        self._node = node
        self._publisher = node.create_publisher(PathMessage, "path", reliable(ODOMETRY_DEPTH), qos_overriding_options=overridable())
        self._poses: deque[PoseStamped] = deque(maxlen=max_length)
        self._sent_s = -PERIOD_S

    def add(self, odometry: Odometry) -> None:
        """Take the newest pose."""
        self._poses.append(PoseStamped(header=odometry.header, pose=odometry.pose.pose))

    def publish(self) -> None:
        """Send the path where somebody listens and the last one was sent a while ago."""
        now_s = time.monotonic()
        if not self._poses or now_s - self._sent_s < PERIOD_S or self._publisher.get_subscription_count() == 0:
            return
        self._sent_s = now_s
        self._publisher.publish(PathMessage(header=self._poses[-1].header, poses=list(self._poses)))

    def clear(self) -> None:
        """Begin a new path."""
        self._poses.clear()

    def close(self) -> None:
        """Withdraw the topic."""
        self._node.destroy_publisher(self._publisher)
