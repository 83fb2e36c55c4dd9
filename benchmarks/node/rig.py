"""The camera before the node and the robot behind it: publishes images, and notes when their
odometry comes."""

import contextlib
import time
from collections.abc import Sequence
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
TOPICS: dict[str, dict[str, Any]] = {
    "depth": {"depth/image_rect": Image, "depth/camera_info": CameraInfo},
    "mask": {"mask/image": Image},
    "cloud": {"depth/points": PointCloud2},
}
"""What a consumer listens to; nobody reads it here, so it stays as the bytes that came."""


class Rig(Listener):
    """Both ends of the node in this process. As a context manager it is on the air; what it
    hears comes in on a thread of its own."""

    name = "node_bench"

    def __init__(self, images: Sequence[np.ndarray], camera: Intrinsics) -> None:
        header = make_header(0, CAMERA_FRAME)
        self._images = [encode_image(image, "rgb8", header) for image in images]
        self._camera_info = make_camera_info(camera, header)
        self._next = 0
        self.published_ns: dict[int, int] = {}
        """When an image was published, by its stamp; both clocks are this machine's own."""
        self.received_ns: dict[int, int] = {}
        """When the odometry of an image came, by the image's stamp."""
        self.heard: dict[str, int] = {}
        """Messages by topic, of consumers that listen."""
        self.status: dict[str, str] = {}

    def _connect(self, node: Node) -> None:
        self._image = node.create_publisher(Image, "image", image_profile("reliable"))
        self._info = node.create_publisher(CameraInfo, "camera_info", image_profile("reliable"))
        node.create_subscription(Odometry, "odom", self._on_odometry, 50)
        node.create_subscription(TFMessage, "/tf", lambda _: None, 50)
        node.create_subscription(DiagnosticArray, f"{NODE}/status", self._on_status, 10)

    @property
    def connected(self) -> bool:
        """Whether the node listens to us and publishes."""
        heard = all(
            publisher.get_subscription_count() > 0 for publisher in (self._image, self._info)
        )
        return heard and self._node.count_publishers("odom") > 0

    @contextlib.contextmanager
    def consumers(self, names: Sequence[str]) -> Any:
        """Listen to what these consumers want, while the context lasts."""
        wanted = [(topic, kind) for name in names for topic, kind in TOPICS[name].items()]
        self.heard = {topic: 0 for topic, _ in wanted}
        subscriptions = [
            self._node.create_subscription(kind, topic, self._counter(topic), 10, raw=True)
            for topic, kind in wanted
        ]
        try:
            yield
        finally:
            for subscription in subscriptions:
                self._node.destroy_subscription(subscription)

    def publish(self) -> int:
        """Send the next image with its camera_info; returns its stamp, which is now."""
        image = self._images[self._next]
        self._next = (self._next + 1) % len(self._images)
        stamp_ns = time.time_ns()
        image.header.stamp = self._camera_info.header.stamp = ns_to_stamp(stamp_ns)
        self._info.publish(self._camera_info)
        self.published_ns[stamp_ns] = time.monotonic_ns()
        self._image.publish(image)
        return stamp_ns

    def wait_for(self, stamps_ns: Sequence[int], timeout_s: float) -> bool:
        """Wait until the odometry of all these images is there; False after `timeout_s`."""
        deadline_s = time.monotonic() + timeout_s
        while not all(stamp_ns in self.received_ns for stamp_ns in stamps_ns):
            if time.monotonic() > deadline_s:
                return False
            time.sleep(0.001)
        return True

    def latencies_ms(self, stamps_ns: Sequence[int]) -> np.ndarray:
        """From publishing an image to receiving its odometry, of those whose odometry came."""
        came = [stamp_ns for stamp_ns in stamps_ns if stamp_ns in self.received_ns]
        return np.array(
            [(self.received_ns[stamp_ns] - self.published_ns[stamp_ns]) * 1e-6 for stamp_ns in came]
        )

    def _on_odometry(self, message: Odometry) -> None:
        self.received_ns.setdefault(stamp_to_ns(message.header.stamp), time.monotonic_ns())

    def _on_status(self, message: DiagnosticArray) -> None:
        for status in message.status:
            self.status = {item.key: item.value for item in status.values}

    def _counter(self, topic: str) -> Any:
        def count(_: bytes) -> None:
            self.heard[topic] += 1

        return count
