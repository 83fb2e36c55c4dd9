"""What the encodings of sensor_msgs/Image mean to OpenCV, and how to get from one to another."""

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

# Colour layout (in OpenCV's words) and bits of each encoding that has colour. ROS names a Bayer
# pattern by its first two pixels, OpenCV by the second row's second and third: rggb is OpenCV's
# BayerBG.
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
GENERIC = re.compile(r"(8U|8S|16U|16S|32S|32F|64F)C(\d+)")


class CvBridgeError(TypeError):
    """An image cannot be converted."""


def dtype_and_channels(encoding: str) -> tuple[str, int]:
    """NumPy's name of the element type and the channels of a pixel. Raises CvBridgeError on an
    unknown encoding."""
    if encoding in COLOR_ENCODINGS:
        layout, depth = COLOR_ENCODINGS[encoding]
        return DTYPES[depth], CHANNELS.get(layout, 1)
    generic = GENERIC.fullmatch(encoding)
    if generic is None:
        raise CvBridgeError(f"Unrecognized image encoding [{encoding}]")
    return DTYPES[generic[1]], int(generic[2])


def convert(image: np.ndarray, source: str, target: str) -> np.ndarray:
    """The image in another encoding. Raises CvBridgeError where that makes no sense (depth as
    colour, channels that differ)."""
    if target in ("passthrough", "", source):
        return image
    dtype, channels = dtype_and_channels(target)
    if source not in COLOR_ENCODINGS and target in COLOR_ENCODINGS:
        raise CvBridgeError(
            f"[{source}] is not a color format. but [{target}] is. The conversion does not make sense"
        )
    if source in COLOR_ENCODINGS and target in COLOR_ENCODINGS:
        image = convert_color(image, source, target)
    elif dtype_and_channels(source)[1] != channels:
        raise CvBridgeError(f"[{source}] and [{target}] do not have the same number of channel")
    return convert_depth(image, np.dtype(dtype))


def convert_color(image: np.ndarray, source: str, target: str) -> np.ndarray:
    """Another order or number of channels, the element type kept."""
    from_layout, to_layout = COLOR_ENCODINGS[source][0], COLOR_ENCODINGS[target][0]
    if from_layout == to_layout and from_layout in CHANNELS:
        return image
    name = f"COLOR_{from_layout}2{to_layout}"
    if from_layout in ("UYVY", "YUY2"):
        name = f"COLOR_YUV2{to_layout}_{from_layout}"
    code = getattr(cv2, name, None)
    known = (
        ("GRAY", "RGB", "BGR")
        if from_layout.startswith("Bayer")
        else ("GRAY", "RGB", "BGR", "RGBA", "BGRA")
    )
    if code is None or to_layout not in known:
        raise CvBridgeError(f"Unsupported conversion from [{source}] to [{target}]")
    try:
        return cv2.cvtColor(image, code)
    except cv2.error as error:
        raise CvBridgeError(str(error)) from error


def convert_depth(image: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Another element type: 8 and 16 bits are scaled to each other's full range, everything is
    rounded and clipped."""
    if image.dtype == dtype:
        return image
    values = image.astype(np.float64)
    if (image.dtype.itemsize, dtype.itemsize) in ((1, 2), (2, 1)):
        values *= 257.0 if dtype.itemsize == 2 else 1.0 / 257.0
    if dtype.kind in "iu":
        values = np.clip(np.rint(values), np.iinfo(dtype).min, np.iinfo(dtype).max)
    return values.astype(dtype)
