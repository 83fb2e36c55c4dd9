"""Comparison of the images' stamps with the node's clock, and with the time between arrivals."""

from dataclasses import dataclass

from sfm_odometry.nodes.conversions import NANOSECONDS

MAX_OFFSET_S = 10.0
"""Greatest age of a stamp at its arrival, and greatest lead, that are latency; beyond it the stamps
are those of another clock."""
MIN_JUMP_S = 10.0
"""Least time that stamps advance beyond the time between arrivals when their clock was set."""
MAX_DRIFT_S = 1.0
"""Greatest difference, from image to image, of a delay's growth from the time between arrivals less
that between stamps: more is a clock that was set."""
_DAY_S = 86400.0


@dataclass(frozen=True)
class StampCheck:
    """Result of the comparison for one image."""

    offset_s: float | None
    """Stamp minus the node's clock at the arrival; None where either is not set."""
    clock_run: int
    """Number of times that the stamps' clock had been set forward by then."""
    is_late: bool = False
    """Whether the stamps were on the node's clock, and the images came later and later since."""

    @property
    def is_plausible(self) -> bool:
        """Whether the stamp is on the node's clock, as far as is known."""
        return self.offset_s is None or abs(self.offset_s) <= MAX_OFFSET_S or self.is_late

    @property
    def problem(self) -> str:
        """Description of an implausible offset, or of a long delay; empty otherwise."""
        if self.offset_s is None or abs(self.offset_s) <= MAX_OFFSET_S:
            return ""
        if self.is_late:
            return (
                f"images come {seconds_text(-self.offset_s)} after their stamps, and did not at "
                "first: the sender or this computer is too slow for their rate"
            )
        side = "behind" if self.offset_s < 0.0 else "ahead of"
        return (
            f"stamps are {seconds_text(abs(self.offset_s))} {side} the node's clock: "
            "another clock, or use_sim_time"
        )


class StampClock:
    """Compares each image's stamp with the node's clock and with the image before it."""

    def __init__(self) -> None:
        self._newest: tuple[int, float] | None = None
        self._clock_run = 0
        self._before = StampCheck(None, 0)

    def check(self, stamp_ns: int, clock_ns: int, arrived_s: float) -> StampCheck:
        """Compare an image that arrives.

        clock_ns: the node's clock, 0 while simulated time has not begun. arrived_s: the clock that
        drives the node, which no one sets.
        """
        if stamp_ns <= 0:
            return StampCheck(None, self._clock_run)
        offset_s = (stamp_ns - clock_ns) / NANOSECONDS if clock_ns > 0 else None
        is_late = False
        if self._newest is not None:
            # Compare the time between the stamps with that between the arrivals.
            advance_s = (stamp_ns - self._newest[0]) / NANOSECONDS
            gain_s = advance_s - max(arrived_s - self._newest[1], 0.0)
            if gain_s > MIN_JUMP_S:
                self._clock_run += 1
            is_late = advance_s > 0.0 and self._has_grown(offset_s, gain_s)
        self._newest = stamp_ns, arrived_s
        self._before = StampCheck(offset_s, self._clock_run, is_late)
        return self._before

    def _has_grown(self, offset_s: float | None, gain_s: float) -> bool:
        """Whether the image is later than those before it by the time that it took to come.

        gain_s: time between the stamps less that between the arrivals.
        """
        before_s = self._before.offset_s
        if offset_s is None or before_s is None or not self._before.is_plausible:
            return False
        return offset_s < -MAX_OFFSET_S and abs(offset_s - before_s - gain_s) <= MAX_DRIFT_S


def seconds_text(seconds: float) -> str:
    """Text of a duration: 12.3 s, 3600 s, 1.8e9 s."""
    if seconds > _DAY_S:
        mantissa, exponent = f"{seconds:.1e}".split("e")
        return f"{mantissa}e{int(exponent)} s"
    return f"{seconds:.1f} s" if seconds < 100.0 else f"{seconds:.0f} s"
