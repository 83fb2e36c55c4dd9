"""Throttled warnings: repeated ones are logged once in a while."""

import time
from collections.abc import Callable


class ThrottledWarnings:
    """Logs the first warning of each kind, and counts the repeats within `period_s` of it.

    The next warning of that kind carries their number. rclpy throttles per line of source: there a
    stamp that is refused with every frame would suppress the only refusal of an encoding.

    log: logs one line. now_s: monotonic clock in seconds.
    """

    def __init__(
        self,
        log: Callable[[str], object],
        period_s: float = 5.0,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._log = log
        self._period_s = period_s
        self._now_s = now_s
        self._logged_s: dict[str, float] = {}
        """Time of the last line of each kind."""
        self._suppressed: dict[str, int] = {}
        """Number of warnings of each kind since its last line."""

    def warn(self, kind: str, message: str) -> None:
        """Log the message, or count it soon after another of its kind.

        `kind` must be one of a few, as each is remembered.
        """
        now_s = self._now_s()
        if now_s - self._logged_s.get(kind, float("-inf")) < self._period_s:
            self._suppressed[kind] = self._suppressed.get(kind, 0) + 1
            return
        self._logged_s[kind] = now_s
        more = self._suppressed.pop(kind, 0)
        self._log(f"{message} ({more} more like it went unsaid)" if more else message)
