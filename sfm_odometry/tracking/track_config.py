"""The parameters of the tracked points."""

from dataclasses import dataclass

from sfm_odometry.errors import InputError


@dataclass(frozen=True)
class TrackConfig:
    """How corners are followed and what is believed of them; raises InputError for a value out
    of its range."""

    points: int = 400
    quality: float = 0.005
    """Least strength of a corner, as a share of the strongest."""
    distance: int = 6
    """Pixels between corners."""
    patch: int = 5
    """Side of the patch that is followed, in pixels. Large ones are biased: the road is
    stretched inside them from frame to frame."""
    levels: int = 2
    """Pyramid levels above the image's own."""
    return_pixels: float = 0.5
    """Followed back, a corner must come so close to where it was."""
    robust_threshold: float = 1.0
    """Cauchy's threshold of the errors in standard deviations."""
    robust_depth: float = 2.5
    """The same of inverse depths."""
    noise_floor: float = 0.1
    """Least standard deviation of a corner's place, in pixels."""
    inlier_deviations: float = 3.0
    """Corners that err by more are given up."""
    depth_near: float = 0.3
    """Standard deviation of predicted inverse depth, as a share."""
    depth_far: float = 0.6
    """What is added, in squares, as a share of the median inverse depth."""
    forgetting: float = 0.07
    """Standard deviation that a step adds to an inverse depth, as a share: Lucas-Kanade's errors
    repeat themselves from step to step."""
    pull: float = 0.01
    """Share by which a frame's predicted depth changes the scale of all tracks."""
    min_points: int = 40
    """Fewer followed points are not believed."""
    min_inliers: float = 0.4
    settled_steps: int = 8
    """A corner that has agreed for so many steps is believed fully, where corners disagree."""
    newcomer: float = 0.02
    """How much a new corner is believed there."""
    agreement_pixels: float = 0.5
    """Points that err by less agree well: of two guesses of a step, the one is taken that more
    agree with."""
    guess_pixels: float = 1.5
    """Where the step before moves half of the points elsewhere than the given motion by more, it
    is tried as a guess too."""
    correlated_points: float = 10.0
    """So many points err together as one."""

    def __post_init__(self) -> None:
        for name in ("points", "distance", "patch", "min_points", "settled_steps"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in (
            "robust_threshold",
            "robust_depth",
            "noise_floor",
            "correlated_points",
            "return_pixels",
            "depth_near",
            "newcomer",
        ):
            if not getattr(self, name) > 0:
                raise InputError(f"{name} must be positive, got {getattr(self, name)}")
