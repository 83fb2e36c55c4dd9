"""Inputs of the node: images, camera_info and set poses, stored for the worker."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from geometry_msgs.msg import PoseWithCovarianceStamped
from rclpy.node import Node
from rclpy.serialization import deserialize_message
from rclpy.subscription import Subscription
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from sfm_odometry.errors import CalibrationError
from sfm_odometry.io.ros_camera_info import Calibration
from sfm_odometry.nodes.alternation import Alternation
from sfm_odometry.nodes.calibrations import CalibrationHistory
from sfm_odometry.nodes.conversions import stamp_to_ns
from sfm_odometry.nodes.parameters import NodeParameters
from sfm_odometry.nodes.qos import (
    INPUT_DEPTH,
    ODOMETRY_DEPTH,
    AdaptiveSubscription,
    reliable_profile,
)
from sfm_odometry.nodes.stamp_clock import StampCheck
from sfm_odometry.nodes.topic_types import COMPRESSED

if TYPE_CHECKING:
    from sfm_odometry.nodes.given_camera import GivenCamera

_STAMP_BYTES = slice(4, 12)
"""Bytes of the stamp in a serialised message that begins with a Header, after CDR's four bytes."""


@dataclass(frozen=True)
class StampedImage:
    """Image message as received."""

    message: Image | CompressedImage
    stamp_ns: int
    generation: int
    """Number of resets before it."""
    arrived_s: float
    """Time of arrival on the monotonic clock."""
    check: StampCheck
    """Comparison of the stamp with the node's clock."""

    @classmethod
    def from_message(
        cls, message: Image | CompressedImage, generation: int, check: StampCheck
    ) -> "StampedImage":
        """Returns a message that has just arrived."""
        stamp_ns = stamp_to_ns(message.header.stamp)
        return cls(message, stamp_ns, generation, arrived_s=time.monotonic(), check=check)


class Inputs:
    """Subscriptions of the node.

    given_camera: that of the parameters; camera_info is then not listened to. on_image: called
    with every image. on_calibration: called when the calibration changes.
    on_pose: called with every pose that is set. All of them must be quick.
    """

    def __init__(
        self,
        node: Node,
        parameters: NodeParameters,
        given_camera: "GivenCamera | None",
        on_image: Callable[[Image | CompressedImage], None],
        on_calibration: Callable[[], None],
        on_pose: Callable[[PoseWithCovarianceStamped], None],
    ) -> None:
        self._node = node
        self._on_calibration = on_calibration
        self._given_camera = given_camera
        self.calibration: Calibration | None = None
        """Calibration of the newest camera_info; None before the first one or after a bad one."""
        self.calibrations = CalibrationHistory()
        """Calibrations of the newest camera_infos, by their stamps."""
        self._calibration_error = ""
        self._newest_camera_info = b""
        self._newest_calibrations: Alternation[Calibration] = Alternation()

        # Images, camera_info and poses.
        self.image = _image_subscription(node, parameters, on_image)
        self.camera_info: AdaptiveSubscription | None = None
        """None where parameters give the camera."""
        if given_camera is None:
            self.camera_info = AdaptiveSubscription(
                node,
                CameraInfo,
                "camera_info",
                self._on_camera_info,
                mode=parameters.image_qos,
                raw=True,
            )
        self._set_pose = node.create_subscription(
            PoseWithCovarianceStamped, "set_pose", on_pose, reliable_profile(ODOMETRY_DEPTH)
        )

    @property
    def other_subscriptions(self) -> tuple[Subscription | None, ...]:
        """Subscriptions except the images'; None for one that does not exist yet."""
        camera_info = None if self.camera_info is None else self.camera_info.subscription
        return camera_info, self._set_pose

    def update(self) -> None:
        """Match publishers that come, go or change their reliability."""
        self.image.update()
        if self.camera_info is not None:
            self.camera_info.update()

    def close(self) -> None:
        """Unsubscribe."""
        self.image.close()
        if self.camera_info is not None:
            self.camera_info.close()
        self._node.destroy_subscription(self._set_pose)

    @property
    def is_calibrated(self) -> bool:
        """Whether the camera is known, by parameters or by camera_info."""
        return self._given_camera is not None or self.calibration is not None

    @property
    def calibration_source(self) -> str:
        """Source of the calibration, in words."""
        if self.camera_info is not None:
            return self.camera_info.topic
        return str(self._given_camera)

    def calibration_at(self, stamp_ns: int) -> Calibration | None:
        """Returns the calibration of a frame by camera_info; None without any."""
        return self.calibration and self.calibrations.at(stamp_ns)

    @property
    def calibration_problem(self) -> str:
        """Reason why no calibration is available; empty when it is."""
        if self.is_calibrated or self.camera_info is None:
            return ""
        return self._calibration_error or f"no camera_info: {self.camera_info.silence_reason}"

    @property
    def doubt(self) -> str:
        """What is likely to be wrong with camera_infos that are used; empty where nothing is.

        A single driver whose autofocus hunts between two values is one camera.
        """
        pair = self._newest_calibrations.pair
        if pair is None or self.camera_info is None or self.camera_info.publisher_count < 2:
            return ""
        # Row 0 of the camera matrix: focal length, 0, centre.
        rows = [calibration.rectified_camera_matrix()[0] for calibration in pair]
        (newest, _, newest_centre), (other, _, other_centre) = rows
        return (
            f"{self.camera_info.publisher_count} publishers of {self.camera_info.topic} alternate: "
            f"focal lengths {other:.6g} and {newest:.6g}, centres {other_centre:.6g} and "
            f"{newest_centre:.6g}: give each camera a topic of its own"
        )

    def _on_camera_info(self, serialised: bytes) -> None:
        """Store a camera_info, and deserialise it only when more than its stamp has changed."""
        content = serialised[: _STAMP_BYTES.start] + serialised[_STAMP_BYTES.stop :]
        if content != self._newest_camera_info:
            self._newest_camera_info = content
            self._store_calibration(deserialize_message(serialised, CameraInfo))
        if self.calibration is not None:
            self._newest_calibrations.add(self.calibration)

    def _store_calibration(self, message: CameraInfo) -> None:
        before = self.calibration
        try:
            calibration = Calibration.from_message(message)
            self.calibrations.add(stamp_to_ns(message.header.stamp), calibration)
            self.calibration = calibration
        except CalibrationError as error:
            self.calibration = None
            self.calibrations.clear()
            self._calibration_error = str(error)
        if self.calibration != before:
            self._on_calibration()


def _image_subscription(
    node: Node, parameters: NodeParameters, on_image: Callable[[Image | CompressedImage], None]
) -> AdaptiveSubscription:
    """Returns the subscription to raw or compressed images."""
    compressed = parameters.image_transport == "compressed"
    topic = node.resolve_topic_name("image") + (COMPRESSED if compressed else "")
    latest_only = parameters.always_process_most_recent_frame
    return AdaptiveSubscription(
        node,
        CompressedImage if compressed else Image,
        topic,
        on_image,
        mode=parameters.image_qos,
        depth=INPUT_DEPTH if latest_only else parameters.queue_size,
    )
