"""Fewer frames than the camera sends."""

from sfm_odometry.nodes.conversions import NANOSECONDS
from sfm_odometry.tracking.window import CLOCK_JUMP_NS

EARLY_SHARE = 0.25
"""A frame may come this share of a period early: a camera's frames do not fall on our grid."""


class RateLimit:
    """Lets frames pass at a grid of due times, so that the mean rate is kept whatever the
    camera's own rate is."""

    def __init__(self) -> None:
        self._newest_ns = self._due_ns = 0

    def passes(self, stamp_ns: int, rate_hz: float) -> bool:
        """Whether the frame may pass at `rate_hz` frames a second; 0: any.

        Stamps that do not advance pass, as the window refuses them by name.
        """
        if stamp_ns <= self._newest_ns - CLOCK_JUMP_NS:
            self._newest_ns = self._due_ns = 0
        if rate_hz <= 0.0 or stamp_ns <= self._newest_ns:
            return True
        self._newest_ns = stamp_ns
        period_ns = round(NANOSECONDS / rate_hz)
        if stamp_ns < self._due_ns - EARLY_SHARE * period_ns:
            return False
        late = stamp_ns - self._due_ns >= period_ns  # a pause is not made up for
        self._due_ns = (stamp_ns if late else self._due_ns) + period_ns
        return True
