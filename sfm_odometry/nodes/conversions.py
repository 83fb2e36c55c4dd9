"""Conversions to messages: images, camera_info, stamps."""

import array
import sys

import numpy as np
from builtin_interfaces.msg import Time
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from sfm_odometry.geometry.camera import Intrinsics
from sfm_odometry.nodes import image_bridge

NANOSECONDS = 1_000_000_000
MAX_STAMP_NS = 2**31 * NANOSECONDS - 1
"""Latest stamp whose whole seconds fit into a message, in January 2038."""
_DTYPE_OF_ENCODING = {
    "mono8": np.uint8,
    "rgb8": np.uint8,
    "bgr8": np.uint8,
    "16UC1": np.uint16,
    "32FC1": np.float32,
}


def encode_image(values: np.ndarray, encoding: str, header: Header) -> Image:
    """Returns an Image message of the values, (H, W) or (H, W, 3).

    encoding: mono8, rgb8, bgr8, 16UC1 or 32FC1; the values are converted to its type.
    """
    values = np.ascontiguousarray(values, dtype=_DTYPE_OF_ENCODING[encoding])
    if image_bridge.BRIDGE is None:
        message = _image_without_bridge(values, encoding)
    else:
        message = image_bridge.BRIDGE.cv2_to_imgmsg(values, encoding)
    message.header = header
    # cv_bridge looks at the type, which says "native" of big-endian values on such a machine.
    message.is_bigendian = int(sys.byteorder == "big")
    return message


def _image_without_bridge(values: np.ndarray, encoding: str) -> Image:
    """Returns the message of contiguous values where there is no cv_bridge that works."""
    return Image(
        height=values.shape[0],
        width=values.shape[1],
        encoding=encoding,
        step=values.strides[0],
        data=byte_array(values.data.cast("B")),
    )


class ImageBuffer:
    """Image message of fixed size and encoding, whose pixels can be written as an array.

    cv_bridge makes the message once: for each frame it would copy the pixels twice into new memory,
    0.4 ms for a depth image of 1241x376. Publishing copies the pixels, which may be overwritten
    afterwards.
    """

    def __init__(self, shape: tuple[int, ...], encoding: str) -> None:
        """shape: (H, W) or (H, W, 3)."""
        dtype = _DTYPE_OF_ENCODING[encoding]
        self.message = encode_image(np.zeros(shape, dtype), encoding, Header())
        self.pixels: np.ndarray = np.frombuffer(self.message.data, dtype=dtype).reshape(shape)
        """(H, W) or (H, W, 3) of the encoding's type; shares its memory with the message."""

    def fits(self, shape: tuple[int, ...], encoding: str) -> bool:
        """Whether the message has this size and encoding."""
        return self.pixels.shape == shape and self.message.encoding == encoding


def make_camera_info(intrinsics: Intrinsics, header: Header) -> CameraInfo:
    """Returns the CameraInfo of a rectified image."""
    i = intrinsics
    return CameraInfo(
        header=header,
        width=i.width,
        height=i.height,
        distortion_model="plumb_bob",
        d=[0.0] * 5,
        k=[i.fx, 0.0, i.cx, 0.0, i.fy, i.cy, 0.0, 0.0, 1.0],
        r=[1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
        p=[i.fx, 0.0, i.cx, 0.0, 0.0, i.fy, i.cy, 0.0, 0.0, 0.0, 1.0, 0.0],
    )


def byte_array(data: bytes | memoryview) -> array.array:
    """Returns the bytes as the array that message fields hold.

    The setter of a field checks each value of anything but such an array; `frombytes` is fast.
    """
    result = array.array("B")
    result.frombytes(data)
    return result


def stamp_to_ns(stamp: Time) -> int:
    """Returns a message's time in nanoseconds."""
    return int(stamp.sec) * NANOSECONDS + int(stamp.nanosec)


def ns_to_stamp(stamp_ns: int) -> Time:
    """Returns a message's time for nanoseconds."""
    return Time(sec=stamp_ns // NANOSECONDS, nanosec=stamp_ns % NANOSECONDS)


def make_header(stamp_ns: int, frame_id: str) -> Header:
    """Returns a Header of the stamp in the frame."""
    return Header(stamp=ns_to_stamp(stamp_ns), frame_id=frame_id)
