"""A frame made ready for alignment: its views, coarse to fine, and the points of each that are sought in other frames."""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from sfm_odometry.photometric import TargetPoints, View, select_points
from sfm_odometry.refine_config import RefineConfig

MEDIAN_STRIDE = 4
"""Of every so many rows and columns one is enough for the median of a depth map."""


@dataclass(frozen=True)
class Pyramid:
    """One frame on all levels of a refinement; made once, it serves as target and then as source of later frames."""

    full: View
    config: RefineConfig

    @classmethod
    def of(cls, image: Tensor, depth: Tensor | None, intrinsics: Tensor, weights: Tensor | None, config: RefineConfig) -> "Pyramid":
        """Of a grey image (H, W), uint8 or float in [0, 1], depth (H, W) along z where it is known, and weights (H, W), 0 to 1."""
        grey = image.float() / 255.0 if image.dtype == torch.uint8 else image.float()
        fx, fy, cx, cy = (float(intrinsics[place]) for place in ((0, 0), (1, 1), (0, 2), (1, 2)))
        inverse_depth = None if depth is None else _inverse_depth(depth)
        return cls(View(grey, inverse_depth, None if weights is None else weights.float(), (fx, fy, cx, cy)), config)

    @cached_property
    def views(self) -> tuple[View, ...]:
        """One for each level."""
        return tuple(self.full.reduced(level) for level in self.config.levels)

    @cached_property
    def targets(self) -> tuple[TargetPoints, ...]:
        """The informative points of each level; the depth must be known."""
        blocks = zip(self.views, self.config.blocks, strict=True)
        return tuple(select_points(view, block, self.config.min_gradient) for view, block in blocks)

    @cached_property
    def typical_depth(self) -> float:
        """Median depth; NaN where none is known."""
        assert self.full.inverse_depth is not None
        return 1.0 / float(self.full.inverse_depth[::MEDIAN_STRIDE, ::MEDIAN_STRIDE].nanmedian())


def _inverse_depth(depth: Tensor) -> Tensor:
    """1 / depth, NaN where the depth is unknown."""
    inverse = 1.0 / depth.float()
    return inverse.masked_fill_(~((inverse > 0) & (inverse < torch.inf)), torch.nan)
