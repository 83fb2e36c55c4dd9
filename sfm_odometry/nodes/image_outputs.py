"""Topics of depth and masks; each message is made only for subscribers."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from rclpy.node import Node
from rclpy.publisher import Publisher
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from std_msgs.msg import Header

from sfm_odometry.geometry.camera import Intrinsics
from sfm_odometry.nodes.clouds import PointCloudBuilder
from sfm_odometry.nodes.conversions import ImageBuffer, make_camera_info, make_header
from sfm_odometry.nodes.depth_registration import register_to_image
from sfm_odometry.nodes.image_encoding import colorize_depth, depth_to_millimetres, mask_to_grey
from sfm_odometry.nodes.parameters import NodeParameters
from sfm_odometry.nodes.qos import IMAGE_DEPTH, publisher_overrides, reliable_profile
from sfm_odometry.results import DenseMap


@dataclass(frozen=True)
class CameraView:
    """Rectified image of a frame, uint8 (H, W) or (H, W, 3) RGB, with its camera."""

    image: np.ndarray
    intrinsics: Intrinsics
    frame_id: str
    """Optical frame of the camera."""


class OnDemandPublishers:
    """Publishers of one result in several forms, with their numbers of subscribers."""

    def __init__(self, node: Node, topics: dict[str, Any]) -> None:
        """topics: class of the messages by topic."""
        self._node = node
        self._publishers: dict[str, Publisher] = {
            topic: node.create_publisher(
                message_type,
                topic,
                reliable_profile(IMAGE_DEPTH),
                qos_overriding_options=publisher_overrides(),
            )
            for topic, message_type in topics.items()
        }

    @property
    def has_subscribers(self) -> bool:
        """Whether any of the topics has subscribers."""
        return any(map(self.is_subscribed, self._publishers))

    def is_subscribed(self, topic: str) -> bool:
        """Whether the topic has subscribers."""
        return self._publishers[topic].get_subscription_count() > 0

    def send(self, topic: str, message: Any) -> None:
        """Publish a message on the topic."""
        self._publishers[topic].publish(message)

    def close(self) -> None:
        """Withdraw the topics."""
        for publisher in self._publishers.values():
            self._node.destroy_publisher(publisher)


class DepthOutput(OnDemandPublishers):
    """Depth as image with camera_info, in colours, and as point cloud."""

    IMAGE = "depth/image_rect"
    INFO = "depth/camera_info"
    COLOUR = "depth/image_color"
    POINTS = "depth/points"

    def __init__(self, node: Node) -> None:
        message_types = {
            self.IMAGE: Image,
            self.INFO: CameraInfo,
            self.COLOUR: Image,
            self.POINTS: PointCloud2,
        }
        super().__init__(node, message_types)
        self._info_cache = _CameraInfoCache()
        self._image_cache = _ImageCache()
        self._colour_cache = _ImageCache()
        self._registered_cache = _ImageCache()
        self._cloud_builder: PointCloudBuilder | None = None

    def publish(self, depth: DenseMap, view: CameraView, parameters: NodeParameters) -> None:
        """Publish depth in the forms that have subscribers.

        depth: in metres, or in the model's unit of length without metric scale; NaN = unknown.
        """
        header = make_header(depth.stamp_ns, view.frame_id)
        at_input_size = parameters.depth_output_size == "input"
        wants_image = self.is_subscribed(self.IMAGE)
        wants_colour = self.is_subscribed(self.COLOUR)

        # camera_info, which the image needs too.
        if wants_image or self.is_subscribed(self.INFO):
            intrinsics = view.intrinsics if at_input_size else depth.intrinsics
            self.send(self.INFO, self._info_cache.get(intrinsics, header))

        # Image and colours.
        if wants_image or wants_colour:
            values = self._register(depth, view) if at_input_size else depth.values
            if wants_image:
                self.send(self.IMAGE, self._encode(values, parameters.depth_encoding, header))
            if wants_colour:
                pixels, message = self._colour_cache.get((*values.shape, 3), "bgr8", header)
                colorize_depth(values, parameters.max_depth, pixels)
                self.send(self.COLOUR, message)

        # Point cloud.
        if self.is_subscribed(self.POINTS):
            self.send(self.POINTS, self._make_cloud(depth, view, header))

    def _register(self, depth: DenseMap, view: CameraView) -> np.ndarray:
        """Returns depth (H, W) float32 registered to the image, in the buffer of a message."""
        size = view.intrinsics.height, view.intrinsics.width
        pixels, _ = self._registered_cache.get(size, "32FC1", Header())
        return register_to_image(depth.values, depth.intrinsics, view.intrinsics, pixels)

    def _encode(self, values: np.ndarray, encoding: str, header: Header) -> Image:
        """Returns the message of the values (H, W); without a copy where they are in its buffer."""
        if encoding == "32FC1" and values is self._registered_cache.pixels:
            return self._registered_cache.get(values.shape, encoding, header)[1]
        pixels, message = self._image_cache.get(values.shape, encoding, header)
        if encoding == "16UC1":
            depth_to_millimetres(values, pixels)
        else:
            pixels[:] = values
        return message

    def _make_cloud(self, depth: DenseMap, view: CameraView, header: Header) -> PointCloud2:
        builder = self._cloud_builder
        cameras = (depth.intrinsics, view.intrinsics)
        if builder is None or (builder.map_intrinsics, builder.image_intrinsics) != cameras:
            builder = PointCloudBuilder(*cameras)
            self._cloud_builder = builder
        return builder.build(depth.values, view.image, header)


class MaskOutput(OnDemandPublishers):
    """Explainability mask as image with camera_info, at the networks' size."""

    IMAGE = "mask/image"
    INFO = "mask/camera_info"

    def __init__(self, node: Node) -> None:
        super().__init__(node, {self.IMAGE: Image, self.INFO: CameraInfo})
        self._info_cache = _CameraInfoCache()
        self._image_cache = _ImageCache()

    def publish(self, mask: DenseMap, view: CameraView, parameters: NodeParameters) -> None:
        """Publish the mask at the stamp of its frame: 0 to 1 as 32FC1, or 0 to 255 as mono8."""
        header = make_header(mask.stamp_ns, view.frame_id)
        pixels, message = self._image_cache.get(mask.values.shape, parameters.mask_encoding, header)
        if parameters.mask_encoding == "mono8":
            mask_to_grey(mask.values, pixels)
        else:
            pixels[:] = mask.values
        self.send(self.INFO, self._info_cache.get(mask.intrinsics, header))
        self.send(self.IMAGE, message)


