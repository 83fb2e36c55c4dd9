"""Registration between the networks' maps and the camera's images.

A map is a depth map or mask of the networks' size (h, w); an image is the rectified image of the
camera (H, W) from which that map was predicted. Each has intrinsics of its own.
"""

import cv2
import numpy as np

from sfm_odometry.geometry.camera import Intrinsics


def covered_window(
    map_intrinsics: Intrinsics, image_intrinsics: Intrinsics
) -> tuple[int, int, int, int]:
    """Returns the window (left, top, width, height) of the image that a map covers, in pixels.

    The window extends beyond the image where the network's input was padded. Inverse of
    `map_intrinsics = image_intrinsics.cropped(left, top, width, height).resized(...)`.
    """
    width = round(map_intrinsics.width * image_intrinsics.fx / map_intrinsics.fx)
    height = round(map_intrinsics.height * image_intrinsics.fy / map_intrinsics.fy)
    left = image_intrinsics.cx - ((map_intrinsics.cx + 0.5) * width / map_intrinsics.width - 0.5)
    top = image_intrinsics.cy - ((map_intrinsics.cy + 0.5) * height / map_intrinsics.height - 0.5)
    return round(left), round(top), width, height


def register_to_image(
    values: np.ndarray,
    map_intrinsics: Intrinsics,
    image_intrinsics: Intrinsics,
    out: np.ndarray | None = None,
) -> np.ndarray:
    """Returns a map (h, w) float32 interpolated at the pixels of the image, (H, W) float32.

    NaN where the map does not cover the image, and next to a NaN of the map. out: float32 (H, W)
    to write into; it is returned then.
    """
    # Clip the covered window to the image.
    left, top, width, height = covered_window(map_intrinsics, image_intrinsics)
    rows = slice(max(top, 0), min(top + height, image_intrinsics.height))
    columns = slice(max(left, 0), min(left + width, image_intrinsics.width))

    # Fill the margins around it with NaN.
    size = (image_intrinsics.height, image_intrinsics.width)
    result = np.empty(size, np.float32) if out is None else out
    for margin in (
        result[: rows.start],
        result[rows.stop :],
        result[rows, : columns.start],
        result[rows, columns.stop :],
    ):
        margin.fill(np.nan)

    # Interpolate the map inside it.
    inside = result[rows, columns]
    if inside.shape == (height, width):
        cv2.resize(values, (width, height), dst=inside, interpolation=cv2.INTER_LINEAR)
    else:  # the input was padded: the map covers more than the image
        enlarged = cv2.resize(values, (width, height), interpolation=cv2.INTER_LINEAR)
        inside[:] = enlarged[
            rows.start - top : rows.stop - top, columns.start - left : columns.stop - left
        ]
    return result


def nearest_pixel_map(image_intrinsics: Intrinsics, map_intrinsics: Intrinsics) -> np.ndarray:
    """Returns the image pixel (column, row) nearest to each pixel of a map, int16 (h, w, 2).

    The layout is that of the first map of cv2.remap.
    """
    x_scale = image_intrinsics.fx / map_intrinsics.fx
    y_scale = image_intrinsics.fy / map_intrinsics.fy
    columns = (np.arange(map_intrinsics.width) - map_intrinsics.cx) * x_scale + image_intrinsics.cx
    rows = (np.arange(map_intrinsics.height) - map_intrinsics.cy) * y_scale + image_intrinsics.cy
    columns = np.clip(np.rint(columns), 0, image_intrinsics.width - 1)
    rows = np.clip(np.rint(rows), 0, image_intrinsics.height - 1)
    return np.stack(np.meshgrid(columns, rows), axis=-1).astype(np.int16)


def remap_nearest(image: np.ndarray, pixel_map: np.ndarray) -> np.ndarray:
    """Returns the image (H, W[, 3]) sampled at the pixels of a map, (h, w[, 3]).

    pixel_map: of :func:`nearest_pixel_map`. Beyond the image its edge is repeated.
    """
    # OpenCV takes None for the second map, which its type stubs do not know.
    return cv2.remap(image, pixel_map, None, cv2.INTER_NEAREST)  # type: ignore[call-overload]
