"""Depth and masks as colour images, and images as data URIs."""

import base64
from pathlib import Path

import cv2
import matplotlib
import numpy as np

from sfm_odometry.errors import ImageError, OutputError

MAX_WIDTH = 620
"""Pixels of an image in the page."""
JPEG_QUALITY = 87
DEPTH_COLOURS = "magma"
UNKNOWN_GREY = 88


def depth_colours(depth: np.ndarray) -> np.ndarray:
    """Returns depth (H, W) as uint8 RGB (H, W, 3): near is bright, unknown is grey.

    Unknown depth is NaN or not positive. The colours are logarithmic, which keeps far depths
    distinguishable, and stretched between the 1st and 99th percentile of the image, which suits
    depth of unknown scale as well as metric depth.
    """
    known = np.isfinite(depth) & (depth > 0)
    picture = np.full((*depth.shape, 3), UNKNOWN_GREY, dtype=np.uint8)
    if not known.any():
        return picture
    nearness = -np.log(depth[known])
    low, high = np.percentile(nearness, (1, 99))
    stretched = np.clip((nearness - low) / max(high - low, 1e-12), 0.0, 1.0)
    colours = matplotlib.colormaps[DEPTH_COLOURS](stretched)[:, :3]
    picture[known] = np.round(255 * colours).astype(np.uint8)
    return picture


def read_depth(path: Path) -> np.ndarray:
    """Returns true depth (H, W) float32 of a rendered drive in metres; NaN where unknown.

    path: a 16-bit PNG of metres * 256. Raises ImageError for another file.
    """
    stored = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if stored is None or stored.dtype != np.uint16:
        raise ImageError(f"{path}: expected a 16-bit depth PNG")
    return np.where(stored > 0, stored.astype(np.float32) / 256.0, np.float32(np.nan))


def mask_over_image(mask: np.ndarray, image: np.ndarray) -> np.ndarray:
    """Returns the image with unexplained pixels in red, uint8 RGB (h, w, 3).

    mask: (h, w) uint8 explainability by rigid motion, 255 is explained. image: (H, W[, 3]) uint8.
    """
    height, width = mask.shape
    base = cv2.resize(as_rgb(image), (width, height), interpolation=cv2.INTER_AREA).astype(
        np.float32
    )
    grey = base.mean(axis=2, keepdims=True)
    unexplained = 1.0 - mask.astype(np.float32)[..., None] / 255.0
    red = np.array([235.0, 60.0, 50.0], dtype=np.float32)
    blended = (1.0 - 0.75 * unexplained) * (0.75 * grey + 0.25 * base) + 0.75 * unexplained * red
    return np.clip(np.round(blended), 0, 255).astype(np.uint8)


def as_rgb(image: np.ndarray) -> np.ndarray:
    """Returns a uint8 image (H, W) or (H, W, 3) as (H, W, 3)."""
    return image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2)


def to_data_uri(picture: np.ndarray, max_width: int = MAX_WIDTH) -> str:
    """Returns a uint8 image (H, W) or (H, W, 3) RGB as the data URI of a JPEG.

    Images wider than `max_width` pixels are reduced to that width.
    """
    scale = min(1.0, max_width / picture.shape[1])
    size = (round(picture.shape[1] * scale), max(1, round(picture.shape[0] * scale)))
    small = cv2.resize(as_rgb(picture), size, interpolation=cv2.INTER_AREA)
    _, encoded = cv2.imencode(
        ".jpg", np.ascontiguousarray(small[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    )
    return "data:image/jpeg;base64," + base64.b64encode(encoded.tobytes()).decode("ascii")


def write_png(path: Path, picture: np.ndarray) -> None:
    """Write a uint8 image, grey or RGB; raises OutputError where that fails."""
    bgr = picture if picture.ndim == 2 else np.ascontiguousarray(picture[..., ::-1])
    if not cv2.imwrite(str(path), bgr):
        raise OutputError(f"{path}: cannot be written")


def css_gradient(steps: int = 9) -> str:
    """Returns the depth colours as the stops of a CSS linear-gradient, far to near."""
    colours = matplotlib.colormaps[DEPTH_COLOURS](np.linspace(0, 1, steps))
    return ", ".join(matplotlib.colors.to_hex(colour) for colour in colours)
