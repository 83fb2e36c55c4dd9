"""ROS image messages as arrays, whoever read them: rclpy from a topic, rosbags from a file.

What comes in is checked before it is touched. Written without cv_bridge: its compiled part breaks
when NumPy's major version changes, and it reads a padded `step` as image.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import cv2
import numpy as np

from sfm_odometry.errors import ImageError


class RefusedImage(ImageError):
    """An image message that cannot be used; `reason` is a short key to count it by, the message
    says what was found."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True)
class _Layout:
    """How pixels of an encoding lie in memory, and what makes grey or RGB 8-bit of them."""

    dtype: str
    channels: int
    convert: Callable[[np.ndarray], np.ndarray] | None = None


def _cv(code: int) -> Callable[[np.ndarray], np.ndarray]:
    return partial(cv2.cvtColor, code=code)


def _high_byte(pixels: np.ndarray) -> np.ndarray:
    """65535 becomes 255, as cv_bridge scales mono16."""
    return cv2.convertScaleAbs(pixels, alpha=1.0 / 257.0)


def _bgr_high_byte(pixels: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(_high_byte(pixels), cv2.COLOR_BGR2RGB)


# ROS names a Bayer pattern by its first row and column, OpenCV by its second.
_LAYOUTS = {
    "mono8": _Layout("u1", 1),
    "8UC1": _Layout("u1", 1),
    "rgb8": _Layout("u1", 3),
    "bgr8": _Layout("u1", 3, _cv(cv2.COLOR_BGR2RGB)),
    "8UC3": _Layout("u1", 3, _cv(cv2.COLOR_BGR2RGB)),
    "rgba8": _Layout("u1", 4, _cv(cv2.COLOR_RGBA2RGB)),
    "bgra8": _Layout("u1", 4, _cv(cv2.COLOR_BGRA2RGB)),
    "8UC4": _Layout("u1", 4, _cv(cv2.COLOR_BGRA2RGB)),
    "mono16": _Layout("u2", 1, _high_byte),
    "rgb16": _Layout("u2", 3, _high_byte),
    "bgr16": _Layout("u2", 3, _bgr_high_byte),
    "bayer_rggb8": _Layout("u1", 1, _cv(cv2.COLOR_BayerBG2RGB)),
    "bayer_bggr8": _Layout("u1", 1, _cv(cv2.COLOR_BayerRG2RGB)),
    "bayer_gbrg8": _Layout("u1", 1, _cv(cv2.COLOR_BayerGR2RGB)),
    "bayer_grbg8": _Layout("u1", 1, _cv(cv2.COLOR_BayerGB2RGB)),
    "yuv422": _Layout("u1", 2, _cv(cv2.COLOR_YUV2RGB_UYVY)),
    "uyvy": _Layout("u1", 2, _cv(cv2.COLOR_YUV2RGB_UYVY)),
    "yuv422_yuy2": _Layout("u1", 2, _cv(cv2.COLOR_YUV2RGB_YUYV)),
    "yuyv": _Layout("u1", 2, _cv(cv2.COLOR_YUV2RGB_YUYV)),
}
ACCEPTED_ENCODINGS = tuple(_LAYOUTS)


def decode_image(message: Any) -> np.ndarray:
    """uint8 (H, W) grey or (H, W, 3) RGB of an Image or CompressedImage, without a copy where the
    encoding allows it.

    Raises RefusedImage for an encoding that is not accepted, or sizes, step and length that do not
    fit together.
    """
    if not hasattr(message, "encoding"):
        return _decode_compressed(message)
    layout = _LAYOUTS.get(message.encoding)
    if layout is None:
        raise RefusedImage(
            "encoding",
            f"encoding '{message.encoding[:40]}' is not accepted, only {', '.join(ACCEPTED_ENCODINGS)}",
        )
    pixels = _pixels(message, layout)
    if layout.convert is None:
        return pixels
    try:
        return layout.convert(pixels)
    except cv2.error as error:
        raise RefusedImage(
            "size",
            f"{message.width}x{message.height} {message.encoding} cannot be converted: {' '.join(error.err.split())}",
        ) from None


def _pixels(message: Any, layout: _Layout) -> np.ndarray:
    """A view of the message's data, (H, W) or (H, W, channels); padding at the rows' ends is
    left out."""
    height, width, step = message.height, message.width, message.step
    item = int(layout.dtype[1])
    row = width * layout.channels * item
    if height < 1 or width < 1:
        raise RefusedImage("size", f"image has {width}x{height} pixels")
    if step < row:
        raise RefusedImage(
            "step",
            f"step is {step} bytes, but a row of {width} {message.encoding} pixels has {row}",
        )
    length = len(message.data)
    if not step * (height - 1) + row <= length <= step * height:
        raise RefusedImage(
            "length",
            f"data has {length} bytes, expected {height} rows of {step} bytes = {step * height}",
        )
    order = ">" if message.is_bigendian else "<"
    shape: tuple[int, ...] = (height, width, layout.channels)
    strides: tuple[int, ...] = (step, layout.channels * item, item)
    if layout.channels == 1:
        shape, strides = shape[:2], strides[:2]
    pixels: np.ndarray = np.ndarray(
        shape, dtype=order + layout.dtype, buffer=memoryview(message.data), strides=strides
    )
    # OpenCV reads neither foreign byte order nor rows that start between two values.
    return (
        pixels
        if pixels.dtype.isnative and step % item == 0
        else pixels.astype(pixels.dtype.newbyteorder("="))
    )


def _decode_compressed(message: Any) -> np.ndarray:
    data = np.frombuffer(message.data, dtype=np.uint8)
    try:
        pixels = cv2.imdecode(data, cv2.IMREAD_ANYCOLOR) if len(data) else None
    except cv2.error:
        pixels = None
    if pixels is None:
        raise RefusedImage(
            "decode",
            f"{len(data)} bytes of format '{message.format[:40]}' cannot be decoded, expected JPEG or PNG",
        )
    return pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)
