"""Conversion of ROS image messages, from rclpy or rosbags, to arrays.

Messages are checked before use. Works without ROS; the node lets cv_bridge take the pixels out of
those that it reads (:mod:`sfm_odometry.nodes.image_bridge`), and the colours are converted here.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import cv2
import numpy as np

from sfm_odometry.errors import ImageError
from sfm_odometry.io.bit_depth import BitDepth
from sfm_odometry.io.images import is_truncated


class RefusedImage(ImageError):
    """An image message that cannot be used; `reason` is a short key for statistics."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True)
class _Layout:
    """Memory layout of an encoding, and the conversion of its 8-bit pixels to grey or RGB.

    planes: rows of `width` bytes for each two rows of the image, where brightness and colour lie in
    planes after one another; 0 where they do not. even: whether the width must be even, and the
    height too where there are planes.
    """

    dtype: str
    channels: int
    convert: Callable[[np.ndarray], np.ndarray] | None = None
    planes: int = 0
    even: bool = False


def _converter(code: int) -> Callable[[np.ndarray], np.ndarray]:
    return partial(cv2.cvtColor, code=code)


VIDEO_YUV_TO_RGB = np.array(
    [
        [1.164, 0.0, 1.596, -1.164 * 16 - 1.596 * 128],
        [1.164, -0.391, -0.813, -1.164 * 16 + (0.391 + 0.813) * 128],
        [1.164, 2.018, 0.0, -1.164 * 16 - 2.018 * 128],
    ]
)
"""RGB of Y, U, V, 1 by BT.601 with the range of video, as OpenCV converts the other layouts."""


def _convert_nv24(planes: np.ndarray) -> np.ndarray:
    """Converts Y (H, W) and interleaved U and V of full resolution, as rows (3H, W), to RGB."""
    height, width = planes.shape[0] // 3, planes.shape[1]
    chroma = planes[height:].reshape(height, width, 2)
    return cv2.transform(np.dstack([planes[:height], chroma]), VIDEO_YUV_TO_RGB)


_BGR = _converter(cv2.COLOR_BGR2RGB)
_RGBA = _converter(cv2.COLOR_RGBA2RGB)
_BGRA = _converter(cv2.COLOR_BGRA2RGB)
# ROS names a Bayer pattern by its first row and column, OpenCV by its second.
_BAYER = {
    "rggb": _converter(cv2.COLOR_BayerBG2RGB),
    "bggr": _converter(cv2.COLOR_BayerRG2RGB),
    "gbrg": _converter(cv2.COLOR_BayerGR2RGB),
    "grbg": _converter(cv2.COLOR_BayerGB2RGB),
}
_UYVY = _Layout("u1", 2, _converter(cv2.COLOR_YUV2RGB_UYVY), even=True)
_YUYV = _Layout("u1", 2, _converter(cv2.COLOR_YUV2RGB_YUYV), even=True)
_LAYOUTS = {
    "mono8": _Layout("u1", 1),
    "8UC1": _Layout("u1", 1),
    "rgb8": _Layout("u1", 3),
    "bgr8": _Layout("u1", 3, _BGR),
    "8UC3": _Layout("u1", 3, _BGR),
    "rgba8": _Layout("u1", 4, _RGBA),
    "bgra8": _Layout("u1", 4, _BGRA),
    "8UC4": _Layout("u1", 4, _BGRA),
    "mono16": _Layout("u2", 1),
    "16UC1": _Layout("u2", 1),
    "rgb16": _Layout("u2", 3),
    "bgr16": _Layout("u2", 3, _BGR),
    "16UC3": _Layout("u2", 3, _BGR),
    "rgba16": _Layout("u2", 4, _RGBA),
    "bgra16": _Layout("u2", 4, _BGRA),
    "16UC4": _Layout("u2", 4, _BGRA),
    **{f"bayer_{name}8": _Layout("u1", 1, convert) for name, convert in _BAYER.items()},
    **{f"bayer_{name}16": _Layout("u2", 1, convert) for name, convert in _BAYER.items()},
    "yuv422": _UYVY,
    "uyvy": _UYVY,
    "yuv422_yuy2": _YUYV,
    "yuyv": _YUYV,
    "nv12": _Layout("u1", 1, _converter(cv2.COLOR_YUV2RGB_NV12), planes=3, even=True),
    "nv21": _Layout("u1", 1, _converter(cv2.COLOR_YUV2RGB_NV21), planes=3, even=True),
    "nv24": _Layout("u1", 1, _convert_nv24, planes=6),
}
ACCEPTED_ENCODINGS = tuple(_LAYOUTS)
_SPELLINGS = {
    "mono": "mono8", "gray8": "mono8", "grey8": "mono8", "y8": "mono8",
    "gray16": "mono16", "grey16": "mono16", "y16": "mono16",
    "rgb": "rgb8", "rgb24": "rgb8", "bgr": "bgr8", "bgr24": "bgr8",
    "yuy2": "yuyv", "yuv422uyvy": "uyvy", "yuv422yuyv": "yuyv",
    **{f"{name}{bits}": f"bayer_{name}{bits}" for name in _BAYER for bits in ("8", "16")},
}  # fmt: skip
"""Names of encodings that drivers use instead of ROS's own, in the form of `_spelling`."""


