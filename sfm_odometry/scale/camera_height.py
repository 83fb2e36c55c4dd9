"""Scale from the known height of the camera over the ground."""

import math

import numpy as np

from sfm_odometry.scale.estimate import FramePair, ScaleEstimate, ScaleSource
from sfm_odometry.scale.ground import GroundConfig, NoGround, NoParallax
from sfm_odometry.scale.ground_height import GroundHeightMeter
from sfm_odometry.scale.smoothing import SmoothedScale, TemporalMedian

WINDOW = 15
"""Frames of the temporal median: the model's unit changes within tens of frames, and a longer
median would lag."""
MIN_MEASUREMENTS = 10
"""Frames with a measured ground plane before their median is used."""


class CameraHeightScale(ScaleSource):
    """Scale as the camera's height in metres over its height in the model's unit.

    The latter is measured on the ground plane (:class:`GroundHeightMeter`).
    """

    def __init__(self, height_m: float, config: GroundConfig | None = None) -> None:
        """height_m: height of the camera's optical centre over the ground that it drives on."""
        self._height_m = height_m
        self._meter = GroundHeightMeter(config)
        self._median = TemporalMedian(WINDOW, MIN_MEASUREMENTS)
        self._scale = SmoothedScale("camera_height", "no ground seen yet")

    def set_gravity_direction(self, down: np.ndarray) -> None:
        """Set the downward direction (3,) in the camera's axes; until then it is level."""
        self._meter.set_gravity_direction(down)

    @property
    def needs_depth(self) -> bool:
        """True: the height is measured in every frame."""
        return True

    def observe(self, pair: FramePair) -> None:
        """Measure the camera's height on the frames before this pair, whose depth is known."""
        try:
            measured = self._meter.observe(pair)
        except NoGround as reason:
            self._scale.report_failure(str(reason))
            if isinstance(reason, NoParallax):
                self._scale.skip_standstill(pair.end_ns - pair.start_ns)
            return
        if measured is not None:
            log_scale = math.log(self._height_m) - measured.log_height
            median = self._median.add(log_scale, measured.relative_sigma)
            self._scale.update(measured.stamp_ns, median)

    def estimate(self, stamp_ns: int) -> ScaleEstimate:
        """Scale at a time."""
        return self._scale.estimate(stamp_ns)

    def reset(self) -> None:
        """Forget all measurements."""
        self._median.reset()
        self._scale.reset()
        self._meter.reset()
