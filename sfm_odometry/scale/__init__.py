"""Metric scale: one factor for depth and translation, from the source that the user selects."""

from sfm_odometry.scale.camera_height import CameraHeightScale
from sfm_odometry.scale.estimate import ConstantScale, FramePair, ScaleEstimate, ScaleSource
from sfm_odometry.scale.ground_hold import GroundHold
from sfm_odometry.scale.speed import SpeedScale

SCALE_HOLDS = ("auto", "off")
SCALE_MODES = ("none", "fixed", "camera_height", "odometry", "twist")

__all__ = [
    "SCALE_HOLDS",
    "SCALE_MODES",
    "FramePair",
    "ScaleEstimate",
    "ScaleSource",
    "scale_source",
]


def scale_source(mode: str, value: float, camera_height_m: float, hold: str = "off") -> ScaleSource:
    """Create the scale source of a mode, one of SCALE_MODES.

    hold: one of SCALE_HOLDS; auto keeps an unmeasured scale constant by the height over the ground.
    """
    if mode == "camera_height":
        return CameraHeightScale(camera_height_m)
    if mode in ("odometry", "twist"):
        return SpeedScale(mode)
    constant = ConstantScale.fixed(value) if mode == "fixed" else ConstantScale.unknown()
    return GroundHold(constant) if hold == "auto" else constant
