"""A frame in the window, and what is made of it: once, and its depth beside the caller where there is a core for it."""

from functools import cached_property

import cv2
import numpy as np
import torch

from sfm_odometry.background import Background, Later
from sfm_odometry.estimator import Estimator
from sfm_odometry.pyramid import Pyramid, Targets
from sfm_odometry.refine_config import RefineConfig


class SeenFrame:
    """A frame as the networks see it, uint8 (H, W, C), of a camera with intrinsics (3, 3); what is made of it is made once."""

    def __init__(self, image: np.ndarray, intrinsics: np.ndarray, estimator: Estimator, config: RefineConfig) -> None:
        """config: of the alignment that the frame is made ready for."""
        self.image, self.intrinsics = image, intrinsics
        self.memory: dict[str, torch.Tensor] = {}
        """What the motion network keeps of this frame while the window slides."""
        self._config = config
        self._depth = Later(lambda: estimator.depth(image))
        self._pyramid = Later(self._reduce)
        self._targets = Later(self._select)

    def prepare(self, background: Background, with_targets: bool) -> None:
        """Begin to infer the depth, and to select the points that the next frame is aligned with."""
        self._depth = background.start(self._depth.get)
        if with_targets:
            self._targets = background.start(self._targets.get)

    @property
    def depth(self) -> np.ndarray:
        """Depth along z (H, W), float32, in the model's unit of length; waits for it."""
        return self._depth.get()

    @cached_property
    def grey(self) -> np.ndarray:
        """The image as uint8 (H, W)."""
        return self.image[..., 0] if self.image.shape[2] == 1 else cv2.cvtColor(self.image, cv2.COLOR_RGB2GRAY)

    @property
    def pyramid(self) -> Pyramid:
        """The image made ready to be aligned with the frame before."""
        return self._pyramid.get()

    @property
    def targets(self) -> Targets:
        """The points that are sought in the next frame; waits for the depth."""
        return self._targets.get()

    @torch.inference_mode()
    def _reduce(self) -> Pyramid:
        return Pyramid.of(torch.from_numpy(self.grey), self.intrinsics, self._config)

    @torch.inference_mode()
    def _select(self) -> Targets:
        return Targets.of(self.pyramid, torch.from_numpy(self.depth), None, self._config)
