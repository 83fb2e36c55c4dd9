"""Smoothing of scale measurements: a scale that changes slowly, with its uncertainty and age."""

import math
from collections import deque
from dataclasses import dataclass

import numpy as np

from sfm_odometry.scale.estimate import ScaleEstimate
from sfm_odometry.tracking.noise_model import UNKNOWN_SCALE

MAX_CHANGE = 0.02
"""Largest change of the scale's logarithm by one frame, once measurements agree: it does not
jump."""
MAX_SIGMA = 0.2
"""Relative standard deviation up to which a scale is called metric."""
MIN_SIGMA = 0.02
"""Uncertainty that no measurement shows: the camera's height or the wheels' radius as configured, a
load that presses the springs."""
MAX_AGE_S = 30.0
"""Time on the move without a measurement after which the scale is no longer called metric."""
SIGMA_PER_ROOT_SECOND = 0.03
"""Growth of the uncertainty with the square root of that time."""


@dataclass(frozen=True)
class ScaleMeasurement:
    """Scale by the measurements of a source so far."""

    log_value: float
    """Logarithm of the scale."""
    sigma: float
    """Standard deviation of the logarithm."""
    agreed: bool
    """Whether enough measurements agree."""
    reason: str = ""
    """Reason for not agreeing; empty if they do."""


class SmoothedScale:
    """Scale as a slowly varying state.

    Until enough measurements agree it equals the newest one and is not metric; from then on its
    rate of change is limited. Poses are chained from scaled steps, so neither moves a pose that was
    already published.
    """

    def __init__(self, source: str, initial_reason: str) -> None:
        """source: name in the estimates; initial_reason: reason before the first measurement."""
        self._source = source
        self._initial_reason = initial_reason
        self.reset()

    def reset(self) -> None:
        """Discards the scale."""
        self._newest: ScaleMeasurement | None = None
        self._failure = ""
        self._log_value = 0.0
        self._sigma = UNKNOWN_SCALE
        self._measured_ns = 0
        self._agreed = False

    def update(self, stamp_ns: int, measurement: ScaleMeasurement) -> None:
        """Moves the scale towards the newest measurement."""
        self._newest = measurement
        if self._agreed and not measurement.agreed:
            return
        change = measurement.log_value - self._log_value
        if self._agreed:
            change = min(max(change, -MAX_CHANGE), MAX_CHANGE)
        self._log_value += change
        self._sigma = math.hypot(measurement.sigma, measurement.log_value - self._log_value)
        self._agreed |= measurement.agreed
        self._measured_ns = stamp_ns
        self._failure = ""

    def report_failure(self, reason: str) -> None:
        """Records the reason of a failed measurement, for the estimate if failures last."""
        self._failure = reason

    def skip_standstill(self, duration_ns: int) -> None:
        """Excludes a time in which the camera stood from the age of the scale."""
        self._measured_ns += duration_ns

    def estimate(self, stamp_ns: int) -> ScaleEstimate:
        """Returns the scale at a time; its uncertainty grows without measurements."""
        age_s = max(stamp_ns - self._measured_ns, 0) / 1e9
        sigma = min(
            math.hypot(MIN_SIGMA, self._sigma, SIGMA_PER_ROOT_SECOND * math.sqrt(age_s)),
            UNKNOWN_SCALE,
        )
        reason = self._reason_not_metric(age_s, sigma)
        return ScaleEstimate(
            value=math.exp(self._log_value),
            relative_sigma=UNKNOWN_SCALE if reason else sigma,
            is_metric=not reason,
            source=self._source,
            reason=reason,
        )

    def _reason_not_metric(self, age_s: float, sigma: float) -> str:
        """Reason for which the scale is not metric; empty if it is."""
        if self._newest is None:
            return self._failure or self._initial_reason
        if not self._agreed:
            return self._newest.reason
        if age_s > MAX_AGE_S:
            cause = self._failure or self._newest.reason or "no input"
            return f"nothing measured for {age_s:.0f} s: {cause}"
        return (
            f"uncertain by {sigma:.0%}, expected at most {MAX_SIGMA:.0%}"
            if sigma > MAX_SIGMA
            else ""
        )


class TemporalMedian:
    """Median of the last measurements of a logarithm, robust against outliers."""

    def __init__(self, window: int, min_count: int) -> None:
        """window: number of measurements in the median; min_count: number required to agree."""
        self._min_count = min_count
        self._values: deque[tuple[float, float]] = deque(maxlen=window)

    def reset(self) -> None:
        """Discards all measurements."""
        self._values.clear()

    def add(self, log_value: float, sigma: float) -> ScaleMeasurement:
        """Adds a measurement with its standard deviation; returns the median.

        Errors of neighbouring frames have common causes, so neither the single sigma nor the spread
        is divided by the count.
        """
        # Combine the last measurements.
        self._values.append((log_value, sigma))
        values, sigmas = np.array(self._values).T
        median = float(np.median(values))
        spread = 1.4826 * float(np.median(np.abs(values - median)))
        sigma = math.hypot(spread, float(np.median(sigmas)))
        # Check that they are enough and agree.
        reason = ""
        if len(values) < self._min_count:
            reason = f"{len(values)} measurements, expected at least {self._min_count}"
        elif not sigma <= MAX_SIGMA:
            reason = f"measurements are uncertain by {sigma:.0%}, expected at most {MAX_SIGMA:.0%}"
        return ScaleMeasurement(median, sigma, agreed=not reason, reason=reason)
