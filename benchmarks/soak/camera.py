"""A camera that does everything wrong that cameras do, now and then."""

from collections.abc import Callable

import cv2
import numpy as np
from geometry_msgs.msg import PoseWithCovarianceStamped
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, Image

from sfm_odometry.geometry.camera import Intrinsics
from sfm_odometry.nodes.conversions import encode_image, make_camera_info, make_header, ns_to_stamp

WIDTH, HEIGHT = 96, 48
PERIOD_NS = 50_000_000
START_NS = 1_700_000_000_000_000_000
FRAME = "camera_optical_frame"


class FaultyCamera:
    """Sends pictures of a texture that moves by, at the stamps of a 20 Hz camera; `sent` counts
    the images."""

    def __init__(self, node: Node, random: np.random.Generator) -> None:
        self.random = random
        self._image = node.create_publisher(Image, "image", 100)
        self._info = node.create_publisher(CameraInfo, "camera_info", 100)
        self._pose = node.create_publisher(PoseWithCovarianceStamped, "set_pose", 10)
        coarse = random.integers(0, 255, (HEIGHT // 4, 60, 3), dtype=np.uint8)
        self._texture = cv2.resize(coarse, (240, HEIGHT), interpolation=cv2.INTER_CUBIC)
        self.intrinsics = Intrinsics(70.0, 70.0, 47.5, 23.5, WIDTH, HEIGHT)
        self.stamp_ns = START_NS
        self.sent = 0

    @property
    def heard(self) -> bool:
        """Whether the node listens to the camera."""
        return self._image.get_subscription_count() > 0 and self._info.get_subscription_count() > 0

    def picture(self) -> np.ndarray:
        """The next view, uint8 (H, W, 3)."""
        left = self.sent * 2 % (self._texture.shape[1] - WIDTH)
        return self._texture[:, left : left + WIDTH]

    def image(self, step_ns: int = PERIOD_NS, **changes: object) -> Image:
        """The next message, with other values in some of its fields."""
        self.stamp_ns += step_ns
        message = encode_image(self.picture(), "rgb8", make_header(self.stamp_ns, FRAME))
        for name, value in changes.items():
            setattr(message, name, value)
        return message

    def send(self, image: Image) -> None:
        """Send an image."""
        self._image.publish(image)
        self.sent += 1

    def good_frame(self) -> None:
        """A frame as it should be."""
        self.good_calibration()
        self.send(self.image())

    def good_calibration(self) -> None:
        """The camera_info that is true at the moment."""
        self.calibrate(make_camera_info(self.intrinsics, make_header(self.stamp_ns, FRAME)))

    def calibrate(self, info: CameraInfo) -> None:
        """Send a camera_info."""
        self._info.publish(info)

    def set_pose(self, w: float) -> None:
        """Ask for another pose, with the quaternion 0, 0, 0, w."""
        message = PoseWithCovarianceStamped()
        message.header.frame_id = "odom"
        message.pose.pose.orientation.w = w
        self._pose.publish(message)


def unknown_encoding(camera: FaultyCamera) -> None:
    """An encoding that nobody knows."""
    camera.send(camera.image(encoding="64FC9"))


def short_step(camera: FaultyCamera) -> None:
    """Rows that are shorter than their pixels."""
    camera.send(camera.image(step=3))


def short_data(camera: FaultyCamera) -> None:
    """Half of the data."""
    image = camera.image()
    image.data = image.data[: len(image.data) // 2]
    camera.send(image)


def no_pixels(camera: FaultyCamera) -> None:
    """An image of no size."""
    camera.send(camera.image(width=0, height=0, step=0))


def huge_size(camera: FaultyCamera) -> None:
    """More pixels than fit into any memory."""
    camera.send(camera.image(width=2**31, height=2**31))


def half_size(camera: FaultyCamera) -> None:
    """A smaller image than camera_info says."""
    small = camera.picture()[::2, ::2]
    camera.send(encode_image(small, "rgb8", camera.image().header))


def other_layout(camera: FaultyCamera) -> None:
    """Grey, 16 bits, big-endian: odd, and right."""
    grey = camera.picture()[..., 1].astype(">u2") * 257
    data = encode_image(grey.view(np.uint8), "mono8", make_header(1, FRAME)).data
    camera.send(camera.image(encoding="mono16", is_bigendian=1, step=2 * WIDTH, data=data))


def no_stamp(camera: FaultyCamera) -> None:
    """A stamp of zero."""
    image = camera.image()
    image.header.stamp = ns_to_stamp(0)
    camera.send(image)


def far_stamp(camera: FaultyCamera) -> None:
    """A stamp beyond what a message can hold."""
    image = camera.image()
    image.header.stamp.sec, image.header.stamp.nanosec = 2**31 - 1, 2**32 - 1
    camera.send(image)


def equal_stamp(camera: FaultyCamera) -> None:
    """The stamp of the frame before."""
    camera.send(camera.image(step_ns=0))


def older_stamp(camera: FaultyCamera) -> None:
    """A frame that was overtaken."""
    image = camera.image()
    image.header.stamp = ns_to_stamp(camera.stamp_ns - 3 * PERIOD_NS)
    camera.send(image)


def gap(camera: FaultyCamera) -> None:
    """Three seconds of nothing."""
    camera.send(camera.image(step_ns=3_000_000_000))


def clock_jump(camera: FaultyCamera) -> None:
    """A clock that is set back by a minute."""
    camera.send(camera.image(step_ns=-60_000_000_000))


def lost_frames(camera: FaultyCamera) -> None:
    """A few frames that never came."""
    camera.send(camera.image(step_ns=int(camera.random.integers(2, 6)) * PERIOD_NS))


def senseless_calibration(camera: FaultyCamera) -> None:
    """camera_info full of NaN, of huge or of negative numbers."""
    value = camera.random.choice([np.nan, np.inf, -1.0, 1e300, 0.0])
    camera.calibrate(CameraInfo(width=WIDTH, height=HEIGHT, k=[value] * 9, p=[value] * 12))
    camera.send(camera.image())


def other_camera(camera: FaultyCamera) -> None:
    """A zoom: another focal length, from now on."""
    focal = float(camera.random.choice([60.0, 70.0, 80.0]))
    camera.intrinsics = Intrinsics(focal, focal, 47.5, 23.5, WIDTH, HEIGHT)
    camera.good_frame()


def black(camera: FaultyCamera) -> None:
    """A lens cap."""
    camera.send(encode_image(np.zeros((HEIGHT, WIDTH, 3), np.uint8), "rgb8", camera.image().header))


def noise(camera: FaultyCamera) -> None:
    """A broken sensor."""
    pixels = camera.random.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    camera.send(encode_image(pixels, "rgb8", camera.image().header))


def set_pose(camera: FaultyCamera) -> None:
    """Somebody sets the pose, sometimes to what is none."""
    camera.set_pose(float(camera.random.choice([1.0, 0.0, np.nan])))
    camera.good_frame()


FAULTS: tuple[Callable[[FaultyCamera], None], ...] = (
    unknown_encoding, short_step, short_data, no_pixels, huge_size, half_size, other_layout, no_stamp, far_stamp, equal_stamp, older_stamp,
    gap, clock_jump, lost_frames, senseless_calibration, other_camera, black, noise, set_pose,
)  # fmt: skip
