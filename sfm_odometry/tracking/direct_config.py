"""Parameters of direct alignment."""

import math
from dataclasses import dataclass

from sfm_odometry.errors import InputError

_POSITIVE = (
    "robust_threshold",
    "noise_floor",
    "correlated_points",
    "max_rotation_deg",
    "stop_pixels",
    "converged_pixels",
)
_NOT_NEGATIVE = (
    "correction_near",
    "correction_far",
    "depth_error",
    "depth_scale_error",
    "prior_length",
    "prior_direction",
    "prior_rotation_deg",
    "prior_floor",
)


@dataclass(frozen=True)
class AlignmentConfig:
    """Parameters of the direct alignment of two frames.

    Lengths are in the unit of the depth; standard deviations given as shares are of the initial
    translation's length. Raises InputError for a value out of its range.
    """

    levels: tuple[int, ...] = (2, 0)
    """Pyramid levels, coarse to fine: the image is downsampled by 2^level. The last one
    limits the resolution of the rotation."""
    blocks: tuple[int, ...] = (2, 4)
    """Side, in pixels, of the square blocks of each level; in each of them only the pixel of the
    steepest gradient is used."""
    iterations: tuple[int, ...] = (6, 6)
    """Greatest number of steps on each level: the budget of time."""
    min_gradient: float = 0.004
    """Least gradient of the pixels that are used, in grey values (0 to 1) a pixel: one step of 8
    bits."""
    robust_threshold: float = 1.5
    """Threshold of Cauchy's norm, in standard deviations of the error."""
    noise_floor: float = 0.004
    """Least standard deviation of a grey value."""
    depth_error: float = 0.2
    """Standard deviation of the predicted depth of a pixel, as a share: errors that it explains
    weigh less. 0 = the depth is exact."""
    correction_grid: tuple[int, int] = (4, 8)
    """Rows and columns of the grid of smooth depth corrections, which are estimated with the
    motion; (0, 0) = none."""
    correction_near: float = 0.3
    """Standard deviation of the corrections, as a share, close to the camera."""
    correction_far: float = 0.6
    """Standard deviation added to it, in squares, at the median depth; it grows in proportion to
    the depth."""
    depth_scale_error: float = 0.03
    """Standard deviation of the whole depth map's scale from frame to frame, as a share, which no
    alignment of images can observe."""
    correlated_points: float = 60.0
    """Number of points that err together as one: the information of the images is divided by
    it."""
    prior_length: float = 0.2
    """Standard deviation of the initial translation along itself, as a share; 0 = no prior on its
    length."""
    prior_direction: float = 0.03
    """Standard deviation of the initial translation across itself, as a share; 0 = no prior."""
    prior_rotation_deg: float = 1.0
    """Standard deviation of each angle of the initial rotation; 0 = no prior."""
    prior_floor: float = 0.002
    """Length added to the standard deviations of the initial translation."""
    min_points: int = 100
    """Least number of usable points on a level; with fewer the initial motion is kept."""
    min_inliers: float = 0.3
    """Least share of the points that must lie inside the other image and fit."""
    max_gain: float = 3.0
    """Greatest plausible gain of brightness, and the inverse of the least: beyond them the images
    do not show the same."""
    max_rotation_deg: float = 3.0
    """Greatest plausible correction of the rotation, and greatest accepted uncertainty of it."""
    max_translation: float = 0.5
    """Greatest plausible correction and uncertainty of the translation, as a share, with
    `max_translation_floor` added."""
    max_translation_floor: float = 0.2
    """Length added to the limit of the translation."""
    stop_pixels: float = 0.1
    """Image motion of a step that ends its level, in the level's pixels."""
    converged_pixels: float = 0.3
    """Greatest image motion of the last step of an alignment that has converged, in pixels."""

    def __post_init__(self) -> None:
        per_level = f"{self.levels}, {self.blocks}, {self.iterations}"
        if not len(self.levels) == len(self.blocks) == len(self.iterations) >= 1:
            raise InputError(
                f"levels, blocks and iterations must be of one length, got {per_level}"
            )
        if min(self.correction_grid) < 0 or len(self.correction_grid) != 2:
            raise InputError(
                f"correction_grid must be two numbers of nodes, got {self.correction_grid}"
            )
        if min(self.levels) < 0 or min(self.blocks) < 1 or min(self.iterations) < 1:
            raise InputError(f"levels must be >= 0, blocks and iterations >= 1, got {per_level}")
        for name in _POSITIVE:
            if not 0.0 < getattr(self, name) < math.inf:
                raise InputError(f"{name} must be a positive number, got {getattr(self, name)}")
        for name in _NOT_NEGATIVE:
            if not 0.0 <= getattr(self, name) < math.inf:
                raise InputError(f"{name} must be zero or positive, got {getattr(self, name)}")
        if not 0.0 <= self.min_inliers <= 1.0:
            raise InputError(f"min_inliers must be a share, 0 to 1, got {self.min_inliers}")


BEFORE_TRACKS = AlignmentConfig(levels=(1,), blocks=(3,), iterations=(8,), stop_pixels=0.2)
"""Parameters of the alignment that only initialises feature tracks: they are more precise, and
half the image's size is enough."""
