"""Images of messages through cv_bridge, and without it where it does not do.

Its compiled part belongs to one major version of NumPy. With another it cannot be imported, or it
is and ends the process at the first colour that it converts. So it is asked for the pixels as they
are stored, which does not touch NumPy from C++, and colours are converted by OpenCV's own module.
"""

import sys
from typing import Any

import cv2  # noqa: F401  before cv_bridge, whose compiled part looks for it
import numpy as np
from sensor_msgs.msg import Image

from sfm_odometry.io import ros_image
from sfm_odometry.io.bit_depth import BitDepth

_BAYER = ("bayer_rggb", "bayer_bggr", "bayer_gbrg", "bayer_grbg")
_COLOURS = ("mono", "rgb", "bgr", "rgba", "bgra", *_BAYER)
BRIDGED_ENCODINGS = frozenset(
    [f"{colour}{bits}" for colour in _COLOURS for bits in (8, 16)]
    + [f"{bits}UC{channels}" for bits in (8, 16) for channels in (1, 3, 4)]
    + ["yuv422", "yuv422_yuy2"]
)
"""Encodings that every version of cv_bridge reads. It lacks planes of YUV, the newer names of YUV
in one plane, and the spellings of drivers."""


def _load_bridge() -> tuple[Any, str]:
    """Returns a CvBridge, or None and the reason for which there is none that works."""
    try:
        from cv_bridge import CvBridge

        bridge = CvBridge()
        # An image, as the compiled part is first needed there.
        pixel = Image(height=1, width=1, encoding="rgb8", step=3, data=b"123")
        bridge.imgmsg_to_cv2(pixel, "passthrough")
    except Exception as error:  # as an unfit compiled part raises SystemError and others
        return None, f"{type(error).__name__}: {' '.join(str(error).split())}"
    return bridge, ""


BRIDGE, BRIDGE_PROBLEM = _load_bridge()
"""CvBridge that works, or None with the reason."""


def decode_image(message: Any, bit_depth: BitDepth | None = None) -> np.ndarray:
    """Converts an Image or CompressedImage to uint8, (H, W) grey or (H, W, 3) RGB.

    As :func:`sfm_odometry.io.ros_image.decode_image`, whose checks come before cv_bridge.
    """
    return ros_image.decode_image(message, bit_depth, bridged_pixels)


def bridged_pixels(message: Any, row_bytes: int) -> np.ndarray | None:
    """Returns the pixels of a checked Image as stored, by cv_bridge; None where that does not do.

    They share the memory of the message. row_bytes: of a row without padding.
    """
    if BRIDGE is None or message.encoding not in BRIDGED_ENCODINGS:
        return None
    # Padding: cv_bridge shears rows whose step is no whole number of pixels, copies the others, and
    # refuses a last row without it.
    if message.step != row_bytes:
        return None
    # Byte order: cv_bridge turns it with a method that arrays of NumPy 2 do not have, even where a
    # pixel is one byte.
    if bool(message.is_bigendian) != (sys.byteorder == "big"):
        return None
    pixels: np.ndarray = BRIDGE.imgmsg_to_cv2(message, "passthrough")
    return pixels
