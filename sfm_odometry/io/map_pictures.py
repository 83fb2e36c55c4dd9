"""Depth and masks as pictures: grey levels and colours.

Each function makes one pass over the pixels and writes into `out` where that is given. OpenCV
rounds and saturates in the conversion to integers, and converts NaN to 0.
"""

import math

import cv2
import numpy as np

MIN_DEPTH_RATIO = 0.025
"""Depth at the near end of the colour scale, as a share of max_depth: 2 m of 80 m."""
_TURBO = cv2.applyColorMap(np.arange(256, dtype=np.uint8)[:, None], cv2.COLORMAP_TURBO)
_TURBO[0] = 0  # unknown depth is black


def mask_to_grey(mask: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
    """Returns a mask (H, W) from 0 to 1 as uint8 (H, W) from 0 to 255; NaN becomes 0."""
    return cv2.multiply(mask, 255.0, dst=out, dtype=cv2.CV_8U)  # type: ignore[call-overload]


def colorize_depth(
    depth: np.ndarray, max_depth: float, out: np.ndarray | None = None
) -> np.ndarray:
    """Returns depth (H, W) as a uint8 BGR image (H, W, 3) on a logarithmic colour scale.

    Red is MIN_DEPTH_RATIO * `max_depth` and nearer, blue is `max_depth`, black is unknown.
    """
    levels_per_log = 254.0 / math.log(MIN_DEPTH_RATIO)
    logs = cv2.log(depth)
    levels = cv2.addWeighted(
        logs, levels_per_log, logs, 0.0, 1.0 - levels_per_log * math.log(max_depth), dtype=cv2.CV_8U
    )
    return cv2.applyColorMap(levels, _TURBO, dst=out)
