"""The way that was travelled, as nav_msgs/Path."""

import time
from collections import deque

import numpy as np
from geometry_msgs.msg import PoseStamped
from nav_msgs.msg import Path as PathMessage
from rclpy.node import Node
from std_msgs.msg import Header

from sfm_odometry.nodes.qos import ODOMETRY_DEPTH, overridable, reliable
from sfm_odometry.nodes.tf_conversions import pose_message

PERIOD_S = 1.0
"""A thousand poses take Python 16 ms to send, so that a path goes out once in a while and not
with each frame."""


class PathOutput:
    """Keeps the newest `max_length` poses, and sends them now and then while somebody listens."""

    def __init__(self, node: Node, max_length: int) -> None:
        self._node = node
        self._publisher = node.create_publisher(
            PathMessage, "path", reliable(ODOMETRY_DEPTH), qos_overriding_options=overridable()
        )
        self._poses: deque[PoseStamped] = deque(maxlen=max_length)
        self._new: deque[tuple[Header, np.ndarray]] = deque(maxlen=max_length)
        """Those that are not messages yet: they become some when a path is sent."""
        self._sent_s = -PERIOD_S

    def add(self, header: Header, odom_from_base: np.ndarray) -> None:
        """Take the newest pose, (4, 4)."""
        self._new.append((header, odom_from_base))

    def publish(self) -> None:
        """Send the path where somebody listens and the last one was sent a while ago."""
        now_s = time.monotonic()
        if now_s - self._sent_s < PERIOD_S or self._publisher.get_subscription_count() == 0:
            return
        self._poses.extend(
            PoseStamped(header=header, pose=pose_message(pose)) for header, pose in self._new
        )
        self._new.clear()
        if self._poses:
            self._sent_s = now_s
            self._publisher.publish(
                PathMessage(header=self._poses[-1].header, poses=list(self._poses))
            )

    def clear(self) -> None:
        """Begin a new path."""
        self._poses.clear()
        self._new.clear()

    def close(self) -> None:
        """Withdraw the topic."""
        self._node.destroy_publisher(self._publisher)
