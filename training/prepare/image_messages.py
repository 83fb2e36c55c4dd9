"""Image messages out of bags, as rosbags hands them over, as arrays."""

from typing import Any

import cv2
import numpy as np

from sfm_odometry.errors import ImageError

RAW, COMPRESSED = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"
_ENCODINGS: dict[str, tuple[str, int, int | None]] = {
    "mono8": ("u1", 1, None),
    "8UC1": ("u1", 1, None),
    "mono16": ("u2", 1, None),
    "rgb8": ("u1", 3, None),
    "bgr8": ("u1", 3, cv2.COLOR_BGR2RGB),
    "8UC3": ("u1", 3, cv2.COLOR_BGR2RGB),
    "rgba8": ("u1", 4, cv2.COLOR_RGBA2RGB),
    "bgra8": ("u1", 4, cv2.COLOR_BGRA2RGB),
    # ROS names a Bayer pattern by its first row and column, OpenCV by its second.
    "bayer_rggb8": ("u1", 1, cv2.COLOR_BayerBG2RGB),
    "bayer_bggr8": ("u1", 1, cv2.COLOR_BayerRG2RGB),
    "bayer_gbrg8": ("u1", 1, cv2.COLOR_BayerGR2RGB),
    "bayer_grbg8": ("u1", 1, cv2.COLOR_BayerGB2RGB),
    "yuv422": ("u1", 2, cv2.COLOR_YUV2RGB_UYVY),
    "yuv422_yuy2": ("u1", 2, cv2.COLOR_YUV2RGB_YUYV),
}
"""Type, values a pixel, and what makes RGB of it."""


def decode_image(message: Any, kind: str, where: str) -> np.ndarray:
    """uint8 (H, W) grey or (H, W, 3) RGB of a message of type RAW or COMPRESSED.

    Raises ImageError, naming `where` it is from, for an encoding that is not known or data that does not fit.
    """
    pixels = _decode_compressed(message.data) if kind == COMPRESSED else _decode_raw(message, where)
    if pixels is None:
        raise ImageError(f"{where}: {len(message.data)} bytes of format '{message.format[:40]}' cannot be decoded, expected JPEG or PNG")
    return pixels


def _decode_compressed(data: np.ndarray) -> np.ndarray | None:
    try:
        pixels = cv2.imdecode(data, cv2.IMREAD_ANYCOLOR) if len(data) else None
    except cv2.error:
        return None
    return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB) if pixels is not None and pixels.ndim == 3 else pixels


def _decode_raw(message: Any, where: str) -> np.ndarray:
    if message.encoding not in _ENCODINGS:
        raise ImageError(f"{where}: encoding '{message.encoding[:40]}', expected one of {', '.join(_ENCODINGS)}")
    dtype, channels, conversion = _ENCODINGS[message.encoding]
    pixels = _pixels(message, np.dtype(dtype).newbyteorder(">" if message.is_bigendian else "<"), channels, where)
    if dtype == "u2":
        return cv2.convertScaleAbs(pixels.astype(np.uint16), alpha=1.0 / 257.0)  # 65535 becomes 255, as cv_bridge scales it
    return pixels if conversion is None else cv2.cvtColor(pixels, conversion)


def _pixels(message: Any, dtype: np.dtype, channels: int, where: str) -> np.ndarray:
    """A view (H, W) or (H, W, channels) of the data without the padding at the rows' ends."""
    height, width, step = message.height, message.width, message.step
    row = width * channels * dtype.itemsize
    if min(height, width) < 1 or step < row or len(message.data) < step * (height - 1) + row:
        found = f"{width}x{height} {message.encoding} with a step of {step} in {len(message.data)} bytes"
        raise ImageError(f"{where}: {found}, expected {row} bytes a row")
    shape, strides = (height, width, channels), (step, channels * dtype.itemsize, dtype.itemsize)
    pixels: np.ndarray = np.ndarray(shape, dtype, memoryview(message.data), strides=strides)
    return pixels[..., 0] if channels == 1 else pixels
