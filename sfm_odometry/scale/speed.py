"""Scale from the speed measured by wheels or another sensor."""

import math
from bisect import bisect_right
from collections import deque

import numpy as np

from sfm_odometry.scale.estimate import FramePair, ScaleEstimate, ScaleSource
from sfm_odometry.scale.smoothing import MAX_SIGMA, ScaleMeasurement, SmoothedScale
from sfm_odometry.tracking.window import CLOCK_JUMP_NS

BUFFER_S = 30.0
"""Time for which speeds, and steps that wait for speeds, are kept."""
MAX_SPEED_GAP_S = 0.5
"""Largest gap between two speeds over which they are interpolated."""
MAX_DELAY_S = 1.0
"""Delay of speeds behind the images of their time after which they are reported as missing."""
WINDOW_S = 2.0
"""Time of the steps in a fit; the model's unit changes over longer times."""
MIN_STEPS = 10
"""Steps on the move that the window must hold."""
MIN_SPEED_MPS = 0.05
"""Speed below which the camera stands: its steps are noise."""
FIT_ITERATIONS = 5
"""Iterations of the robust fit."""


class SpeedBuffer:
    """Speeds by stamp, interpolated linearly and integrated over time."""

    def __init__(self) -> None:
        self._stamps_ns: list[int] = []
        self._speeds: list[float] = []

    @property
    def newest_ns(self) -> int | None:
        """Stamp of the newest speed; None without speeds."""
        return self._stamps_ns[-1] if self._stamps_ns else None

    def add(self, stamp_ns: int, speed_mps: float) -> None:
        """Adds the magnitude of a speed; ignores one that is not finite or not newer than the last.

        Stamps that jump back further than those of a late message are of another clock: the buffer
        is cleared first.
        """
        if self._stamps_ns and stamp_ns <= self._stamps_ns[-1] - CLOCK_JUMP_NS:
            self.clear()
        if not math.isfinite(speed_mps) or (self._stamps_ns and stamp_ns <= self._stamps_ns[-1]):
            return
        self._stamps_ns.append(stamp_ns)
        self._speeds.append(abs(speed_mps))
        old = bisect_right(self._stamps_ns, stamp_ns - round(BUFFER_S * 1e9))
        del self._stamps_ns[:old], self._speeds[:old]

    def clear(self) -> None:
        """Discards all speeds."""
        self._stamps_ns.clear()
        self._speeds.clear()

    def distance(self, start_ns: int, end_ns: int) -> float | None:
        """Distance in metres from one time to a later one.

        None where the speeds do not cover the time without a gap.
        """
        # Find the speeds that cover the time.
        first = bisect_right(self._stamps_ns, start_ns) - 1
        last = bisect_right(self._stamps_ns, end_ns - 1)
        if first < 0 or last >= len(self._stamps_ns):
            return None
        seconds = (np.array(self._stamps_ns[first : last + 1]) - start_ns) / 1e9
        if np.diff(seconds).max(initial=0.0) > MAX_SPEED_GAP_S:
            return None
        # Integrate them by the trapezoidal rule.
        speeds = np.array(self._speeds[first : last + 1])
        end_s = (end_ns - start_ns) / 1e9
        nodes = np.concatenate([[0.0], seconds[(seconds > 0.0) & (seconds < end_s)], [end_s]])
        values = np.interp(nodes, seconds, speeds)
        return float(((values[1:] + values[:-1]) / 2 * np.diff(nodes)).sum())


