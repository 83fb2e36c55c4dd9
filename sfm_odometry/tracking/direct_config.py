"""The parameters of the refinement."""

import math
from dataclasses import dataclass

from sfm_odometry.errors import InputError


@dataclass(frozen=True)
class RefineConfig:
    """How a motion is refined; raises InputError for a value out of its range.

    Lengths are in the unit of the depth; standard deviations given as shares are of the given
    translation's length.
    """

    levels: tuple[int, ...] = (2, 0)
    """Pyramid levels, coarse to fine: the image is made smaller by 2^level. The last one decides
    how fine a rotation is seen."""
    blocks: tuple[int, ...] = (2, 4)
    """For each level: of each square block of so many pixels only the one of the steepest
    gradient is used."""
    iterations: tuple[int, ...] = (6, 6)
    """Most steps on each level: the budget of time."""
    min_gradient: float = 0.004
    """Pixels flatter than this (grey value 0 to 1 a pixel) are not used: one step of 8 bits."""
    robust_threshold: float = 1.5
    """Cauchy's threshold in standard deviations of the error."""
    noise_floor: float = 0.004
    """Least standard deviation of a grey value."""
    depth_error: float = 0.2
    """Standard deviation of the predicted depth of a pixel, as a share: errors that it explains
    weigh less. 0 = the depth is exact."""
    correction_grid: tuple[int, int] = (4, 8)
    """Rows and columns of the grid of smooth corrections to the depth, which are estimated with
    the motion; (0, 0) = none."""
    correction_near: float = 0.3
    """Standard deviation of the corrections, as a share, close to the camera."""
    correction_far: float = 0.6
    """What is added to it at the median depth, in squares, growing in proportion to the depth."""
    depth_scale_error: float = 0.03
    """Standard deviation of the whole depth map's scale from frame to frame, as a share; no
    alignment of images can see it."""
    correlated_points: float = 60.0
    """So many points err together as one: the information of the images is divided by it."""
    prior_length: float = 0.2
    """Standard deviation of the given translation along itself, as a share; 0 = the given length
    counts for nothing."""
    prior_direction: float = 0.03
    """The same across it; 0 = no prior."""
    prior_rotation_deg: float = 1.0
    """Standard deviation of each angle of the given rotation; 0 = no prior."""
    prior_floor: float = 0.002
    """Added to the standard deviations of the given translation."""
    min_points: int = 100
    """Fewer usable points are not aligned."""
    min_inliers: float = 0.3
    """Least share of the points that must lie inside the other image and fit."""
    max_gain: float = 3.0
    """A gain of brightness above this or below its inverse means that the images do not show the
    same."""
    max_rotation_deg: float = 3.0
    """A larger correction, or a larger uncertainty, is not believed."""
    max_translation: float = 0.5
    """The same for the translation, as a share, and `max_translation_floor` on top."""
    max_translation_floor: float = 0.2
    stop_pixels: float = 0.1
    """A step that moves the image by less ends its level."""
    converged_pixels: float = 0.3
    """The last step must move the image by less than this, or the alignment has not converged."""

    def __post_init__(self) -> None:
        if not len(self.levels) == len(self.blocks) == len(self.iterations) >= 1:
            raise InputError(
                f"levels, blocks and iterations must be of one length, got {self.levels}, {self.blocks}, {self.iterations}"
            )
        if min(self.correction_grid) < 0 or len(self.correction_grid) != 2:
            raise InputError(
                f"correction_grid must be two numbers of nodes, got {self.correction_grid}"
            )
        if min(self.levels) < 0 or min(self.blocks) < 1 or min(self.iterations) < 1:
            raise InputError(
                f"levels must be >= 0, blocks and iterations >= 1, got {self.levels}, {self.blocks}, {self.iterations}"
            )
        for name in (
            "robust_threshold",
            "noise_floor",
            "correlated_points",
            "max_rotation_deg",
            "stop_pixels",
            "converged_pixels",
        ):
            if not 0.0 < getattr(self, name) < math.inf:
                raise InputError(f"{name} must be a positive number, got {getattr(self, name)}")
        for name in ("correction_near", "correction_far"):
            if not 0.0 <= getattr(self, name) < math.inf:
                raise InputError(f"{name} must be zero or positive, got {getattr(self, name)}")
        for name in (
            "depth_error",
            "depth_scale_error",
            "prior_length",
            "prior_direction",
            "prior_rotation_deg",
            "prior_floor",
        ):
            if not 0.0 <= getattr(self, name) < math.inf:
                raise InputError(f"{name} must be zero or positive, got {getattr(self, name)}")
        if not 0.0 <= self.min_inliers <= 1.0:
            raise InputError(f"min_inliers must be a share, 0 to 1, got {self.min_inliers}")


BEFORE_TRACKS = RefineConfig(levels=(1,), blocks=(3,), iterations=(8,), stop_pixels=0.2)
"""Where tracked points follow, which see more, half the image's size is enough."""
