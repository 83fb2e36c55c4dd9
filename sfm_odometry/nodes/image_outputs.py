"""Depth and masks on their topics, each made only while somebody listens to it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from rclpy.node import Node
from rclpy.publisher import Publisher
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from std_msgs.msg import Header

from sfm_odometry.geometry.camera import Intrinsics
from sfm_odometry.nodes.clouds import CloudMaker
from sfm_odometry.nodes.conversions import ImageBuffer, make_camera_info, make_header
from sfm_odometry.nodes.depth_registration import registered
from sfm_odometry.nodes.parameters import NodeParameters
from sfm_odometry.nodes.pictures import depth_colours, grey_levels, millimetres
from sfm_odometry.nodes.qos import IMAGE_DEPTH, overridable, reliable
from sfm_odometry.odometry import DenseMap


@dataclass(frozen=True)
class CameraView:
    """The rectified image of a frame, uint8 (H, W) or (H, W, 3) RGB, its intrinsics and the
    frame_id of its camera."""

    image: np.ndarray
    intrinsics: Intrinsics
    frame_id: str


class LazyPublishers:
    """Publishers of one result in several forms; `wanted` says whether anybody listens to any of
    them."""

    def __init__(self, node: Node, topics: dict[str, Any]) -> None:
        self._node = node
        self._publishers: dict[str, Publisher] = {
            topic: node.create_publisher(
                kind, topic, reliable(IMAGE_DEPTH), qos_overriding_options=overridable()
            )
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

    IMAGE, INFO, COLOUR, POINTS = (
        "depth/image_rect",
        "depth/camera_info",
        "depth/image_color",
        "depth/points",
    )

    def __init__(self, node: Node) -> None:
        super().__init__(
            node,
            {
                self.IMAGE: Image,
                self.INFO: CameraInfo,
                self.COLOUR: Image,
                self.POINTS: PointCloud2,
            },
        )
        self._info, self._image, self._colours, self._registered = (
            _Info(),
            _Picture(),
            _Picture(),
            _Picture(),
        )
        self._clouds: CloudMaker | None = None

    def publish(self, panel: DenseMap, view: CameraView, parameters: NodeParameters) -> None:
        """Send depth in metres (or the model's unit) in the forms that are listened to; NaN =
        unknown."""
        header = make_header(panel.stamp_ns, view.frame_id)
        at_input = parameters.depth_output_size == "input"
        image, colour = self.listened_to(self.IMAGE), self.listened_to(self.COLOUR)
        if image or self.listened_to(self.INFO):
            self.send(
                self.INFO,
                self._info.message(view.intrinsics if at_input else panel.intrinsics, header),
            )
        if image or colour:
            values = self._at_input(panel, view) if at_input else panel.values
            if image:
                self.send(self.IMAGE, self._encoded(values, parameters.depth_encoding, header))
            if colour:
                pixels, message = self._colours.of((*values.shape, 3), "bgr8", header)
                depth_colours(values, parameters.max_depth, pixels)
                self.send(self.COLOUR, message)
        if self.listened_to(self.POINTS):
            self.send(self.POINTS, self._cloud(panel, view, header))

    def _at_input(self, panel: DenseMap, view: CameraView) -> np.ndarray:
        """Depth (H, W) float32 registered to the image, in a message's own memory."""
        size = view.intrinsics.height, view.intrinsics.width
        pixels, _ = self._registered.of(size, "32FC1", Header())
        return registered(panel.values, panel.intrinsics, view.intrinsics, pixels)

    def _encoded(self, values: np.ndarray, encoding: str, header: Header) -> Image:
        if encoding == "32FC1" and values is self._registered.pixels:
            return self._registered.of(values.shape, encoding, header)[1]
        pixels, message = self._image.of(values.shape, encoding, header)
        if encoding == "16UC1":
            millimetres(values, pixels)
        else:
            pixels[:] = values
        return message

    def _cloud(self, panel: DenseMap, view: CameraView, header: Header) -> PointCloud2:
        clouds = self._clouds
        if clouds is None or (clouds.panel, clouds.camera) != (panel.intrinsics, view.intrinsics):
            clouds = self._clouds = CloudMaker(panel.intrinsics, view.intrinsics)
        return clouds.cloud_of(panel.values, view.image, header)


class MaskOutput(LazyPublishers):
    """mask/image with its camera_info, at the network's size."""

    IMAGE, INFO = "mask/image", "mask/camera_info"

    def __init__(self, node: Node) -> None:
        super().__init__(node, {self.IMAGE: Image, self.INFO: CameraInfo})
        self._info, self._image = _Info(), _Picture()

    def publish(self, panel: DenseMap, view: CameraView, parameters: NodeParameters) -> None:
        """Send the explainability, at the stamp of the frame it belongs to: 0..1 as 32FC1, or as
        0..255."""
        header = make_header(panel.stamp_ns, view.frame_id)
        pixels, message = self._image.of(panel.values.shape, parameters.mask_encoding, header)
        if parameters.mask_encoding == "mono8":
            grey_levels(panel.values, pixels)
        else:
            pixels[:] = panel.values
        self.send(self.INFO, self._info.message(panel.intrinsics, header))
        self.send(self.IMAGE, message)


class _Picture:
    """The images of one topic: the same memory as long as size and encoding stay."""

    def __init__(self) -> None:
        self._buffer: ImageBuffer | None = None

    @property
    def pixels(self) -> np.ndarray | None:
        """Those of the last message."""
        return None if self._buffer is None else self._buffer.pixels

    def of(self, shape: tuple[int, ...], encoding: str, header: Header) -> tuple[np.ndarray, Image]:
        """The pixels to write, and the message that carries them once they are written."""
        if self._buffer is None or not self._buffer.fits(shape, encoding):
            self._buffer = ImageBuffer(shape, encoding)
        self._buffer.message.header = header
        return self._buffer.pixels, self._buffer.message


class _Info:
    """The camera_info of one topic: to fill its matrices takes Python a fifth of a millisecond,
    so it is done once for a camera."""

    def __init__(self) -> None:
        self._intrinsics: Intrinsics | None = None
        self._message = CameraInfo()

    def message(self, intrinsics: Intrinsics, header: Header) -> CameraInfo:
        """Of these intrinsics; good until the next call."""
        if intrinsics != self._intrinsics:
            self._intrinsics, self._message = intrinsics, make_camera_info(intrinsics, header)
        self._message.header = header
        return self._message
