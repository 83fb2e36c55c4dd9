"""Depth and masks on their topics, each made only while somebody listens to it."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from rclpy.node import Node
from rclpy.publisher import Publisher
from sensor_msgs.msg import CameraInfo, Image, PointCloud2

from sfm_odometry.camera import Intrinsics
from sfm_odometry.nodes.conversions import encode_image, make_camera_info, make_header
from sfm_odometry.nodes.parameters import NodeParameters
from sfm_odometry.nodes.pictures import cloud_of, depth_colours, grey_levels, millimetres
from sfm_odometry.nodes.qos import IMAGE_DEPTH, overridable, reliable
from sfm_odometry.odometry import Panel
from sfm_odometry.registration import registered, sampled


@dataclass(frozen=True)
class CameraView:
    """The rectified image of a frame, uint8 (H, W) or (H, W, 3) RGB, its intrinsics and the frame_id of its camera."""

    image: np.ndarray
    intrinsics: Intrinsics
    frame_id: str


class LazyPublishers:
    """Publishers of one result in several forms; `wanted` says whether anybody listens to any of them."""

    def __init__(self, node: Node, topics: dict[str, Any]) -> None:
        self._node = node
        self._publishers: dict[str, Publisher] = {
            topic: node.create_publisher(kind, topic, reliable(IMAGE_DEPTH), qos_overriding_options=overridable())
            for topic, kind in topics.items()
        }

    @property
    def wanted(self) -> bool:
        """Whether anybody listens."""
        return any(map(self.listened_to, self._publishers))

    def listened_to(self, topic: str) -> bool:
        """Whether anybody listens to one of the topics."""
        return self._publishers[topic].get_subscription_count() > 0

    def send(self, topic: str, message: Any) -> None:
        """Publish on one of the topics."""
        self._publishers[topic].publish(message)

    def close(self) -> None:
        """Withdraw the topics."""
        for publisher in self._publishers.values():
            self._node.destroy_publisher(publisher)


class DepthOutput(LazyPublishers):
    """depth/image_rect with its camera_info, in colours and as points."""

    IMAGE, INFO, COLOUR, POINTS = "depth/image_rect", "depth/camera_info", "depth/image_color", "depth/points"

    def __init__(self, node: Node) -> None:
        super().__init__(node, {self.IMAGE: Image, self.INFO: CameraInfo, self.COLOUR: Image, self.POINTS: PointCloud2})

    def publish(self, panel: Panel, view: CameraView, parameters: NodeParameters) -> None:
        """Send depth in metres (or the model's unit) in the forms that are listened to; NaN = unknown."""
        header = make_header(panel.stamp_ns, view.frame_id)
        depth = _SizedDepth(panel, view.intrinsics, parameters.depth_output_size == "input")
        if self.listened_to(self.INFO) or self.listened_to(self.IMAGE):
            self.send(self.INFO, make_camera_info(depth.intrinsics, header))
        if self.listened_to(self.IMAGE):
            values = millimetres(depth.values) if parameters.depth_encoding == "16UC1" else depth.values
            self.send(self.IMAGE, encode_image(values, parameters.depth_encoding, header))
        if self.listened_to(self.COLOUR):
            self.send(self.COLOUR, encode_image(depth_colours(depth.values, parameters.max_depth), "bgr8", header))
        if self.listened_to(self.POINTS):
            image = sampled(view.image, view.intrinsics, panel.intrinsics)
            self.send(self.POINTS, cloud_of(panel.values, image, panel.intrinsics, header))


class _SizedDepth:
    """Depth at the network's pixels or registered to the image, which is done when it is asked for."""

    def __init__(self, panel: Panel, camera: Intrinsics, at_input: bool) -> None:
        self._panel, self._at_input = panel, at_input
        self.intrinsics = camera if at_input else panel.intrinsics

    @cached_property
    def values(self) -> np.ndarray:
        """(H, W) float32 of these intrinsics."""
        return registered(self._panel.values, self._panel.intrinsics, self.intrinsics) if self._at_input else self._panel.values


class MaskOutput(LazyPublishers):
    """mask/image with its camera_info, at the network's size."""

    IMAGE, INFO = "mask/image", "mask/camera_info"

    def __init__(self, node: Node) -> None:
        super().__init__(node, {self.IMAGE: Image, self.INFO: CameraInfo})

    def publish(self, panel: Panel, view: CameraView, parameters: NodeParameters) -> None:
        """Send the explainability, at the stamp of the frame it belongs to: 0..1 as 32FC1, or as 0..255."""
        header = make_header(panel.stamp_ns, view.frame_id)
        values = grey_levels(panel.values) if parameters.mask_encoding == "mono8" else panel.values
        self.send(self.INFO, make_camera_info(panel.intrinsics, header))
        self.send(self.IMAGE, encode_image(values, parameters.mask_encoding, header))
