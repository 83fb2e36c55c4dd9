"""Images that show too little to be tracked: few grey levels, nearly black, or saturated."""

import numpy as np

MAX_SAMPLES = 10_000
"""Pixels that are looked at, taken at equal distances."""
MIN_GREY_LEVELS = 8
"""Grey levels of the fewest that structure can be seen in."""
BLACK_LEVEL = 10
"""Grey value below which a pixel is nearly black."""
SATURATED_LEVEL = 254
MAX_BLACK_SHARE = 0.99
MAX_SATURATED_SHARE = 0.6


def image_problem(image: np.ndarray) -> str:
    """Description of what is wrong with an image, uint8 (H, W) or (H, W, 3); empty if nothing.

    Coloured images are judged by green, which most of their brightness is.
    """
    height, width = image.shape[:2]
    stride = max(int(np.sqrt(height * width / MAX_SAMPLES)), 1)
    samples = image[::stride, ::stride] if image.ndim == 2 else image[::stride, ::stride, 1]
    counts = np.bincount(samples.ravel(), minlength=256)
    saturated = counts[SATURATED_LEVEL:].sum() / samples.size
    black = counts[:BLACK_LEVEL].sum() / samples.size
    levels = int(np.count_nonzero(counts))
    if black >= MAX_BLACK_SHARE:
        return f"the image is nearly black: {black:.0%} of the pixels are below {BLACK_LEVEL}"
    if saturated > MAX_SATURATED_SHARE:
        return f"the image is saturated: {saturated:.0%} of the pixels are white"
    if levels == 1:
        return "1 grey level in the image: nothing can be seen in it"
    return f"{levels} grey levels in the image" if levels < MIN_GREY_LEVELS else ""
