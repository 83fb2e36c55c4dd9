"""Parameters of the classical odometry."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ClassicalConfig:
    """Parameters of tracking and motion estimation; lengths in pixels of the input image."""

    features: int = 1000
    """Maximum number of tracks at a time."""
    corners_across: float = 120.0
    """Minimum distance of corners, as the number of such distances in the image's width."""
    corner_quality: float = 0.001
    """Minimum response of a corner, as a share of the strongest one's."""
    window_pixels: int = 7
    """Side of the square window of Lucas and Kanade's method. In a larger one the road stretches
    as it comes near, which biases the motion."""
    pyramid_levels: int = 5
    forward_backward_pixels: float = 0.5
    """Maximum forward-backward error of a track."""
    epipolar_pixels: float = 0.3
    """Maximum distance to the epipolar line of an inlier."""
    confidence: float = 0.9999
    """Confidence of RANSAC: probability that a sample without outliers was tried."""
    min_tracks: int = 20
    """Minimum number of tracks, and of inliers, to estimate a motion."""
    still_pixels: float = 0.2
    """Median displacement of the tracks below which the camera stands still; the same after the
    rotation is removed: below it the camera turns in place."""
    min_parallax_pixels: float = 0.3
    """Minimum displacement of a point, after removing the rotation, to triangulate it."""
    min_depth_ratios: int = 10
    """Minimum number of points triangulated in two motions to estimate their relative length."""
    max_length_ratio: float = 2.0
    """Maximum ratio of the lengths of neighbouring steps; estimates beyond it are rejected."""
    history: int = 3
    """Number of frames before the current one that are kept. A point is triangulated from the
    oldest of them in which it was tracked to the previous one; 2 = from the one before that."""
