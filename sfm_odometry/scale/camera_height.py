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
from sfm_odometry.scale.smoothing import SmoothedScale, TemporalMedian

WINDOW = 15
"""Frames of the temporal median: the model's unit changes within tens of frames, and a longer
median would lag."""
MIN_MEASUREMENTS = 10
"""Frames with a measured ground plane before their median is used."""


class CameraHeightScale(ScaleSource):
    """Scale as the camera's height in metres over its height in the model's unit.

    The latter is measured in each frame on the ground plane. The plane is found in the predicted
    depth and then aligned to the images with the refined motion: the scale is the translation's.
    """

    def __init__(self, height_m: float, config: GroundConfig | None = None) -> None:
        """height_m: height of the camera's optical centre over the ground that it drives on."""
        self._height_m = height_m
        self._config = config or GroundConfig()
        self._down = DOWN
        self._region: tuple[tuple[object, ...], GroundRegion] | None = None
        self._median = TemporalMedian(WINDOW, MIN_MEASUREMENTS)
        self._scale = SmoothedScale("camera_height", "no ground seen yet")
        self._newest: FramePair | None = None

    def set_gravity_direction(self, down: np.ndarray) -> None:
        """Sets the downward direction (3,) in the camera's axes; until then it is level."""
        self._down = np.asarray(down, dtype=np.float64) / np.linalg.norm(down)

    def observe(self, pair: FramePair) -> None:
        """Measures the camera's height on the previous pair of frames, whose depth is known now."""
        previous = self._newest
        self._newest = pair
        if previous is None:
            return
        try:
            log_value, sigma = self._measure(previous)
        except NoGround as reason:
            self._scale.report_failure(str(reason))
            if isinstance(reason, NoParallax):
                self._scale.skip_standstill(previous.end_ns - previous.start_ns)
            return
        self._scale.update(previous.end_ns, self._median.add(log_value, sigma))

    def estimate(self, stamp_ns: int) -> ScaleEstimate:
        """Returns the scale at a time."""
        return self._scale.estimate(stamp_ns)

    def reset(self) -> None:
        """Discards all measurements."""
        self._median.reset()
        self._scale.reset()
        self._newest = None

    def _measure(self, pair: FramePair) -> tuple[float, float]:
        """Logarithm of the scale by a pair of frames, and its standard deviation."""
        depth = pair.current.depth
        region = self._region_of(pair.intrinsics, depth.shape)
        depth_plane = fit_ground(depth, region, self._config)
        plane = align_ground(
            previous=pair.previous.grey,
            current=pair.current.grey,
            previous_from_current=pair.previous_from_current,
            intrinsics=pair.intrinsics,
            region=region,
            depth_plane=depth_plane,
            config=self._config,
        )
        return math.log(self._height_m / plane.height), plane.relative_sigma

    def _region_of(self, intrinsics: np.ndarray, shape: tuple[int, ...]) -> GroundRegion:
        """Returns the ground's region, computed again only for another camera or direction."""
        key = (shape, intrinsics.tobytes(), self._down.tobytes())
        if self._region is None or self._region[0] != key:
            self._region = (
                key,
                ground_region(intrinsics, (shape[1], shape[0]), self._down, self._config),
            )
        return self._region[1]
