"""Pixel values of depth messages in millimetres; those of pictures are in io.map_pictures.

OpenCV rounds and saturates in the conversion to integers, and converts NaN to 0.
"""

import cv2
import numpy as np

from sfm_odometry.io.map_pictures import (  # noqa: F401  # the node takes them from here
    MIN_DEPTH_RATIO,
    colorize_depth,
    mask_to_grey,
)


def depth_to_millimetres(depth: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
    """Returns depth (H, W) in metres as uint16 millimetres (H, W).

    0 = unknown, 65535 = 65.535 m or more.
    """
    return cv2.multiply(depth, 1000.0, dst=out, dtype=cv2.CV_16U)  # type: ignore[call-overload]