def _spelling(encoding: str) -> str:
    """Returns the name of an encoding without what drivers spell differently."""
    return re.sub(r"[\s\0_-]", "", encoding[:40]).lower()


_NAMES = {_spelling(name): name for name in _LAYOUTS} | _SPELLINGS
_NOT_PICTURES = re.compile(r"(8S|16S|32S|16F|32F|64F)C\d+", re.I)
"""Encodings of depth, disparity and other maps of numbers."""


Unpack = Callable[[Any, int], np.ndarray | None]
"""Function from a checked Image, and the bytes of a row without padding, to the pixels as stored,
(H, W) or (H, W, channels) in native byte order; None where they are to be read here."""


def decode_image(
    message: Any, bit_depth: BitDepth | None = None, unpack: Unpack | None = None
) -> np.ndarray:
    """Converts an Image or CompressedImage to uint8, (H, W) grey or (H, W, 3) RGB.

    The data is not copied if the encoding allows it. bit_depth: that of the camera, which brings
    its images of more than 8 bits to 8 alike; None: each image by itself. Compressed images are
    decoded as they are stored, without the rotation of their EXIF data, as camera_info speaks of
    the stored image. unpack: takes the pixels out of images that are not in planes. Raises
    RefusedImage for an encoding that is not accepted, and for sizes, step and length that do not
    fit together.
    """
    bit_depth = bit_depth or BitDepth()
    if not hasattr(message, "encoding"):
        return _decode_compressed(message, bit_depth)
    layout = _layout(message.encoding)
    stored = _planes(message, layout) if layout.planes else _pixels(message, layout, unpack)
    pixels = bit_depth(stored)
    if layout.convert is None:
        return pixels
    try:
        decoded = layout.convert(pixels)
    except cv2.error as error:
        raise _unconvertible(message, " ".join(error.err.split())) from None
    if decoded.shape != (message.height, message.width, 3):
        raise _unconvertible(message, f"OpenCV makes an array of shape {decoded.shape} of it")
    return decoded


def _layout(encoding: str) -> _Layout:
    """Returns the layout of an encoding; raises RefusedImage for one that is not accepted."""
    name = _NAMES.get(_spelling(encoding))
    if name is not None:
        return _LAYOUTS[name]
    is_map = _NOT_PICTURES.fullmatch(encoding.strip())
    kind = ": a map of numbers, such as depth or disparity, is no picture" if is_map else ""
    raise RefusedImage(
        "encoding",
        f"encoding '{encoding[:40]}' is not accepted{kind}, only {', '.join(ACCEPTED_ENCODINGS)}",
    )