class SpeedScale(ScaleSource):
    """Scale as distances by the speeds over lengths by the camera.

    It is fitted by robust least squares over the last seconds. Speeds may arrive later than the
    images of their time: a step waits for them.
    """

    def __init__(self, source: str) -> None:
        """source: odometry or twist, the name in the estimates."""
        self._speeds = SpeedBuffer()
        self._pending: deque[tuple[int, int, float]] = deque()
        """Steps that wait for speeds: start_ns, end_ns, length."""
        self._steps: deque[tuple[int, float, float]] = deque()
        """Steps in the window: end_ns, length, distance in metres."""
        self._scale = SmoothedScale(source, f"no speed on the move yet (scale.mode {source})")

    def add_speed(self, stamp_ns: int, speed_mps: float) -> None:
        """Adds a speed of the camera."""
        self._speeds.add(stamp_ns, speed_mps)

    def observe(self, pair: FramePair) -> None:
        """Adds the step of a pair of frames; it is used once the speeds of its time arrive."""
        self._pending.append((pair.start_ns, pair.end_ns, pair.length))
        self._process_pending()
        if self._pending:
            delay_ns = pair.end_ns - self._pending[0][0]
            if delay_ns > MAX_DELAY_S * 1e9:
                self._scale.report_failure(f"no speed for the last {delay_ns / 1e9:.0f} s of steps")

    def estimate(self, stamp_ns: int) -> ScaleEstimate:
        """Returns the scale at a time."""
        self._process_pending()
        return self._scale.estimate(stamp_ns)

    def reset(self) -> None:
        """Discards all measurements."""
        self._speeds.clear()
        self._pending.clear()
        self._steps.clear()
        self._scale.reset()

    def _process_pending(self) -> None:
        """Uses the steps whose time the speeds cover by now; drops those that they never will."""
        newest_ns = self._speeds.newest_ns
        while newest_ns is not None and self._pending and self._pending[0][1] <= newest_ns:
            start_ns, end_ns, length = self._pending.popleft()
            metres = self._speeds.distance(start_ns, end_ns)
            if metres is None:
                self._scale.report_failure(f"the speeds leave a hole before {end_ns / 1e9:.1f} s")
            else:
                self._update(start_ns, end_ns, length, metres)
        while self._pending and self._pending[-1][1] - self._pending[0][1] > BUFFER_S * 1e9:
            self._pending.popleft()

    def _update(self, start_ns: int, end_ns: int, length: float, metres: float) -> None:
        """Updates the scale with a step of known distance."""
        if metres < MIN_SPEED_MPS * (end_ns - start_ns) / 1e9:
            self._scale.skip_standstill(end_ns - start_ns)
            return
        self._steps.append((end_ns, length, metres))
        while self._steps[0][0] < end_ns - WINDOW_S * 1e9:
            self._steps.popleft()
        _, lengths, distances = np.array(self._steps, dtype=np.float64).T
        if lengths.any():
            self._scale.update(end_ns, fit_scale(lengths, distances))


def fit_scale(lengths: np.ndarray, metres: np.ndarray) -> ScaleMeasurement:
    """Scale s that minimises the robust sum over (s length - metres) of steps (N,), N >= 1.

    Least squares with Tukey's weights, started at the median of the ratios: steps where a wheel
    slips or the camera is lost have no weight. The standard deviation is that of the single steps'
    lengths, not divided by their number: the model's unit changes from step to step, and that is
    what the residuals show.
    """
    # Start at the median of the ratios.
    valid = lengths > 0.0
    scale = max(float(np.median(metres[valid] / lengths[valid])), 1e-9)
    # Iteratively reweighted least squares.
    weights = np.ones_like(lengths)
    for _ in range(FIT_ITERATIONS):
        residuals = metres - scale * lengths
        width = 4.685 * max(
            1.4826 * float(np.median(np.abs(residuals))), 0.01 * float(metres.mean())
        )
        weights = np.clip(1.0 - (residuals / width) ** 2, 0.0, None) ** 2
        scale = float((weights * lengths * metres).sum() / max((weights * lengths**2).sum(), 1e-12))
    # Relative standard deviation of the steps.
    squares = float((weights * (metres - scale * lengths) ** 2).sum())
    sigma = math.sqrt(squares / max(float((weights * (scale * lengths) ** 2).sum()), 1e-12))
    return _measurement(scale, sigma, int((weights > 0.0).sum()))


def _measurement(scale: float, sigma: float, inliers: int) -> ScaleMeasurement:
    reason = ""
    if inliers < MIN_STEPS:
        reason = f"{inliers} steps on the move agree with the speed, expected at least {MIN_STEPS}"
    elif not sigma <= MAX_SIGMA:
        reason = f"steps and speed disagree by {sigma:.0%}, expected at most {MAX_SIGMA:.0%}"
    return ScaleMeasurement(math.log(max(scale, 1e-9)), sigma, agreed=not reason, reason=reason)
