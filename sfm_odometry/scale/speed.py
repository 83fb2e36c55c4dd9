"""Scale from the speed that wheels or another sensor measure."""

import math
from bisect import bisect_right
from collections import deque

import numpy as np

from sfm_odometry.scale.estimate import FramePair, ScaleEstimate, ScaleSource
from sfm_odometry.scale.smoothing import MAX_SIGMA, Measured, SlowScale
from sfm_odometry.tracking.window import CLOCK_JUMP_NS

KEPT_S = 30.0
"""Speeds are kept so long."""
MAX_SPEED_GAP_S = 0.5
"""Two speeds further apart say nothing about the time between them."""
SILENT_S = 1.0
"""Speeds that come later than this after the images of their time are missed."""
WINDOW_S = 2.0
"""Steps of so long count; the model's unit changes over longer times."""
FEWEST = 10
"""Steps on the move that the window must hold."""
STANDING_MPS = 0.05
"""A slower camera stands: its steps are noise."""


class SpeedBuffer:
    """Speeds by stamp, integrated over time; each is linear between its neighbours."""

    def __init__(self) -> None:
        self._stamps_ns: list[int] = []
        self._speeds: list[float] = []

    @property
    def newest_ns(self) -> int | None:
        """Stamp of the newest speed, or None."""
        return self._stamps_ns[-1] if self._stamps_ns else None

    def add(self, stamp_ns: int, speed_mps: float) -> None:
        """Take a speed, of either sign: only its size counts. One that is not finite or not newer
        than the last is left out.

        Stamps that jump back further than a late message would are those of another clock: the
        buffer starts anew.
        """
        if self._stamps_ns and stamp_ns <= self._stamps_ns[-1] - CLOCK_JUMP_NS:
            self.clear()
        if not math.isfinite(speed_mps) or (self._stamps_ns and stamp_ns <= self._stamps_ns[-1]):
            return
        self._stamps_ns.append(stamp_ns)
        self._speeds.append(abs(speed_mps))
        old = bisect_right(self._stamps_ns, stamp_ns - round(KEPT_S * 1e9))
        del self._stamps_ns[:old], self._speeds[:old]

    def clear(self) -> None:
        """Forget them."""
        self._stamps_ns.clear()
        self._speeds.clear()

    def distance(self, start_ns: int, end_ns: int) -> float | None:
        """Metres from one time to a later one, or None where the speeds do not cover the time
        between without a hole."""
        first, last = (
            bisect_right(self._stamps_ns, start_ns) - 1,
            bisect_right(self._stamps_ns, end_ns - 1),
        )
        if first < 0 or last >= len(self._stamps_ns):
            return None
        seconds = (np.array(self._stamps_ns[first : last + 1]) - start_ns) / 1e9
        if np.diff(seconds).max(initial=0.0) > MAX_SPEED_GAP_S:
            return None
        speeds, end_s = np.array(self._speeds[first : last + 1]), (end_ns - start_ns) / 1e9
        at = np.concatenate([[0.0], seconds[(seconds > 0.0) & (seconds < end_s)], [end_s]])
        values = np.interp(at, seconds, speeds)
        return float(((values[1:] + values[:-1]) / 2 * np.diff(at)).sum())


