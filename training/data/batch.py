"""Batch of snippets: as sampled on the host, and as float32 on the device."""

from dataclasses import dataclass, replace
from typing import TypeVar

import torch
from torch import Tensor

BatchT = TypeVar("BatchT", bound="Batch")


@dataclass(frozen=True)
class Batch:
    """B snippets of N frames, with true depth and motion where a data set has them.

    Rendered drives have both. Images and maps are copied to the device in the small types in which
    they are stored, and converted to float32 there: see :meth:`to`.
    """

    frames: Tensor
    """Images (B, N, C, H, W) in order of time.

    uint8 as sampled, float32 in [0, 1] on the device.
    """
    intrinsics: Tensor
    """Camera matrices (B, 3, 3), float32."""
    camera: Tensor
    """Index (B,) of the snippet's camera among the run's, int64."""
    depth: Tensor
    """True depth (B, 1, H, W) of the target; 0: unknown, inf: sky; float16 as sampled."""
    moving: Tensor
    """Mask (B, 1, H, W), 1 where the target shows an independently moving object, 0 elsewhere.

    As sampled it is uint8, with 255 for 1.
    """
    camera_from_frame: Tensor
    """True poses (B, N, 4, 4) of the frames in one common camera frame; identity where unknown."""
    has_depth: Tensor
    """(B,) bool: whether there are a true depth map and a true motion mask."""
    has_motion: Tensor
    """(B,) bool: whether the true motion may supervise."""

    def to(self: BatchT, device: torch.device | str) -> BatchT:
        """Returns the batch on a device, with images and maps as float32."""
        moved = type(self)(
            *(
                getattr(self, name).to(device, non_blocking=True)
                for name in self.__dataclass_fields__
            )
        )
        return replace(
            moved,
            frames=_normalised(moved.frames),
            depth=moved.depth.float(),
            moving=_normalised(moved.moving),
        )

    @property
    def target(self) -> int:
        """Index of the target view."""
        return self.frames.shape[1] // 2


def _normalised(values: Tensor) -> Tensor:
    """Returns uint8 values as float32 in [0, 1], floats as float32 unchanged."""
    return values.float() / 255.0 if values.dtype == torch.uint8 else values.float()
