"""Scale from the known height of the camera over the ground."""

import math

import numpy as np

from sfm_odometry.scale.estimate import FramePair, ScaleEstimate, ScaleSource
from sfm_odometry.scale.ground import (
    DOWN,
    GroundConfig,
    GroundRegion,
    NoGround,
    NoParallax,
    align_ground,
    fit_ground,
    ground_region,
)
from sfm_odometry.scale.smoothing import SlowScale, TemporalMedian

WINDOW = 15
"""Frames of the temporal median: the model's unit changes within tens of frames, and a longer
median comes too late."""
FEWEST = 10
"""Frames that must have shown the ground before their median is believed."""


class CameraHeightScale(ScaleSource):
    """The height in metres over the height in the model's unit, as each frame's ground plane shows
    it.

    The plane is found in the predicted depth and then fitted to the images with the refined motion:
    so the scale is the translation's.
    """

    def __init__(self, height_m: float, config: GroundConfig | None = None) -> None:
        """height_m: of the camera's optical centre over the ground that it drives on."""
        self._height_m, self._config = height_m, config or GroundConfig()
        self._down = DOWN
        self._region: tuple[tuple[object, ...], GroundRegion] | None = None
        self._median = TemporalMedian(WINDOW, FEWEST)
        self._scale = SlowScale("camera_height", "no ground seen yet")
        self._newest: FramePair | None = None

    def set_gravity_direction(self, down: np.ndarray) -> None:
        """Take where down is in the camera's axes, (3,), as its mount says; until then the
        camera is taken for level."""
        self._down = np.asarray(down, dtype=np.float64) / np.linalg.norm(down)

    def observe(self, step: FramePair) -> None:
        """Measure the camera's height over the ground that the frames of the step before show:
        by now their depth is known."""
        before, self._newest = self._newest, step
        if before is None:
            return
        try:
            log_value, sigma = self._measure(before)
        except NoGround as reason:
            self._scale.miss(str(reason))
            if isinstance(reason, NoParallax):
                self._scale.hold(before.end_ns - before.start_ns)
            return
        self._scale.follow(before.end_ns, self._median.add(log_value, sigma))

    def estimate(self, stamp_ns: int) -> ScaleEstimate:
        """The scale at a time."""
        return self._scale.estimate(stamp_ns)

    def reset(self) -> None:
        """Forget what was measured."""
        self._median.reset()
        self._scale.reset()
        self._newest = None

    def _measure(self, step: FramePair) -> tuple[float, float]:
        """Logarithm of metres in the step's unit, and its standard deviation."""
        depth = step.current.depth
        region = self._region_of(step.intrinsics, depth.shape)
        plane = fit_ground(depth, region, self._config)
        images = step.previous.grey, step.current.grey
        plane = align_ground(
            *images, step.previous_from_current, step.intrinsics, region, plane, self._config
        )
        return math.log(self._height_m / plane.height), plane.relative_sigma

    def _region_of(self, intrinsics: np.ndarray, shape: tuple[int, ...]) -> GroundRegion:
        key = (shape, intrinsics.tobytes(), self._down.tobytes())
        if self._region is None or self._region[0] != key:
            self._region = (
                key,
                ground_region(intrinsics, (shape[1], shape[0]), self._down, self._config),
            )
        return self._region[1]
