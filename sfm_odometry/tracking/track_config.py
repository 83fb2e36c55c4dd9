"""Parameters of feature tracks."""

from dataclasses import dataclass

from sfm_odometry.errors import InputError


@dataclass(frozen=True)
class TrackConfig:
    """Parameters of corner detection, tracking and two-view bundle adjustment.

    Raises InputError for a value out of its range.
    """

    points: int = 400
    """Greatest number of tracks."""
    refill_share: float = 0.6
    """Number of tracks, as a share of `points`, below which new corners are detected."""
    max_refill_steps: int = 3
    """Greatest number of steps without new corners."""
    max_depth_steps: int = 3
    """Number of steps for which a predicted depth is moved on to later frames."""
    steady_tracks: int = 60
    """Least number of settled tracks that determine the motion without networks."""
    steady_age: int = 3
    """Age of a settled track, in steps as an inlier, for that."""
    steady_share: float = 0.5
    """Least share of the settled tracks that are found and agree, for that."""
    steady_inliers: float = 0.93
    """Least share of inliers among the tracks that are found, relative to its running mean, for
    that: a vehicle that comes to cover the image makes it smaller."""
    quality: float = 0.005
    """Least strength of a corner, as a share of the strongest."""
    distance: float = 0.0145
    """Minimum distance between corners, as a share of the image's width.

    Closer ones crowd where the image has most detail, far away, and leave the road to few.
    """
    patch: int = 5
    """Side of the patch that is tracked, pixels. Large ones are biased: the road is stretched
    inside them from frame to frame."""
    levels: int = 2
    """Pyramid levels above the image's own."""
    anchor_patch: int = 9
    """Side of the patch that a corner is aligned to, pixels, odd."""
    min_correlation: float = 0.7
    """Least correlation of a corner's patch with that of its anchor frame."""
    max_correction: float = 1.5
    """Greatest distance between a corner's position by tracking and by its anchor's patch,
    pixels."""
    robust_threshold: float = 1.0
    """Threshold of Cauchy's norm for reprojection errors, in standard deviations."""
    robust_depth: float = 2.5
    """Threshold of Cauchy's norm for inverse depths, in standard deviations."""
    noise_floor: float = 0.1
    """Least standard deviation of a corner's position, pixels."""
    inlier_deviations: float = 3.0
    """Greatest reprojection error of an inlier, in standard deviations times `robust_threshold`;
    other tracks are dropped."""
    depth_near: float = 0.3
    """Standard deviation of predicted inverse depth, as a share."""
    depth_far: float = 0.6
    """Standard deviation added to it, in squares, as a share of the median inverse depth."""
    depth_unknown: float = 1.0
    """Standard deviation of inverse depth where none is predicted, as a share of the median."""
    forgetting: float = 0.07
    """Standard deviation that a step adds to an inverse depth, as a share: Lucas-Kanade's errors
    repeat themselves from step to step."""
    pull: float = 0.01
    """Share by which a frame's predicted depth changes the scale of all tracks."""
    min_points: int = 40
    """Least number of tracked points for a motion."""
    min_inliers: float = 0.4
    """Least weighted share of inliers for a motion."""
    settled_steps: int = 8
    """Age, in steps as an inlier, from which a corner has full weight when corners disagree."""
    newcomer: float = 0.02
    """Weight of a corner of age 0 when corners disagree."""
    agreement_pixels: float = 0.3
    """Reprojection error of a corner that agrees well: of two hypotheses of a step, the one is
    taken that more corners agree with."""
    guess_pixels: float = 1.5
    """Median distance in the image between the prior's motion and the last step's, from which the
    last step's is a second hypothesis."""
    correlated_points: float = 10.0
    """Number of points that err together as one."""

    def __post_init__(self) -> None:
        for name in ("points", "patch", "min_points", "settled_steps"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in (
            "robust_threshold",
            "robust_depth",
            "noise_floor",
            "correlated_points",
            "max_correction",
            "distance",
            "depth_unknown",
            "depth_near",
            "newcomer",
        ):
            if not getattr(self, name) > 0:
                raise InputError(f"{name} must be positive, got {getattr(self, name)}")
