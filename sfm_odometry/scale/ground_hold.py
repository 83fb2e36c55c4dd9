"""Hold of the scale by the ground: the camera's height is constant, even where it is unknown.

Monocular odometry drifts in scale: its unit of length changes by some per cent within tens of
frames. The height of a vehicle's camera over the road does not. The height, measured in the
drifting unit, is compared with its value at the start, and their ratio takes the drift back.
"""

import math
from collections import deque

import numpy as np

from sfm_odometry.scale.estimate import FramePair, ScaleEstimate, ScaleSource
from sfm_odometry.scale.ground import GroundConfig, NoGround
from sfm_odometry.scale.ground_height import GroundHeightMeter, HeightMeasurement
from sfm_odometry.scale.smoothing import TemporalMedian

STRIDE = 3
"""Frames between two measurements: their costs are shared, and their parallax is larger."""
WINDOW = 3
"""Measurements of the temporal median."""
MIN_MEASUREMENTS = 3
"""Measurements before their median is used."""
MAX_SIGMA = 0.08
"""Largest relative standard deviation of a height that is used: beyond it the images say little,
and the height is that of the predicted depth."""
MAX_ROAD_CLIMB = 0.02
"""Share of the motion along the ground's normal, in the median over CLIMBS measurements, up to
which heights are used. On roads it is 0.005 to 0.015; where the predicted depth is poor, so is the
plane that starts from it, and it lies askew to the motion."""
CLIMBS = 45
"""Measurements of that median: a bump or a turn of the road does not change it."""
MAX_CLIMB = 0.06
"""Share of the motion along the ground's normal, in the median, up to which the camera is taken to
drive: a hand-held or flying camera has no constant height."""
MAX_JUMP = 0.25
"""Change of the height's logarithm beyond which another plane is seen: a kerb, a table, a roof."""
MAX_JUMPS = 10
"""Such measurements in a row after which the new plane is the ground."""
MIN_GAIN = 0.05
MAX_GAIN = 0.3
GAIN_GROWTH = 0.2
FULL_DEVIATION = 0.03
"""Share of the deviation from the median that a frame corrects: small for deviations within the
measurements' noise, which would jerk the path, and growing with the square of the deviation."""


class GroundHold(ScaleSource):
    """Keeps another source's scale constant by the camera's height over the ground.

    The factor starts at 1 and changes only while a ground plane is seen below a camera that drives:
    without one (a room, a drone) the scale is the other source's alone.
    """

    def __init__(self, source: ScaleSource, config: GroundConfig | None = None) -> None:
        """source: of the scale at the start of the drive."""
        self._source = source
        self._meter = GroundHeightMeter(config, STRIDE, known_depth_only=True)
        self._median = TemporalMedian(WINDOW, MIN_MEASUREMENTS)
        self._start()

    def _start(self) -> None:
        self._log_factor = 0.0
        self._log_target = 0.0
        self._log_reference: float | None = None
        self._jumps = 0
        self._climbs: deque[float] = deque(maxlen=CLIMBS)

    @property
    def factor(self) -> float:
        """Factor that takes the drift since the start of the drive back."""
        return math.exp(self._log_factor)

    def set_gravity_direction(self, down: np.ndarray) -> None:
        """Set the downward direction (3,) in the camera's axes; until then it is level."""
        self._meter.set_gravity_direction(down)
        self._source.set_gravity_direction(down)

    def add_speed(self, stamp_ns: int, speed_mps: float) -> None:
        """Add a speed for the other source."""
        self._source.add_speed(stamp_ns, speed_mps)

    def observe(self, pair: FramePair) -> None:
        """Measure the height of the camera, and follow its change in the motion's unit."""
        self._source.observe(pair)
        self._follow()
        try:
            measured = self._meter.observe(pair)
        except NoGround:
            return
        if measured is not None:
            self._update(measured)

    def _update(self, measured: HeightMeasurement) -> None:
        if measured.relative_sigma > MAX_SIGMA:
            return
        # A camera that climbs has no constant height.
        if measured.median_climb > MAX_CLIMB:
            self._release()
            return
        self._climbs.append(measured.median_climb)
        if np.median(self._climbs) > MAX_ROAD_CLIMB:
            return
        # Another plane than the ground changes the height at once.
        expected = None if self._log_reference is None else self._log_reference - self._log_factor
        if expected is not None and abs(measured.log_height - expected) > MAX_JUMP:
            self._jumps += 1
            if self._jumps > MAX_JUMPS:
                self._release()
            return
        self._jumps = 0
        # Follow the median of the measurements that are left.
        median = self._median.add(measured.log_height, measured.relative_sigma)
        if not median.agreed:
            return
        if self._log_reference is None:
            self._log_reference = median.log_value + self._log_factor
        self._log_target = self._log_reference - median.log_value

    def _follow(self) -> None:
        """Move the factor towards its newest measurement by one frame."""
        deviation = self._log_target - self._log_factor
        gain = min(MIN_GAIN + GAIN_GROWTH * (deviation / FULL_DEVIATION) ** 2, MAX_GAIN)
        self._log_factor += gain * deviation

    def _release(self) -> None:
        """Keep the factor, and take the height of the next plane as the new reference."""
        self._log_reference = None
        self._log_target = self._log_factor
        self._jumps = 0
        self._median.reset()

    def estimate(self, stamp_ns: int) -> ScaleEstimate:
        """Scale of the other source, corrected for the drift."""
        estimate = self._source.estimate(stamp_ns)
        return ScaleEstimate(
            value=estimate.value * self.factor,
            relative_sigma=estimate.relative_sigma,
            is_metric=estimate.is_metric,
            source=estimate.source,
            reason=estimate.reason,
        )

    def reset(self) -> None:
        """Forget all measurements; the factor is 1 again."""
        self._source.reset()
        self._meter.reset()
        self._median.reset()
        self._start()
