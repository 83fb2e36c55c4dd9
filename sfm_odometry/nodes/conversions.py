"""Messages of what we hold: images, camera_info, stamps.

Written without cv_bridge: its messages are filled through rosidl's slow setter of bytes.
"""

import array
import sys

import numpy as np
from builtin_interfaces.msg import Time
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from sfm_odometry.geometry.camera import Intrinsics

NANOSECONDS = 1_000_000_000
MAX_STAMP_NS = 2**31 * NANOSECONDS - 1
"""The latest stamp that a message holds as whole seconds and a rest, in January 2038."""
_DTYPE_OF_ENCODING = {
    "mono8": np.uint8,
    "rgb8": np.uint8,
    "bgr8": np.uint8,
    "16UC1": np.uint16,
    "32FC1": np.float32,
}


def encode_image(values: np.ndarray, encoding: str, header: Header) -> Image:
    """An Image message of `values`, (H, W) or (H, W, 3) of the encoding's type: mono8, rgb8,
    bgr8, 16UC1 or 32FC1."""
    values = np.ascontiguousarray(values, dtype=_DTYPE_OF_ENCODING[encoding])
    return Image(
        header=header,
        height=values.shape[0],
        width=values.shape[1],
        encoding=encoding,
        is_bigendian=int(sys.byteorder == "big"),
        step=values.strides[0],
        data=byte_array(values.data.cast("B")),
    )


class ImageBuffer:
    """An Image message of one size and encoding with its pixels as an array: what is written there
    is sent, again and again.

    Fresh memory for each message costs more than the pixels: publishing copies them, so that they
    may be written anew afterwards.
    """

    def __init__(self, shape: tuple[int, ...], encoding: str) -> None:
        self.message = encode_image(
            np.zeros(shape, _DTYPE_OF_ENCODING[encoding]), encoding, Header()
        )
        self.pixels: np.ndarray = np.frombuffer(
            self.message.data, dtype=_DTYPE_OF_ENCODING[encoding]
        ).reshape(shape)
        """(H, W) or (H, W, 3) of the encoding's type."""

    def fits(self, shape: tuple[int, ...], encoding: str) -> bool:
        """Whether it is of this size and encoding."""
        return self.pixels.shape == shape and self.message.encoding == encoding


def make_camera_info(intrinsics: Intrinsics, header: Header) -> CameraInfo:
    """The CameraInfo of a rectified image."""
    fx, fy, cx, cy = intrinsics.fx, intrinsics.fy, intrinsics.cx, intrinsics.cy
    return CameraInfo(
        header=header,
        width=intrinsics.width,
        height=intrinsics.height,
        distortion_model="plumb_bob",
        d=[0.0] * 5,
        k=[fx, 0.0, cx, 0.0, fy, cy, 0.0, 0.0, 1.0],
        r=[1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
        p=[fx, 0.0, cx, 0.0, 0.0, fy, cy, 0.0, 0.0, 0.0, 1.0, 0.0],
    )


def byte_array(data: bytes | memoryview) -> array.array:
    """The bytes as the array that message fields hold; assigning bytes itself goes through a
    setter that looks at each one."""
    result = array.array("B")
    result.frombytes(data)
    return result


def stamp_to_ns(stamp: Time) -> int:
    """Nanoseconds of a message's time."""
    return int(stamp.sec) * NANOSECONDS + int(stamp.nanosec)


def ns_to_stamp(stamp_ns: int) -> Time:
    """A message's time of nanoseconds."""
    return Time(sec=stamp_ns // NANOSECONDS, nanosec=stamp_ns % NANOSECONDS)


def make_header(stamp_ns: int, frame_id: str) -> Header:
    """A Header of the stamp in the frame."""
    return Header(stamp=ns_to_stamp(stamp_ns), frame_id=frame_id)
