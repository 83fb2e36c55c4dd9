"""Encodings of sensor_msgs/Image in OpenCV's terms, and conversions between them."""

import re

import cv2
import numpy as np

DTYPES = {
    "8U": "uint8",
    "8S": "int8",
    "16U": "uint16",
    "16S": "int16",
    "32S": "int32",
    "32F": "float32",
    "64F": "float64",
}
DEPTH_NAMES = {dtype: name for name, dtype in DTYPES.items()}
CHANNELS = {"GRAY": 1, "RGB": 3, "BGR": 3, "RGBA": 4, "BGRA": 4, "UYVY": 2, "YUY2": 2}

# OpenCV's names of the colour layouts. ROS names a Bayer pattern by its first two pixels, OpenCV
# by the second row's second and third: rggb is OpenCV's BayerBG.
COLORS = {
    "mono": "GRAY",
    "rgb": "RGB",
    "bgr": "BGR",
    "rgba": "RGBA",
    "bgra": "BGRA",
    "bayer_rggb": "BayerBG",
    "bayer_bggr": "BayerRG",
    "bayer_gbrg": "BayerGR",
    "bayer_grbg": "BayerGB",
}
COLOR_ENCODINGS = {
    f"{name}{bits}": (layout, f"{bits}U") for name, layout in COLORS.items() for bits in (8, 16)
}
COLOR_ENCODINGS |= {"yuv422": ("UYVY", "8U"), "yuv422_yuy2": ("YUY2", "8U")}
"""Colour layout and element type of each encoding with colour."""
GENERIC_ENCODING = re.compile(r"(8U|8S|16U|16S|32S|32F|64F)C(\d+)")


class CvBridgeError(TypeError):
    """Error of an image that cannot be converted."""


def dtype_and_channels(encoding: str) -> tuple[str, int]:
    """NumPy's name of the element type, and the number of channels of a pixel.

    Raises CvBridgeError on an unknown encoding.
    """
    if encoding in COLOR_ENCODINGS:
        layout, depth = COLOR_ENCODINGS[encoding]
        return DTYPES[depth], CHANNELS.get(layout, 1)
    generic = GENERIC_ENCODING.fullmatch(encoding)
    if generic is None:
        raise CvBridgeError(f"Unrecognized image encoding [{encoding}]")
    return DTYPES[generic[1]], int(generic[2])


def convert(image: np.ndarray, source: str, target: str) -> np.ndarray:
    """Convert an image (H, W[, channels]) from the encoding `source` to `target`.

    Raises CvBridgeError where that makes no sense: depth as colour, channels that differ.
    """
    if target in ("passthrough", "", source):
        return image
    dtype, channels = dtype_and_channels(target)
    if source not in COLOR_ENCODINGS and target in COLOR_ENCODINGS:
        raise CvBridgeError(
            f"[{source}] is not a color format. but [{target}] is. "
            "The conversion does not make sense"
        )
    if source in COLOR_ENCODINGS and target in COLOR_ENCODINGS:
        image = convert_color(image, source, target)
    elif dtype_and_channels(source)[1] != channels:
        raise CvBridgeError(f"[{source}] and [{target}] do not have the same number of channel")
    return convert_depth(image, np.dtype(dtype))


def convert_color(image: np.ndarray, source: str, target: str) -> np.ndarray:
    """Convert the order or number of channels; the element type stays.

    Raises CvBridgeError where OpenCV has no such conversion.
    """
    # Name of OpenCV's conversion.
    source_layout = COLOR_ENCODINGS[source][0]
    target_layout = COLOR_ENCODINGS[target][0]
    if source_layout == target_layout and source_layout in CHANNELS:
        return image
    name = f"COLOR_{source_layout}2{target_layout}"
    if source_layout in ("UYVY", "YUY2"):
        name = f"COLOR_YUV2{target_layout}_{source_layout}"
    # Convert.
    code = getattr(cv2, name, None)
    supported = (
        ("GRAY", "RGB", "BGR")
        if source_layout.startswith("Bayer")
        else ("GRAY", "RGB", "BGR", "RGBA", "BGRA")
    )
    if code is None or target_layout not in supported:
        raise CvBridgeError(f"Unsupported conversion from [{source}] to [{target}]")
    try:
        return cv2.cvtColor(image, code)
    except cv2.error as error:
        raise CvBridgeError(str(error)) from error


def convert_depth(image: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Convert the element type, with rounding and clipping.

    8 and 16 bits are scaled to each other's full range.
    """
    if image.dtype == dtype:
        return image
    values = image.astype(np.float64)
    if (image.dtype.itemsize, dtype.itemsize) in ((1, 2), (2, 1)):
        values *= 257.0 if dtype.itemsize == 2 else 1.0 / 257.0
    if dtype.kind in "iu":
        values = np.clip(np.rint(values), np.iinfo(dtype).min, np.iinfo(dtype).max)
    return values.astype(dtype)
