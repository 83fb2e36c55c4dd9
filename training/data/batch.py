"""A batch of snippets: as drawn on the host, and as the objective sees it on the device."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """B snippets of N frames; true depth and motion only where a data set has them (rendered
    drives).

    Images and maps cross to the device as they are stored, in small types, and become float32
    there: see :meth:`to`.
    """

    frames: Tensor
    """(B, N, C, H, W), in order of time; uint8 as drawn, float32 in [0, 1] on the device."""
    intrinsics: Tensor
    """(B, 3, 3) float32."""
    camera: Tensor
    """(B,) int64: which of the run's cameras took the snippet."""
    depth: Tensor
    """(B, 1, H, W) true depth of the target, 0 = unknown, inf = the sky; float16 as drawn."""
    moving: Tensor
    """(B, 1, H, W), 1 where the target shows an independently moving object, 0 elsewhere; uint8
    with 255 for 1 as drawn."""
    camera_from_frame: Tensor
    """(B, N, 4, 4) float32 true poses of the frames in one common camera frame, the identity
    where unknown."""
    has_depth: Tensor
    """(B,) bool: there is a true depth map and a true motion mask."""
    has_motion: Tensor
    """(B,) bool: the true motion may supervise."""

    def to(self, device: torch.device | str) -> "Batch":
        """The same batch on a device, images and maps as float32."""
        moved = Batch(
            *(
                getattr(self, name).to(device, non_blocking=True)
                for name in self.__dataclass_fields__
            )
        )
        return replace(
            moved, frames=_unit(moved.frames), depth=moved.depth.float(), moving=_unit(moved.moving)
        )

    @property
    def target(self) -> int:
        """Index of the target view."""
        return self.frames.shape[1] // 2


def _unit(values: Tensor) -> Tensor:
    """uint8 as float32 in [0, 1]; floats as they are."""
    return values.float() / 255.0 if values.dtype == torch.uint8 else values.float()
