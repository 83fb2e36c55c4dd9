"""A frame made ready for alignment: its image, coarse to fine, and the points of each level that
are sought in other frames."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sfm_odometry.tracking.depth_deformation import DepthCorrection
from sfm_odometry.tracking.direct_config import RefineConfig
from sfm_odometry.tracking.photometric import ImageView, TargetPoints, mean_of_blocks, select_points

MEDIAN_STRIDE = 4
"""Of every so many rows and columns one is enough for the median of a depth map."""


@dataclass(frozen=True)
class Pyramid:
    """The image of one frame on all levels of a refinement: what the points of other frames are
    sought in."""

    views: tuple[ImageView, ...]

    @classmethod
    def of(cls, image: Tensor, intrinsics: np.ndarray | Tensor, config: RefineConfig) -> "Pyramid":
        """Of a grey image (H, W), uint8 or float in [0, 1], of a camera with intrinsics (3, 3)."""
        grey = image.float() / 255.0 if image.dtype == torch.uint8 else image.float()
        fx, fy, cx, cy = (float(intrinsics[place]) for place in ((0, 0), (1, 1), (0, 2), (1, 2)))
        full = ImageView(grey, (fx, fy, cx, cy))
        return cls(tuple(full.reduced(level) for level in config.levels))


@dataclass(frozen=True)
class Targets:
    """The informative points of one frame on all levels: what is sought in other frames."""

    levels: tuple[TargetPoints, ...]
    correction: DepthCorrection
    """What the frame's depth may need."""
    bases: tuple[Tensor, ...]
    """(K, N) for each level: how the correction changes the log depth of its points."""

    @classmethod
    def of(
        cls, pyramid: Pyramid, depth: Tensor, weights: Tensor | None, config: RefineConfig
    ) -> "Targets":
        """Of a frame's pyramid, its depth (H, W) along z and weights (H, W), 0 to 1.

        A depth of NaN, infinity or <= 0 is unknown, and spreads over the larger pixels of coarse
        levels.
        """
        inverse = 1.0 / depth.float()
        inverse.masked_fill_(~((inverse > 0) & (inverse < torch.inf)), torch.nan)
        levels = []
        for view, level, block in zip(pyramid.views, config.levels, config.blocks, strict=True):
            weights_here = None if weights is None else mean_of_blocks(weights.float(), 2**level)
            levels.append(
                select_points(
                    view,
                    mean_of_blocks(inverse, 2**level),
                    weights_here,
                    block,
                    config.min_gradient,
                )
            )
        typical_depth = 1.0 / float(inverse[::MEDIAN_STRIDE, ::MEDIAN_STRIDE].nanmedian())
        correction = DepthCorrection(
            config.correction_grid, config.correction_near, config.correction_far, typical_depth
        )
        return cls(tuple(levels), correction, tuple(correction.basis(level) for level in levels))