class _ImageCache:
    """Image message of one topic, whose buffer is used again while size and encoding stay."""

    def __init__(self) -> None:
        self._buffer: ImageBuffer | None = None

    @property
    def pixels(self) -> np.ndarray | None:
        """Pixels of the last message."""
        return None if self._buffer is None else self._buffer.pixels

    def get(
        self, shape: tuple[int, ...], encoding: str, header: Header
    ) -> tuple[np.ndarray, Image]:
        """Returns the pixels to write to, and the message that contains them."""
        if self._buffer is None or not self._buffer.fits(shape, encoding):
            self._buffer = ImageBuffer(shape, encoding)
        self._buffer.message.header = header
        return self._buffer.pixels, self._buffer.message


class _CameraInfoCache:
    """camera_info of one topic, filled once for each camera.

    Filling its matrices takes Python 0.2 ms.
    """

    def __init__(self) -> None:
        self._intrinsics: Intrinsics | None = None
        self._message = CameraInfo()

    def get(self, intrinsics: Intrinsics, header: Header) -> CameraInfo:
        """Returns the message for the intrinsics; valid until the next call."""
        if intrinsics != self._intrinsics:
            self._intrinsics = intrinsics
            self._message = make_camera_info(intrinsics, header)
        self._message.header = header
        return self._message
