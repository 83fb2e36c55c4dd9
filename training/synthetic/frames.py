"""Rendered frame with its truth, and the samples from which it is made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from sfm_odometry.geometry.camera import Intrinsics
from training.synthetic.raster import ProjectedPolygons, Samples

METERING_COLUMNS = 52  # samples across an image for metering


@dataclass(frozen=True)
class RenderedFrame:
    """Rendered frame and its truth at the pixel centres."""

    image: np.ndarray  # (H, W, 3) uint8 RGB
    depth_m: np.ndarray  # (H, W) float64 along the optical axis, 0 where unknown
    moving: np.ndarray  # (H, W) bool, true on independently moving objects


def pixel_samples(intrinsics: Intrinsics) -> Samples:
    """Returns two samples a pixel in each direction, every other one on a pixel centre.

    The truth is read at the pixel centres; a pixel is a tent filter over nine samples.
    """
    return Samples(
        (np.arange(2 * intrinsics.width + 1) - 1) / 2,
        (np.arange(2 * intrinsics.height + 1) - 1) / 2,
    )


def metering_samples(intrinsics: Intrinsics) -> Samples:
    """Returns a sparse grid of samples for metering."""
    step = max(intrinsics.width / METERING_COLUMNS, 1.0)
    return Samples(*(np.arange(0.0, side, step) for side in (intrinsics.width, intrinsics.height)))


def filter_to_pixels(samples: np.ndarray) -> np.ndarray:
    """Returns the pixels (H, W, 3) float32 of samples (2 H + 1, 2 W + 1, 3)."""
    tent = np.array([0.25, 0.5, 0.25], np.float32)
    return np.ascontiguousarray(cv2.sepFilter2D(samples, -1, tent, tent)[1::2, 1::2])


def exact_depth(
    projected: ProjectedPolygons, index: np.ndarray, intrinsics: Intrinsics
) -> np.ndarray:
    """Returns depth (H, W) float64 in metres from the visible polygons' planes; 0 for sky.

    `index` (H, W) is the row of `projected` visible at a pixel centre, -1 for sky.
    """
    planes = np.concatenate([projected.nearness, [[0.0, 0.0, 0.0]]])[index]
    x = np.arange(intrinsics.width)
    y = np.arange(intrinsics.height)[:, None]
    inverse_depth = planes[..., 0] * x + planes[..., 1] * y + planes[..., 2]
    return np.where(index >= 0, 1.0 / np.where(index >= 0, inverse_depth, 1.0), 0.0)


def camera0_from_camera(world_from_camera: np.ndarray) -> np.ndarray:
    """Returns KITTI poses (frames, 4, 4) of camera poses; the first is exactly the identity."""
    poses = np.linalg.inv(world_from_camera[0]) @ world_from_camera
    poses[0] = np.eye(4)
    return poses


class ExposureMeter:
    """Mean radiance of a scene as a slow exposure control measures it.

    It is measured every `interval` frames and interpolated (in its logarithm) between them.
    """

    def __init__(self, frames: int, interval: int, measure: Callable[[int], float]) -> None:
        """measure: returns the mean radiance of a frame."""
        self._frames = frames
        self._interval = interval
        self._measure = measure
        self._measured: dict[int, float] = {}

    def radiance(self, frame: int) -> float:
        """Returns the mean radiance that the exposure of a frame goes by."""
        number, offset = divmod(frame, self._interval)
        share = offset / self._interval
        return self._at(number) ** (1 - share) * self._at(number + 1) ** share

    def _at(self, number: int) -> float:
        if number not in self._measured:
            frame = min(number * self._interval, self._frames - 1)
            self._measured[number] = self._measure(frame)
        return self._measured[number]
