"""Frame of the window, with depth, image pyramid and alignment points computed once."""

from collections.abc import Callable

import cv2
import numpy as np
import torch

from sfm_odometry.tracking.direct_config import AlignmentConfig
from sfm_odometry.tracking.lazy import BackgroundThread, LazyFuture
from sfm_odometry.tracking.pyramid import Pyramid, Targets


class Frame:
    """Image at the networks' size, uint8 (H, W, C), with its intrinsics (3, 3).

    Depth, pyramid and points are computed once, when they are asked for or in the background.
    """

    def __init__(
        self,
        image: np.ndarray,
        intrinsics: np.ndarray,
        infer_depth: Callable[[np.ndarray], np.ndarray],
        config: AlignmentConfig,
    ) -> None:
        """infer_depth: depth network, from an image to depth (H, W) along z.

        config: of the direct alignment that the pyramid and the points are made for.
        """
        self.image = image
        self.intrinsics = intrinsics
        self.motion_cache: dict[str, torch.Tensor] = {}
        """Tensors of this frame that the motion network reuses while the window slides."""
        # The closures refer to the local futures, not to the frame: see LazyFuture.
        grey = LazyFuture(lambda: _grey(image))
        depth = LazyFuture(lambda: infer_depth(image))
        pyramid = LazyFuture(lambda: _pyramid(grey.get(), intrinsics, config))
        targets = LazyFuture(lambda: _targets(pyramid.get(), depth.get(), config))
        self._grey = grey
        self._depth = depth
        self._pyramid = pyramid
        self._targets = targets

    def prepare(self, background: BackgroundThread, with_targets: bool) -> None:
        """Start to compute the depth in the background, and the points to align the next frame."""
        background.submit(self._depth)
        if with_targets:
            background.submit(self._targets)

    @property
    def grey(self) -> np.ndarray:
        """Grey image, uint8 (H, W)."""
        return self._grey.get()

    @property
    def depth(self) -> np.ndarray:
        """Depth along z (H, W), float32, in the model's unit of length; waits for it."""
        return self._depth.get()

    @property
    def pyramid(self) -> Pyramid:
        """Image pyramid in which the previous frame's points are sought."""
        return self._pyramid.get()

    @property
    def targets(self) -> Targets:
        """Points that are sought in the next frame; waits for the depth."""
        return self._targets.get()


def _grey(image: np.ndarray) -> np.ndarray:
    return image[..., 0] if image.shape[2] == 1 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)


@torch.inference_mode()
def _pyramid(grey: np.ndarray, intrinsics: np.ndarray, config: AlignmentConfig) -> Pyramid:
    return Pyramid.from_image(torch.from_numpy(grey), intrinsics, config)


@torch.inference_mode()
def _targets(pyramid: Pyramid, depth: np.ndarray, config: AlignmentConfig) -> Targets:
    return Targets.from_depth(pyramid, torch.from_numpy(depth), None, config)
