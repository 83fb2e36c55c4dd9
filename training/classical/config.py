"""The parameters of the classical odometry."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ClassicalConfig:
    """Lengths in pixels are those of the image that is given."""

    features: int = 1000
    """Most tracks at a time."""
    corners_across: float = 120.0
    """Corners are at least a width of the image over this apart."""
    corner_quality: float = 0.001
    """Weakest corner, as a share of the strongest one's response."""
    window_pixels: int = 7
    """Side of the square that is compared when a corner is followed. In a larger one the road
    stretches as it comes near, which biases the motion."""
    pyramid_levels: int = 5
    forward_backward_pixels: float = 0.5
    """A track that is followed back must return to where it was by less than this."""
    epipolar_pixels: float = 0.3
    """Distance to the epipolar line up to which a track supports a motion."""
    confidence: float = 0.9999
    """Of RANSAC: that a sample without outliers was among those tried."""
    min_tracks: int = 20
    """Fewer tracks, or supporters of a motion, do not determine one."""
    still_pixels: float = 0.2
    """The camera stands where more than half of the tracks move by less."""
    min_parallax_pixels: float = 0.3
    """Points that move less, once the rotation is taken out, do not tell their depth."""
    min_depth_ratios: int = 10
    """Fewer points of known depth in two motions do not tell their relative length."""
    max_length_ratio: float = 2.0
    """Neighbouring steps whose lengths differ by more are not believed."""
    history: int = 3
    """A point's depth is known from the oldest of so many frames up to the previous one that saw
    it; 2 = the one before."""
