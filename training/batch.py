"""A batch of snippets as the objective sees it."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """B snippets of N frames; true depth and motion only where a data set has them (rendered drives)."""

    frames: Tensor
    """(B, N, C, H, W) float32 in [0, 1], in order of time."""
    intrinsics: Tensor
    """(B, 3, 3) float32."""
    depth: Tensor
    """(B, 1, H, W) float32 true depth of the target, 0 = unknown, inf = the sky."""
    camera_from_frame: Tensor
    """(B, N, 4, 4) float32 true poses of the frames in one common camera frame, the identity where unknown."""
    moving: Tensor
    """(B, 1, H, W) float32, 1 where the target shows an independently moving object, 0 elsewhere; only where `has_depth`."""
    has_depth: Tensor
    """(B,) bool: there is a true depth map and a true motion mask."""
    has_motion: Tensor
    """(B,) bool."""

    def to(self, device: torch.device) -> "Batch":
        """The same batch on a device."""
        return Batch(*(getattr(self, name).to(device, non_blocking=True) for name in self.__dataclass_fields__))

    @property
    def target(self) -> int:
        """Index of the target view."""
        return self.frames.shape[1] // 2
