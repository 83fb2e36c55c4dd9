"""Depth and masks as the values that messages hold: millimetres, grey levels, colours.

Each in one pass over the pixels, into `out` where it is given. OpenCV rounds and saturates on the
way to integers; NaN becomes 0 there.
"""

import math

import cv2
import numpy as np

NEAREST_SHARE = 0.025
"""Share of max_depth that is coloured as nearest: 2 m of 80 m."""
_TURBO = cv2.applyColorMap(np.arange(256, dtype=np.uint8)[:, None], cv2.COLORMAP_TURBO)
_TURBO[0] = 0  # unknown


def millimetres(depth: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
    """uint16 (H, W) of depth (H, W) in metres: 0 = unknown, 65535 = 65.535 m or more."""
    return cv2.multiply(depth, 1000.0, dst=out, dtype=cv2.CV_16U)  # type: ignore[call-overload]


def grey_levels(mask: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
    """uint8 (H, W), 0 to 255, of a mask (H, W) from 0 to 1; what is not a number is 0."""
    return cv2.multiply(mask, 255.0, dst=out, dtype=cv2.CV_8U)  # type: ignore[call-overload]


def depth_colours(depth: np.ndarray, max_depth: float, out: np.ndarray | None = None) -> np.ndarray:
    """uint8 BGR (H, W, 3): red is NEAREST_SHARE of `max_depth` and nearer, blue is `max_depth`,
    logarithmic between; unknown is black."""
    levels_per_log = 254.0 / math.log(NEAREST_SHARE)
    logs = cv2.log(depth)
    levels = cv2.addWeighted(
        logs, levels_per_log, logs, 0.0, 1.0 - levels_per_log * math.log(max_depth), dtype=cv2.CV_8U
    )
    return cv2.applyColorMap(levels, _TURBO, dst=out)