class SpeedScale(ScaleSource):
    """Metres that the wheels went over lengths that the camera saw, by robust least squares over
    the last seconds.

    Speeds may come later than the images of their time: a step waits until they have.
    """

    def __init__(self, source: str) -> None:
        """source: odometry or twist, for the status."""
        self._speeds = SpeedBuffer()
        self._waiting: deque[tuple[int, int, float]] = deque()
        self._steps: deque[tuple[int, float, float]] = deque()
        self._scale = SlowScale(source, f"no speed on the move yet (scale.mode {source})")

    def add_speed(self, stamp_ns: int, speed_mps: float) -> None:
        """Take the speed of the camera."""
        self._speeds.add(stamp_ns, speed_mps)

    def observe(self, step: FramePair) -> None:
        """Take a step; it counts once the speeds of its time are there."""
        self._waiting.append((step.start_ns, step.end_ns, step.length))
        self._use_waiting()
        if self._waiting and step.end_ns - self._waiting[0][0] > SILENT_S * 1e9:
            self._scale.miss(
                f"no speed for the last {(step.end_ns - self._waiting[0][0]) / 1e9:.0f} s of steps"
            )

    def estimate(self, stamp_ns: int) -> ScaleEstimate:
        """The scale at a time."""
        self._use_waiting()
        return self._scale.estimate(stamp_ns)

    def reset(self) -> None:
        """Forget what was measured."""
        self._speeds.clear()
        self._waiting.clear()
        self._steps.clear()
        self._scale.reset()

    def _use_waiting(self) -> None:
        """Compare the steps whose time the speeds cover by now; those that they never will are
        left out."""
        newest_ns = self._speeds.newest_ns
        while newest_ns is not None and self._waiting and self._waiting[0][1] <= newest_ns:
            start_ns, end_ns, length = self._waiting.popleft()
            metres = self._speeds.distance(start_ns, end_ns)
            if metres is None:
                self._scale.miss(f"the speeds leave a hole before {end_ns / 1e9:.1f} s")
            else:
                self._compare(start_ns, end_ns, length, metres)
        while self._waiting and self._waiting[-1][1] - self._waiting[0][1] > KEPT_S * 1e9:
            self._waiting.popleft()

    def _compare(self, start_ns: int, end_ns: int, length: float, metres: float) -> None:
        if metres < STANDING_MPS * (end_ns - start_ns) / 1e9:
            self._scale.hold(end_ns - start_ns)
            return
        self._steps.append((end_ns, length, metres))
        while self._steps[0][0] < end_ns - WINDOW_S * 1e9:
            self._steps.popleft()
        _, lengths, distances = np.array(self._steps, dtype=np.float64).T
        if lengths.any():
            self._scale.follow(end_ns, fit_scale(lengths, distances))


def fit_scale(lengths: np.ndarray, metres: np.ndarray) -> Measured:
    """The s that minimises the robust sum over (s length - metres) of steps (N,), least squares
    with Tukey's weights; N >= 1.

    Started at the median of the ratios, so that steps where a wheel slips or the camera is lost
    weigh nothing. The standard deviation is that of the steps' own lengths, not divided by their
    number: the model's unit changes from step to step, and that is what is seen.
    """
    seen = lengths > 0.0
    scale = max(float(np.median(metres[seen] / lengths[seen])), 1e-9)
    weights = np.ones_like(lengths)
    for _ in range(5):
        residuals = metres - scale * lengths
        width = 4.685 * max(
            1.4826 * float(np.median(np.abs(residuals))), 0.01 * float(metres.mean())
        )
        weights = np.clip(1.0 - (residuals / width) ** 2, 0.0, None) ** 2
        scale = float((weights * lengths * metres).sum() / max((weights * lengths**2).sum(), 1e-12))
    squares = float((weights * (metres - scale * lengths) ** 2).sum())
    sigma = math.sqrt(squares / max(float((weights * (scale * lengths) ** 2).sum()), 1e-12))
    return _measured(scale, sigma, int((weights > 0.0).sum()))


def _measured(scale: float, sigma: float, agreeing: int) -> Measured:
    log_value = math.log(max(scale, 1e-9))
    if agreeing < FEWEST:
        return Measured(
            log_value,
            sigma,
            False,
            f"{agreeing} steps on the move agree with the speed, expected at least {FEWEST}",
        )
    reason = (
        ""
        if sigma <= MAX_SIGMA
        else f"steps and speed disagree by {sigma:.0%}, expected at most {MAX_SIGMA:.0%}"
    )
    return Measured(log_value, sigma, not reason, reason)
