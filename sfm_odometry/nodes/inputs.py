"""What the node listens to: images, their camera_info and poses that are set; stored for the
worker and nothing more."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from geometry_msgs.msg import PoseWithCovarianceStamped
from rclpy.node import Node
from rclpy.serialization import deserialize_message
from rclpy.subscription import Subscription
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from sfm_odometry.errors import CalibrationError
from sfm_odometry.io.ros_camera_info import Calibration
from sfm_odometry.nodes.conversions import stamp_to_ns
from sfm_odometry.nodes.parameters import NodeParameters
from sfm_odometry.nodes.qos import INPUT_DEPTH, ODOMETRY_DEPTH, FollowingSubscription, reliable

_STAMP = slice(4, 12)
"""Where the stamp is in a serialised message that begins with a Header: behind CDR's four bytes."""


@dataclass(frozen=True)
class StampedImage:
    """An image message as it came; `generation` counts the resets before it."""

    message: Image | CompressedImage
    stamp_ns: int
    generation: int
    arrived_s: float


class Inputs:
    """The subscriptions. `on_image` gets every image, `on_pose` every pose that is set,
    `on_calibration` is called when the camera changes.

    All of them must be quick.

    `calibration` is the newest camera_info's, or None.
    """

    def __init__(
        self,
        node: Node,
        parameters: NodeParameters,
        on_image: Callable[[Image | CompressedImage], None],
        on_calibration: Callable[[], None],
        on_pose: Callable[[PoseWithCovarianceStamped], None],
    ) -> None:
        self._node, self._on_calibration = node, on_calibration
        self.calibration: Calibration | None = None
        self._problem = ""
        compressed = parameters.image_transport == "compressed"
        topic = node.resolve_topic_name("image") + ("/compressed" if compressed else "")
        depth = (
            INPUT_DEPTH if parameters.always_process_most_recent_frame else parameters.queue_size
        )
        kind = CompressedImage if compressed else Image
        self.image = FollowingSubscription(node, kind, topic, on_image, parameters.image_qos, depth)
        self.camera_info = FollowingSubscription(
            node, CameraInfo, "camera_info", self._on_camera_info, parameters.image_qos, raw=True
        )
        self._camera_info = b""
        self._set_pose = node.create_subscription(
            PoseWithCovarianceStamped, "set_pose", on_pose, reliable(ODOMETRY_DEPTH)
        )

    @property
    def beside_images(self) -> tuple[Subscription | None, ...]:
        """The subscriptions but for the images'; None for one that there is not yet."""
        return self.camera_info.subscription, self._set_pose

    def update(self) -> None:
        """Follow publishers that come, go or change their offer."""
        self.image.update()
        self.camera_info.update()

    def close(self) -> None:
        """Unsubscribe."""
        self.image.close()
        self.camera_info.close()
        self._node.destroy_subscription(self._set_pose)

    @property
    def waiting_for_calibration(self) -> str:
        """Why there are no usable intrinsics, or nothing."""
        if self.calibration is not None:
            return ""
        return self._problem or f"no camera_info: {self.camera_info.silence}"

    def _on_camera_info(self, serialised: bytes) -> None:
        """A camera says the same with every image but for the stamp: what it has said before is
        not made a message again."""
        content = serialised[: _STAMP.start] + serialised[_STAMP.stop :]
        if content != self._camera_info:
            self._camera_info = content
            self._store_calibration(deserialize_message(serialised, CameraInfo))

    def _store_calibration(self, message: CameraInfo) -> None:
        before = self.calibration
        try:
            self.calibration = Calibration.from_message(message)
        except CalibrationError as error:
            self.calibration, self._problem = None, str(error)
        if self.calibration != before:
            self._on_calibration()


def stamped(message: Image | CompressedImage, generation: int) -> StampedImage:
    """The message with what is known of its arrival."""
    return StampedImage(message, stamp_to_ns(message.header.stamp), generation, time.monotonic())
