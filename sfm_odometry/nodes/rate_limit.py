"""Limit on the rate of frames."""

from sfm_odometry.nodes.conversions import NANOSECONDS
from sfm_odometry.tracking.window import CLOCK_JUMP_NS

EARLY_TOLERANCE = 0.25
"""Share of a period by which a frame may be early: frames do not fall on the grid of due times."""


class RateLimiter:
    """Accepts frames on a grid of due times, which keeps the mean rate at any camera rate."""

    def __init__(self) -> None:
        self._newest_ns = 0
        self._due_ns = 0

    def accepts(self, stamp_ns: int, rate_hz: float) -> bool:
        """Whether a frame is accepted at a limit of `rate_hz` frames a second; 0: no limit.

        Stamps that do not advance are accepted, as the window refuses them with a reason.
        """
        if stamp_ns <= self._newest_ns - CLOCK_JUMP_NS:
            self._newest_ns = 0
            self._due_ns = 0
        if rate_hz <= 0.0 or stamp_ns <= self._newest_ns:
            return True
        self._newest_ns = stamp_ns
        period_ns = round(NANOSECONDS / rate_hz)
        if stamp_ns < self._due_ns - EARLY_TOLERANCE * period_ns:
            return False
        late = stamp_ns - self._due_ns >= period_ns  # frames missed in a pause are not made up for
        self._due_ns = (stamp_ns if late else self._due_ns) + period_ns
        return True
