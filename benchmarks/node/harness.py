"""Test harness of the node: publishes camera images and records the arrival of their odometry."""

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from nav_msgs.msg import Odometry
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from tf2_msgs.msg import TFMessage

from demo.listener import Listener
from sfm_odometry.geometry.camera import Intrinsics
from sfm_odometry.nodes.conversions import (
    encode_image,
    make_camera_info,
    make_header,
    ns_to_stamp,
    stamp_to_ns,
)
from sfm_odometry.nodes.qos import image_profile

NODE = "sfm_odometry"
CAMERA_FRAME = "camera_optical_frame"
CONSUMER_TOPICS: dict[str, dict[str, Any]] = {
    "depth": {"depth/image_rect": Image, "depth/camera_info": CameraInfo},
    "mask": {"mask/image": Image},
    "cloud": {"depth/points": PointCloud2},
}
"""Topics and message types of each consumer; received raw, since their content is not read."""


class NodeHarness(Listener):
    """Camera and robot around the node, both in this process.

    Publishes and subscribes inside its context; messages arrive on a thread of its own.
    """

    name = "node_bench"

    def __init__(self, images: Sequence[np.ndarray], camera: Intrinsics) -> None:
        """images: uint8 RGB (H, W, 3), published one after the other and again from the start."""
        header = make_header(0, CAMERA_FRAME)
        self._images = [encode_image(image, "rgb8", header) for image in images]
        self._camera_info = make_camera_info(camera, header)
        self._next = 0
        self.published_ns: dict[int, int] = {}
        """Publishing time of each image by its stamp; both clocks are this machine's own."""
        self.received_ns: dict[int, int] = {}
        """Arrival time of each image's odometry by the image's stamp, monotonic clock."""
        self.heard: dict[str, int] = {}
        """Number of messages by topic, for the consumers that are subscribed."""
        self.status: dict[str, str] = {}
        """Last status of the node."""

    def _connect(self, node: Node) -> None:
        self._image = node.create_publisher(Image, "image", image_profile("reliable"))
        self._info = node.create_publisher(CameraInfo, "camera_info", image_profile("reliable"))
        node.create_subscription(Odometry, "odom", self._on_odometry, 50)
        node.create_subscription(TFMessage, "/tf", lambda _: None, 50)
        node.create_subscription(DiagnosticArray, f"{NODE}/status", self._on_status, 10)

    @property
    def connected(self) -> bool:
        """Whether the node subscribes to image and camera_info, and publishes odometry."""
        subscribed = all(
            publisher.get_subscription_count() > 0 for publisher in (self._image, self._info)
        )
        return subscribed and self._node.count_publishers("odom") > 0

    @contextlib.contextmanager
    def consumers(self, names: Sequence[str]) -> Iterator[None]:
        """Subscribe to the topics of these consumers inside the context; counts from zero."""
        topics = [(topic, kind) for name in names for topic, kind in CONSUMER_TOPICS[name].items()]
        self.heard = {topic: 0 for topic, _ in topics}
        subscriptions = [
            self._node.create_subscription(kind, topic, self._counter(topic), 10, raw=True)
            for topic, kind in topics
        ]
        try:
            yield
        finally:
            self.call(lambda: [self._node.destroy_subscription(each) for each in subscriptions])

    def publish(self) -> int:
        """Publish the next image with its camera_info; returns its stamp, the current time."""
        image = self._images[self._next]
        self._next = (self._next + 1) % len(self._images)
        stamp_ns = time.time_ns()
        image.header.stamp = self._camera_info.header.stamp = ns_to_stamp(stamp_ns)
        self._info.publish(self._camera_info)
        self.published_ns[stamp_ns] = time.monotonic_ns()
        self._image.publish(image)
        return stamp_ns

    def wait_for(self, stamps_ns: Sequence[int], timeout_s: float) -> bool:
        """Wait until the odometry of all these images is there; returns False on timeout."""
        deadline_s = time.monotonic() + timeout_s
        while not all(stamp_ns in self.received_ns for stamp_ns in stamps_ns):
            if time.monotonic() > deadline_s:
                return False
            time.sleep(0.001)
        return True

    def latencies_ms(self, stamps_ns: Sequence[int]) -> np.ndarray:
        """Returns the latency of each of these images whose odometry came, (N,) in ms.

        Latency: from publishing the image to receiving its odometry.
        """
        received = [stamp_ns for stamp_ns in stamps_ns if stamp_ns in self.received_ns]
        return np.array(
            [
                (self.received_ns[stamp_ns] - self.published_ns[stamp_ns]) * 1e-6
                for stamp_ns in received
            ]
        )

    def _on_odometry(self, message: Odometry) -> None:
        self.received_ns.setdefault(stamp_to_ns(message.header.stamp), time.monotonic_ns())

    def _on_status(self, message: DiagnosticArray) -> None:
        for status in message.status:
            self.status = {item.key: item.value for item in status.values}

    def _counter(self, topic: str) -> Callable[[bytes], None]:
        """Returns the callback that counts the messages of a topic."""

        def count(_: bytes) -> None:
            self.heard[topic] += 1

        return count
