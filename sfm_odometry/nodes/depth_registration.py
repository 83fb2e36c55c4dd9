"""Panels of the networks' size, and the camera's image that they were made of, brought to each
other's pixels."""

import cv2
import numpy as np

from sfm_odometry.geometry.camera import Intrinsics


def shown_window(panel: Intrinsics, camera: Intrinsics) -> tuple[int, int, int, int]:
    """left, top, width, height of the part of the camera's image that a panel of it shows; beyond
    the image where it was padded.

    The inverse of `panel = camera.cropped(left, top, width, height).resized(...)`.
    """
    width, height = (
        round(panel.width * camera.fx / panel.fx),
        round(panel.height * camera.fy / panel.fy),
    )
    left = camera.cx - ((panel.cx + 0.5) * width / panel.width - 0.5)
    top = camera.cy - ((panel.cy + 0.5) * height / panel.height - 0.5)
    return round(left), round(top), width, height


def registered(
    values: np.ndarray, panel: Intrinsics, camera: Intrinsics, out: np.ndarray | None = None
) -> np.ndarray:
    """Values (h, w) float32 of a panel at the camera's image's pixels (H, W); NaN where the panel
    does not show it, or beside a NaN.

    out: float32 (H, W) to write into; it is what is returned then.
    """
    left, top, width, height = shown_window(panel, camera)
    rows = slice(max(top, 0), min(top + height, camera.height))
    columns = slice(max(left, 0), min(left + width, camera.width))
    result = np.empty((camera.height, camera.width), np.float32) if out is None else out
    for margin in (
        result[: rows.start],
        result[rows.stop :],
        result[rows, : columns.start],
        result[rows, columns.stop :],
    ):
        margin.fill(np.nan)
    inside = result[rows, columns]
    if inside.shape == (height, width):
        cv2.resize(values, (width, height), dst=inside, interpolation=cv2.INTER_LINEAR)
    else:  # padded: the panel shows more than the image
        enlarged = cv2.resize(values, (width, height), interpolation=cv2.INTER_LINEAR)
        inside[:] = enlarged[
            rows.start - top : rows.stop - top, columns.start - left : columns.stop - left
        ]
    return result


def sampling_map(camera: Intrinsics, panel: Intrinsics) -> np.ndarray:
    """int16 (h, w, 2): the column and row of the camera's image nearest to each of a panel's
    pixels, as cv2.remap takes them."""
    columns = (np.arange(panel.width) - panel.cx) * (camera.fx / panel.fx) + camera.cx
    rows = (np.arange(panel.height) - panel.cy) * (camera.fy / panel.fy) + camera.cy
    columns, rows = (
        np.clip(np.rint(columns), 0, camera.width - 1),
        np.clip(np.rint(rows), 0, camera.height - 1),
    )
    return np.stack(np.meshgrid(columns, rows), axis=-1).astype(np.int16)


def sampled(image: np.ndarray, places: np.ndarray) -> np.ndarray:
    """The camera's image (H, W[, 3]) at a panel's pixels (h, w[, 3]), which `sampling_map`
    gives; margins repeat the image's edge."""
    return cv2.remap(image, places, None, cv2.INTER_NEAREST)  # type: ignore[call-overload]  # None for the second map is its own form
