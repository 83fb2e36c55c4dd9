"""From measurements, frame by frame, to a scale that changes slowly, says how sure it is and
grows old."""

import math
from collections import deque
from dataclasses import dataclass

import numpy as np

from sfm_odometry.scale.estimate import ScaleEstimate
from sfm_odometry.tracking.noise_model import UNKNOWN_SCALE

MAX_CHANGE = 0.02
"""One frame changes an agreed scale by no more than this share: it rolls, it does not jump."""
MAX_SIGMA = 0.2
"""A scale less sure than this is not called metric."""
FLOOR_SIGMA = 0.02
"""What no measurement sees: the camera's height or the wheels' radius as given, a load that
presses the springs."""
STALE_AFTER_S = 30.0
"""After so long on the move without a measurement the scale is not called metric any more."""
SIGMA_A_ROOT_SECOND = 0.03
"""Growth of the uncertainty with the square root of that time."""


@dataclass(frozen=True)
class Measured:
    """What a source makes of its measurements so far: the value's logarithm, its standard
    deviation, and whether enough of them agree."""

    log_value: float
    sigma: float
    agreed: bool
    reason: str = ""
    """Why not yet."""


class SlowScale:
    """The scale as a slowly varying state.

    Until enough measurements agree it follows the first few as they come, not metric; from then on
    it rolls after them. Poses are chained from scaled steps, so neither moves a pose that was
    handed out.
    """

    def __init__(self, source: str, waiting_for: str) -> None:
        """source: the name for the status; waiting_for: why there is no scale before the first
        measurement."""
        self._source, self._waiting_for = source, waiting_for
        self.reset()

    def reset(self) -> None:
        """Forget the scale."""
        self._newest: Measured | None = None
        self._missed = ""
        self._log_value, self._sigma = 0.0, UNKNOWN_SCALE
        self._measured_ns = 0
        self._agreed = False

    def follow(self, stamp_ns: int, measured: Measured) -> None:
        """Roll towards the newest measurement."""
        self._newest = measured
        if self._agreed and not measured.agreed:
            return
        change = measured.log_value - self._log_value
        if self._agreed:
            change = min(max(change, -MAX_CHANGE), MAX_CHANGE)
        self._log_value += change
        self._sigma = math.hypot(measured.sigma, measured.log_value - self._log_value)
        self._agreed |= measured.agreed
        self._measured_ns, self._missed = stamp_ns, ""

    def miss(self, reason: str) -> None:
        """Nothing could be measured, for a reason that the status says where it lasts."""
        self._missed = reason

    def hold(self, duration_ns: int) -> None:
        """The camera stood for so long: nothing was learned, and nothing got old."""
        self._measured_ns += duration_ns

    def estimate(self, stamp_ns: int) -> ScaleEstimate:
        """The scale at a time; uncertainty grows while nothing is measured."""
        age_s = max(stamp_ns - self._measured_ns, 0) / 1e9
        sigma = min(
            math.hypot(FLOOR_SIGMA, self._sigma, SIGMA_A_ROOT_SECOND * math.sqrt(age_s)),
            UNKNOWN_SCALE,
        )
        reason = self._doubt(age_s, sigma)
        return ScaleEstimate(
            math.exp(self._log_value),
            UNKNOWN_SCALE if reason else sigma,
            not reason,
            self._source,
            reason,
        )

    def _doubt(self, age_s: float, sigma: float) -> str:
        """Why the scale is not metric, or nothing."""
        if self._newest is None:
            return self._missed or self._waiting_for
        if not self._agreed:
            return self._newest.reason
        if age_s > STALE_AFTER_S:
            return f"nothing measured for {age_s:.0f} s: {self._missed or self._newest.reason or 'no input'}"
        return (
            f"uncertain by {sigma:.0%}, expected at most {MAX_SIGMA:.0%}"
            if sigma > MAX_SIGMA
            else ""
        )


class TemporalMedian:
    """The median of the last measurements of a logarithm, which outliers do not move."""

    def __init__(self, window: int, fewest: int) -> None:
        """window: how many measurements count; fewest: how many must be there before they can
        agree."""
        self._fewest = fewest
        self._values: deque[tuple[float, float]] = deque(maxlen=window)

    def reset(self) -> None:
        """Forget them."""
        self._values.clear()

    def add(self, log_value: float, sigma: float) -> Measured:
        """Take one, of a standard deviation; returns what they say together.

        Errors of neighbouring frames have common causes, so neither the single sigma nor the spread
        is divided by the count.
        """
        self._values.append((log_value, sigma))
        values, sigmas = np.array(self._values).T
        median = float(np.median(values))
        spread = 1.4826 * float(np.median(np.abs(values - median)))
        sigma = math.hypot(spread, float(np.median(sigmas)))
        if len(values) < self._fewest:
            return Measured(
                median,
                sigma,
                False,
                f"{len(values)} measurements, expected at least {self._fewest}",
            )
        reason = (
            ""
            if sigma <= MAX_SIGMA
            else f"measurements are uncertain by {sigma:.0%}, expected at most {MAX_SIGMA:.0%}"
        )
        return Measured(median, sigma, not reason, reason)
