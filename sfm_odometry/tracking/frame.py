"""A frame in the window, and what is made of it: once, and its depth beside the caller where
there is a core for it."""

import cv2
import numpy as np
import torch

from sfm_odometry.inference.estimator import Estimator
from sfm_odometry.tracking.direct_config import RefineConfig
from sfm_odometry.tracking.lazy import Background, LazyFuture
from sfm_odometry.tracking.pyramid import Pyramid, Targets


class Frame:
    """A frame as the networks see it, uint8 (H, W, C), of a camera with intrinsics (3, 3); what
    is made of it is made once."""

    def __init__(
        self, image: np.ndarray, intrinsics: np.ndarray, estimator: Estimator, config: RefineConfig
    ) -> None:
        """config: of the alignment that the frame is made ready for."""
        self.image, self.intrinsics = image, intrinsics
        self.memory: dict[str, torch.Tensor] = {}
        """What the motion network keeps of this frame while the window slides."""
        grey = LazyFuture(lambda: _grey(image))
        depth = LazyFuture(lambda: estimator.depth(image))
        pyramid = LazyFuture(lambda: _pyramid(grey.get(), intrinsics, config))
        targets = LazyFuture(lambda: _targets(pyramid.get(), depth.get(), config))
        self._grey, self._depth, self._pyramid, self._targets = grey, depth, pyramid, targets

    def prepare(self, background: Background, with_targets: bool) -> None:
        """Begin to infer the depth, and to select the points that the next frame is aligned
        with."""
        background.begin(self._depth)
        if with_targets:
            background.begin(self._targets)

    @property
    def grey(self) -> np.ndarray:
        """The image as uint8 (H, W)."""
        return self._grey.get()

    @property
    def depth(self) -> np.ndarray:
        """Depth along z (H, W), float32, in the model's unit of length; waits for it."""
        return self._depth.get()

    @property
    def pyramid(self) -> Pyramid:
        """The image made ready to be aligned with the frame before."""
        return self._pyramid.get()

    @property
    def targets(self) -> Targets:
        """The points that are sought in the next frame; waits for the depth."""
        return self._targets.get()


def _grey(image: np.ndarray) -> np.ndarray:
    return image[..., 0] if image.shape[2] == 1 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)


@torch.inference_mode()
def _pyramid(grey: np.ndarray, intrinsics: np.ndarray, config: RefineConfig) -> Pyramid:
    return Pyramid.of(torch.from_numpy(grey), intrinsics, config)


@torch.inference_mode()
def _targets(pyramid: Pyramid, depth: np.ndarray, config: RefineConfig) -> Targets:
    return Targets.of(pyramid, torch.from_numpy(depth), None, config)