def _unconvertible(message: Any, why: str) -> RefusedImage:
    return RefusedImage(
        "size",
        f"{message.width}x{message.height} {message.encoding[:40]} cannot be converted: {why}",
    )


def _planes(message: Any, layout: _Layout) -> np.ndarray:
    """View of brightness and, behind it, colour of YUV in planes: (H planes / 2, W).

    `step` is that of the brightness, or any where the rows have no padding. Raises RefusedImage.
    """
    width, height = message.width, message.height
    _check_even(message, layout)
    rows = height * layout.planes // 2
    length = len(message.data)
    stride = next((step for step in (width, message.step) if step and step * rows == length), 0)
    if height < 1 or width < 1:
        raise RefusedImage("size", f"image has {width}x{height} pixels")
    if stride < width:
        raise RefusedImage(
            "length",
            f"data has {length} bytes, expected {width * rows} for "
            f"{width}x{height} {message.encoding[:40]} with a step of {width}",
        )
    data = np.frombuffer(message.data, np.uint8)
    if stride == width:
        return data.reshape(rows, width)
    if layout.even:  # a row of colour is as long as one of brightness
        return np.ascontiguousarray(data.reshape(rows, stride)[:, :width])
    # A row of colour is twice as long as one of brightness, and so is its padding.
    colour = data[stride * height :].reshape(height, 2 * stride)[:, : 2 * width]
    brightness = data[: stride * height].reshape(height, stride)[:, :width]
    return np.concatenate([brightness, colour.reshape(2 * height, width)])


def _check_even(message: Any, layout: _Layout) -> None:
    """Raises RefusedImage for an odd size where two pixels share their colour."""
    if layout.even and message.width % 2:
        raise _unconvertible(message, "two pixels share their colour, expected an even width")
    if layout.even and layout.planes and message.height % 2:
        raise _unconvertible(message, "two rows share their colour, expected an even height")


def _pixels(message: Any, layout: _Layout, unpack: Unpack | None) -> np.ndarray:
    """View of the message's data, (H, W) or (H, W, channels), without padding of the rows.

    It is copied if OpenCV cannot read it. Raises RefusedImage.
    """
    item_bytes = int(layout.dtype[1])
    row_bytes = message.width * layout.channels * item_bytes
    _check_sizes(message, row_bytes)
    _check_even(message, layout)
    if unpack is not None and (unpacked := unpack(message, row_bytes)) is not None:
        return unpacked
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
            f"step is {step} bytes, "
            f"but a row of {width} {message.encoding[:40]} pixels has {row_bytes}",
        )
    length = len(message.data)
    if not step * (height - 1) + row_bytes <= length <= step * height:
        raise RefusedImage(
            "length",
            f"data has {length} bytes, expected {height} rows of {step} bytes = {step * height}",
        )


def _decode_compressed(message: Any, bit_depth: BitDepth) -> np.ndarray:
    # Not by cv_bridge, which takes half of a truncated file for a picture, and 4 channels for BGR.
    data = np.frombuffer(message.data, dtype=np.uint8)
    if is_truncated(data.tobytes()):
        raise RefusedImage(
            "decode", f"{len(data)} bytes of format '{message.format[:40]}' are truncated"
        )
    flags = cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        pixels = cv2.imdecode(data, flags) if len(data) else None
    except cv2.error:
        pixels = None
    if pixels is None:
        depth = "compresseddepth" in message.format.lower()
        raise RefusedImage(
            "decode",
            f"{len(data)} bytes of format '{message.format[:40]}' cannot be decoded, "
            f"expected JPEG or PNG{' of a picture, not depth' if depth else ''}",
        )
    if pixels.dtype not in (np.uint8, np.uint16):
        raise RefusedImage("decode", f"pixels are of {pixels.dtype}, expected 8 or 16 bits")
    pixels = bit_depth(pixels, truncate=True)
    return pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)
