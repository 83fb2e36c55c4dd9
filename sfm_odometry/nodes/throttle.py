"""Warnings that would come with every frame, said once in a while."""

import time
from collections.abc import Callable


class ThrottledWarnings:
    """Says the first warning of a kind at once, and those that follow within `period_s` as a number
    with the next one.

    rclpy throttles by the line that logs: there a stamp that is refused again and again would
    silence the encoding that is refused once. `say` prints a line; `now_s` is a clock in seconds
    that never goes back.
    """

    def __init__(
        self,
        say: Callable[[str], object],
        period_s: float = 5.0,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._say, self._period_s, self._now_s = say, period_s, now_s
        self._said_s: dict[str, float] = {}
        self._unsaid: dict[str, int] = {}

    def warn(self, kind: str, message: str) -> None:
        """Say the message, or count it where one of its kind has just been said. `kind` must
        come from a short list."""
        now_s = self._now_s()
        if now_s - self._said_s.get(kind, float("-inf")) < self._period_s:
            self._unsaid[kind] = self._unsaid.get(kind, 0) + 1
            return
        self._said_s[kind] = now_s
        more = self._unsaid.pop(kind, 0)
        self._say(f"{message} ({more} more like it went unsaid)" if more else message)
