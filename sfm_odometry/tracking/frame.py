"""Frame of the window, with depth, image pyramid and alignment points computed once."""

from collections.abc import Callable

import cv2
import numpy as np
import torch

from sfm_odometry.tracking.direct_config import AlignmentConfig
from sfm_odometry.tracking.lazy import BackgroundThread, LazyFuture
from sfm_odometry.tracking.pyramid import Pyramid, Targets

MEDIAN_STRIDE = 2
"""Stride of rows and columns in the median of a depth map."""


class Frame:
    """Image at the networks' size, uint8 (H, W, C), with its intrinsics (3, 3).

    Image, depth, pyramid and points are computed once, when they are asked for or in the
    background.
    """

    def __init__(
        self,
        image: LazyFuture[np.ndarray],
        intrinsics: np.ndarray,
        infer_depth: Callable[[np.ndarray], np.ndarray],
        config: AlignmentConfig,
        tracking: tuple[np.ndarray, np.ndarray] | None = None,
    ) -> None:
        """infer_depth: depth network, from an image to depth (H, W) along z.

        config: of the direct alignment that the pyramid and the points are made for.
        tracking: grey image (H', W') of the same view in which features are tracked, with its
        intrinsics (3, 3); None: this image.
        """
        self._image = image
        self.intrinsics = intrinsics
        self.motion_cache: dict[str, torch.Tensor] = {}
        """Tensors of this frame that the motion network reuses while the window slides."""
        # The closures refer to the local futures, not to the frame: see LazyFuture.
        grey = LazyFuture(lambda: _grey(image.get()))
        depth = LazyFuture(lambda: infer_depth(image.get()))
        pyramid = LazyFuture(lambda: _pyramid(grey.get(), intrinsics, config))
        targets = LazyFuture(lambda: _targets(pyramid.get(), depth.get(), config))
        self._grey = grey
        self._depth = depth
        self._pyramid = pyramid
        self._targets = targets
        # No reference to the frame itself: a cycle would keep its images in memory.
        self._tracking_view = tracking and TrackingView(*tracking, depth, intrinsics)

    def prepare(self, background: BackgroundThread, with_targets: bool) -> None:
        """Start to compute the depth in the background, and the points to align the next frame."""
        background.submit(self._depth)
        if with_targets:
            background.submit(self._targets)

    @property
    def image(self) -> np.ndarray:
        """Image at the networks' size, uint8 (H, W, C)."""
        return self._image.get()

    @property
    def grey(self) -> np.ndarray:
        """Grey image, uint8 (H, W)."""
        return self._grey.get()

    @property
    def depth(self) -> np.ndarray:
        """Depth along z (H, W), float32, in the model's unit of length; waits for it."""
        return self._depth.get()

    @property
    def depth_intrinsics(self) -> np.ndarray:
        """Intrinsics (3, 3) of the depth."""
        return self.intrinsics

    def depth_pixels(self, keypoints: np.ndarray) -> np.ndarray:
        """Pixels (N, 2) of the depth map that show keypoints (N, 2) of this image."""
        return keypoints

    def depth_at(self, keypoints: np.ndarray) -> np.ndarray:
        """Depths (N,) at the pixels nearest to keypoints (N, 2) of this image."""
        return nearest_depth(self.depth, keypoints)

    @property
    def tracking_view(self) -> "Frame | TrackingView":
        """View in which features are tracked."""
        return self._tracking_view or self

    @property
    def pyramid(self) -> Pyramid:
        """Image pyramid in which the previous frame's points are sought."""
        return self._pyramid.get()

    @property
    def targets(self) -> Targets:
        """Points that are sought in the next frame; waits for the depth."""
        return self._targets.get()


class TrackingView:
    """Image in which features are tracked, with the depth predicted for another size of it.

    Features are located more precisely at the camera's resolution than at the networks'.
    """

    def __init__(
        self,
        grey: np.ndarray,
        intrinsics: np.ndarray,
        depth: LazyFuture[np.ndarray],
        depth_intrinsics: np.ndarray,
    ) -> None:
        """depth: along z (h, w), of a view with depth_intrinsics (3, 3) from the same place."""
        self.grey = grey
        self.intrinsics = intrinsics
        self.depth_intrinsics = depth_intrinsics
        self._depth = depth
        self._scale = depth_intrinsics[[0, 1], [0, 1]] / intrinsics[[0, 1], [0, 1]]
        self._offset = depth_intrinsics[:2, 2] - intrinsics[:2, 2] * self._scale

    @property
    def depth(self) -> np.ndarray:
        """Depth along z (h, w), float32, in the model's unit of length; waits for it."""
        return self._depth.get()

    def depth_pixels(self, keypoints: np.ndarray) -> np.ndarray:
        """Pixels (N, 2) of the depth map that show keypoints (N, 2) of the grey image."""
        return keypoints * self._scale + self._offset

    def depth_at(self, keypoints: np.ndarray) -> np.ndarray:
        """Depths (N,) at keypoints (N, 2), NaN where none is predicted; waits for the depth."""
        return nearest_depth(self.depth, self.depth_pixels(keypoints))


def nearest_depth(depth: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """Depths (N,) float64 at the pixels nearest to (N, 2); NaN outside the map (H, W)."""
    u, v = np.round(pixels).astype(int).T
    inside = (u >= 0) & (v >= 0) & (u < depth.shape[1]) & (v < depth.shape[0])
    values = np.full(len(pixels), np.nan)
    values[inside] = depth[v[inside], u[inside]]
    return values


def median_depth(depth: np.ndarray) -> float:
    """Median of the known depths (H, W); NaN if none is known."""
    subset = depth[::MEDIAN_STRIDE, ::MEDIAN_STRIDE]
    known = subset[np.isfinite(subset)]
    return float(np.median(known)) if known.size else float("nan")


def _grey(image: np.ndarray) -> np.ndarray:
    return image[..., 0] if image.shape[2] == 1 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)


@torch.inference_mode()
def _pyramid(grey: np.ndarray, intrinsics: np.ndarray, config: AlignmentConfig) -> Pyramid:
    return Pyramid.from_image(torch.from_numpy(grey), intrinsics, config)


@torch.inference_mode()
def _targets(pyramid: Pyramid, depth: np.ndarray, config: AlignmentConfig) -> Targets:
    return Targets.from_depth(pyramid, torch.from_numpy(depth), None, config)
