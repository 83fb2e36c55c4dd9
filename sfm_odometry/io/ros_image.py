"""Conversion of ROS image messages, from rclpy or rosbags, to arrays.

Messages are checked before use. cv_bridge is not used: its compiled part breaks when NumPy's major
version changes, and it takes the padding of `step` for pixels.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import cv2
import numpy as np

from sfm_odometry.errors import ImageError


class RefusedImage(ImageError):
    """An image message that cannot be used; `reason` is a short key for statistics."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True)
class _Layout:
    """Memory layout of an encoding, and its conversion to 8-bit grey or RGB."""

    dtype: str
    channels: int
    convert: Callable[[np.ndarray], np.ndarray] | None = None


def _converter(code: int) -> Callable[[np.ndarray], np.ndarray]:
    return partial(cv2.cvtColor, code=code)


def _high_byte(pixels: np.ndarray) -> np.ndarray:
    """Scales 65535 to 255, as cv_bridge scales mono16."""
    return cv2.convertScaleAbs(pixels, alpha=1.0 / 257.0)


def _bgr_high_byte(pixels: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(_high_byte(pixels), cv2.COLOR_BGR2RGB)


# ROS names a Bayer pattern by its first row and column, OpenCV by its second.
_LAYOUTS = {
    "mono8": _Layout("u1", 1),
    "8UC1": _Layout("u1", 1),
    "rgb8": _Layout("u1", 3),
    "bgr8": _Layout("u1", 3, _converter(cv2.COLOR_BGR2RGB)),
    "8UC3": _Layout("u1", 3, _converter(cv2.COLOR_BGR2RGB)),
    "rgba8": _Layout("u1", 4, _converter(cv2.COLOR_RGBA2RGB)),
    "bgra8": _Layout("u1", 4, _converter(cv2.COLOR_BGRA2RGB)),
    "8UC4": _Layout("u1", 4, _converter(cv2.COLOR_BGRA2RGB)),
    "mono16": _Layout("u2", 1, _high_byte),
    "rgb16": _Layout("u2", 3, _high_byte),
    "bgr16": _Layout("u2", 3, _bgr_high_byte),
    "bayer_rggb8": _Layout("u1", 1, _converter(cv2.COLOR_BayerBG2RGB)),
    "bayer_bggr8": _Layout("u1", 1, _converter(cv2.COLOR_BayerRG2RGB)),
    "bayer_gbrg8": _Layout("u1", 1, _converter(cv2.COLOR_BayerGR2RGB)),
    "bayer_grbg8": _Layout("u1", 1, _converter(cv2.COLOR_BayerGB2RGB)),
    "yuv422": _Layout("u1", 2, _converter(cv2.COLOR_YUV2RGB_UYVY)),
    "uyvy": _Layout("u1", 2, _converter(cv2.COLOR_YUV2RGB_UYVY)),
    "yuv422_yuy2": _Layout("u1", 2, _converter(cv2.COLOR_YUV2RGB_YUYV)),
    "yuyv": _Layout("u1", 2, _converter(cv2.COLOR_YUV2RGB_YUYV)),
}
ACCEPTED_ENCODINGS = tuple(_LAYOUTS)


def decode_image(message: Any) -> np.ndarray:
    """Converts an Image or CompressedImage to uint8, (H, W) grey or (H, W, 3) RGB.

    The data is not copied if the encoding allows it. Raises RefusedImage for an encoding that is
    not accepted, and for sizes, step and length that do not fit together.
    """
    if not hasattr(message, "encoding"):
        return _decode_compressed(message)
    layout = _LAYOUTS.get(message.encoding)
    if layout is None:
        raise RefusedImage(
            "encoding",
            f"encoding '{message.encoding[:40]}' is not accepted, "
            f"only {', '.join(ACCEPTED_ENCODINGS)}",
        )
    pixels = _pixels(message, layout)
    if layout.convert is None:
        return pixels
    try:
        return layout.convert(pixels)
    except cv2.error as error:
        raise RefusedImage(
            "size",
            f"{message.width}x{message.height} {message.encoding} cannot be converted: "
            f"{' '.join(error.err.split())}",
        ) from None


def _pixels(message: Any, layout: _Layout) -> np.ndarray:
    """View of the message's data, (H, W) or (H, W, channels), without padding of the rows.

    It is copied if OpenCV cannot read it. Raises RefusedImage.
    """
    item_bytes = int(layout.dtype[1])
    _check_sizes(message, row_bytes=message.width * layout.channels * item_bytes)
    # View the rows, without their padding.
    order = ">" if message.is_bigendian else "<"
    shape: tuple[int, ...] = (message.height, message.width, layout.channels)
    strides: tuple[int, ...] = (message.step, layout.channels * item_bytes, item_bytes)
    if layout.channels == 1:
        shape = shape[:2]
        strides = strides[:2]
    pixels: np.ndarray = np.ndarray(
        shape, dtype=order + layout.dtype, buffer=memoryview(message.data), strides=strides
    )
    # OpenCV reads neither foreign byte order nor rows that start between two values.
    return (
        pixels
        if pixels.dtype.isnative and message.step % item_bytes == 0
        else pixels.astype(pixels.dtype.newbyteorder("="))
    )


def _check_sizes(message: Any, row_bytes: int) -> None:
    """Raises RefusedImage if size, step and length of the data do not fit together."""
    height = message.height
    width = message.width
    step = message.step
    if height < 1 or width < 1:
        raise RefusedImage("size", f"image has {width}x{height} pixels")
    if step < row_bytes:
        raise RefusedImage(
            "step",
            f"step is {step} bytes, but a row of {width} {message.encoding} pixels has {row_bytes}",
        )
    length = len(message.data)
    if not step * (height - 1) + row_bytes <= length <= step * height:
        raise RefusedImage(
            "length",
            f"data has {length} bytes, expected {height} rows of {step} bytes = {step * height}",
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
            f"{len(data)} bytes of format '{message.format[:40]}' cannot be decoded, "
            "expected JPEG or PNG",
        )
    return pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)
