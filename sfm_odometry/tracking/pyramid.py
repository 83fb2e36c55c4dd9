"""Image pyramid of a frame, and its points on each level for direct alignment."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sfm_odometry.tracking.depth_deformation import DepthCorrection
from sfm_odometry.tracking.direct_config import AlignmentConfig
from sfm_odometry.tracking.photometric import ImageView, TargetPoints, mean_of_blocks, select_points

MEDIAN_STRIDE = 4
"""Stride of rows and columns in the median of a depth map."""


@dataclass(frozen=True)
class Pyramid:
    """Image of one frame on all levels of the alignment, coarse to fine."""

    views: tuple[ImageView, ...]

    @classmethod
    def from_image(
        cls, image: Tensor, intrinsics: np.ndarray | Tensor, config: AlignmentConfig
    ) -> "Pyramid":
        """Build the pyramid of a grey image (H, W), uint8 or float in [0, 1].

        intrinsics: (3, 3) of the camera.
        """
        grey = image.float() / 255.0 if image.dtype == torch.uint8 else image.float()
        fx, fy, cx, cy = (float(intrinsics[index]) for index in ((0, 0), (1, 1), (0, 2), (1, 2)))
        full = ImageView(grey, (fx, fy, cx, cy))
        return cls(tuple(full.reduced(level) for level in config.levels))


@dataclass(frozen=True)
class Targets:
    """Informative points of one frame on all levels, which are sought in the next frame."""

    levels: tuple[TargetPoints, ...]
    correction: DepthCorrection
    """Smooth corrections that the frame's depth may need."""
    bases: tuple[Tensor, ...]
    """(K, N) for each level: change of its points' log depth by each coefficient."""

    @classmethod
    def from_depth(
        cls, pyramid: Pyramid, depth: Tensor, weights: Tensor | None, config: AlignmentConfig
    ) -> "Targets":
        """Select the points of a frame, given its depth (H, W) along z.

        weights: (H, W), 0 to 1; None = 1. A depth of NaN, infinity or <= 0 is unknown, and makes
        the larger pixels of coarse levels that contain it unknown.
        """
        # Inverse depth, NaN where unknown.
        inverse_depth = 1.0 / depth.float()
        known = (inverse_depth > 0) & (inverse_depth < torch.inf)
        inverse_depth.masked_fill_(~known, torch.nan)

        # Points of each level.
        levels = []
        for view, level, block in zip(pyramid.views, config.levels, config.blocks, strict=True):
            size = 2**level
            level_weights = None if weights is None else mean_of_blocks(weights.float(), size)
            level_depth = mean_of_blocks(inverse_depth, size)
            points = select_points(view, level_depth, level_weights, block, config.min_gradient)
            levels.append(points)

        # Basis of the depth corrections at these points.
        median = float(inverse_depth[::MEDIAN_STRIDE, ::MEDIAN_STRIDE].nanmedian())
        correction = DepthCorrection(
            config.correction_grid, config.correction_near, config.correction_far, 1.0 / median
        )
        return cls(tuple(levels), correction, tuple(correction.basis(level) for level in levels))
