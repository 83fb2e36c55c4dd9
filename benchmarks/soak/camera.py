"""Simulated camera, and the faults that it can have."""

from collections.abc import Callable

import cv2
import numpy as np
from geometry_msgs.msg import PoseWithCovarianceStamped
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, Image

from sfm_odometry.geometry.camera import Intrinsics
from sfm_odometry.nodes.conversions import encode_image, make_camera_info, make_header, ns_to_stamp

WIDTH = 96
HEIGHT = 48
PERIOD_NS = 50_000_000
START_NS = 1_700_000_000_000_000_000
FRAME = "camera_optical_frame"


class FaultyCamera:
    """Camera that publishes views of a moving texture, stamped like those of a 20 Hz camera.

    `sent` counts the images.
    """

    def __init__(self, node: Node, random: np.random.Generator) -> None:
        self.random = random
        self._image = node.create_publisher(Image, "image", 100)
        self._info = node.create_publisher(CameraInfo, "camera_info", 100)
        self._pose = node.create_publisher(PoseWithCovarianceStamped, "set_pose", 10)
        coarse = random.integers(0, 255, (HEIGHT // 4, 60, 3), dtype=np.uint8)
        self._texture = cv2.resize(coarse, (240, HEIGHT), interpolation=cv2.INTER_CUBIC)
        self.intrinsics = intrinsics_of(70.0)
        self.stamp_ns = START_NS
        self.sent = 0

    @property
    def connected(self) -> bool:
        """Whether the node subscribes to the camera's topics."""
        return self._image.get_subscription_count() > 0 and self._info.get_subscription_count() > 0

    def view(self) -> np.ndarray:
        """Returns the next view, uint8 RGB (H, W, 3)."""
        left = self.sent * 2 % (self._texture.shape[1] - WIDTH)
        return self._texture[:, left : left + WIDTH]

    def next_image(self, step_ns: int = PERIOD_NS, **changes: object) -> Image:
        """Returns the next message, with other values in the fields named in `changes`."""
        self.stamp_ns += step_ns
        message = encode_image(self.view(), "rgb8", make_header(self.stamp_ns, FRAME))
        for name, value in changes.items():
            setattr(message, name, value)
        return message

    def send(self, image: Image) -> None:
        """Publish an image."""
        self._image.publish(image)
        self.sent += 1

    def send_valid_frame(self) -> None:
        """Publish the next image with its calibration, both valid."""
        self.send_valid_calibration()
        self.send(self.next_image())

    def send_valid_calibration(self) -> None:
        """Publish the camera_info of the current intrinsics."""
        self.send_calibration(make_camera_info(self.intrinsics, make_header(self.stamp_ns, FRAME)))

    def send_calibration(self, info: CameraInfo) -> None:
        """Publish a camera_info."""
        self._info.publish(info)

    def set_pose(self, w: float) -> None:
        """Publish a set_pose message with the quaternion (0, 0, 0, w)."""
        message = PoseWithCovarianceStamped()
        message.header.frame_id = "odom"
        message.pose.pose.orientation.w = w
        self._pose.publish(message)


def intrinsics_of(focal_length: float) -> Intrinsics:
    """Returns the camera's intrinsics at a focal length in pixels."""
    return Intrinsics(
        fx=focal_length, fy=focal_length, cx=47.5, cy=23.5, width=WIDTH, height=HEIGHT
    )


def unknown_encoding(camera: FaultyCamera) -> None:
    """Unknown encoding."""
    camera.send(camera.next_image(encoding="64FC9"))


def short_step(camera: FaultyCamera) -> None:
    """Row step shorter than the pixels of a row."""
    camera.send(camera.next_image(step=3))


def short_data(camera: FaultyCamera) -> None:
    """Half of the data missing."""
    image = camera.next_image()
    image.data = image.data[: len(image.data) // 2]
    camera.send(image)


def no_pixels(camera: FaultyCamera) -> None:
    """Image of width and height 0."""
    camera.send(camera.next_image(width=0, height=0, step=0))


def huge_size(camera: FaultyCamera) -> None:
    """More pixels than fit into any memory."""
    camera.send(camera.next_image(width=2**31, height=2**31))


def half_size(camera: FaultyCamera) -> None:
    """Image of half the size in camera_info."""
    small = camera.view()[::2, ::2]
    camera.send(encode_image(small, "rgb8", camera.next_image().header))


def other_layout(camera: FaultyCamera) -> None:
    """Grey image of 16 bits, big-endian: unusual, but valid."""
    grey = camera.view()[..., 1].astype(">u2") * 257
    data = encode_image(grey.view(np.uint8), "mono8", make_header(1, FRAME)).data
    camera.send(camera.next_image(encoding="mono16", is_bigendian=1, step=2 * WIDTH, data=data))


def no_stamp(camera: FaultyCamera) -> None:
    """Stamp of zero."""
    image = camera.next_image()
    image.header.stamp = ns_to_stamp(0)
    camera.send(image)


def far_stamp(camera: FaultyCamera) -> None:
    """Stamp beyond the range of a valid time."""
    image = camera.next_image()
    image.header.stamp.sec = 2**31 - 1
    image.header.stamp.nanosec = 2**32 - 1
    camera.send(image)


def equal_stamp(camera: FaultyCamera) -> None:
    """Same stamp as the previous frame."""
    camera.send(camera.next_image(step_ns=0))


def older_stamp(camera: FaultyCamera) -> None:
    """Stamp older than the previous frame, as of an overtaken message."""
    image = camera.next_image()
    image.header.stamp = ns_to_stamp(camera.stamp_ns - 3 * PERIOD_NS)
    camera.send(image)


def gap(camera: FaultyCamera) -> None:
    """Gap of three seconds."""
    camera.send(camera.next_image(step_ns=3_000_000_000))


def clock_jump(camera: FaultyCamera) -> None:
    """Clock set back by a minute."""
    camera.send(camera.next_image(step_ns=-60_000_000_000))


def lost_frames(camera: FaultyCamera) -> None:
    """One to four frames missing."""
    camera.send(camera.next_image(step_ns=int(camera.random.integers(2, 6)) * PERIOD_NS))


def senseless_calibration(camera: FaultyCamera) -> None:
    """camera_info full of NaN, infinite, negative, huge or zero values."""
    value = camera.random.choice([np.nan, np.inf, -1.0, 1e300, 0.0])
    camera.send_calibration(CameraInfo(width=WIDTH, height=HEIGHT, k=[value] * 9, p=[value] * 12))
    camera.send(camera.next_image())


def other_camera(camera: FaultyCamera) -> None:
    """Zoom: another focal length from this frame on."""
    focal = float(camera.random.choice([60.0, 70.0, 80.0]))
    camera.intrinsics = intrinsics_of(focal)
    camera.send_valid_frame()


def black(camera: FaultyCamera) -> None:
    """Black image, as of a covered lens."""
    camera.send(
        encode_image(np.zeros((HEIGHT, WIDTH, 3), np.uint8), "rgb8", camera.next_image().header)
    )


def noise(camera: FaultyCamera) -> None:
    """Image of noise, as of a broken sensor."""
    pixels = camera.random.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    camera.send(encode_image(pixels, "rgb8", camera.next_image().header))


def set_pose(camera: FaultyCamera) -> None:
    """set_pose message, sometimes with an invalid quaternion."""
    camera.set_pose(float(camera.random.choice([1.0, 0.0, np.nan])))
    camera.send_valid_frame()


FAULTS: tuple[Callable[[FaultyCamera], None], ...] = (
    unknown_encoding,
    short_step,
    short_data,
    no_pixels,
    huge_size,
    half_size,
    other_layout,
    no_stamp,
    far_stamp,
    equal_stamp,
    older_stamp,
    gap,
    clock_jump,
    lost_frames,
    senseless_calibration,
    other_camera,
    black,
    noise,
    set_pose,
)
"""Faults that the soak test draws from; each sends one image."""
