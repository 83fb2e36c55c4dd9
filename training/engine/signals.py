"""SIGINT and SIGTERM are noted, and looked at between steps: no step and no file is torn apart."""

import signal
import time
from types import FrameType
from typing import Any

REPEAT_S = 1.0
"""torchrun passes a Ctrl-C on to processes that the terminal has told already: what comes sooner
than this is the same Ctrl-C."""


class Interruption:
    """While entered, signals only raise `requested`; a second Ctrl-C, for whoever cannot wait,
    is a KeyboardInterrupt."""

    def __init__(self) -> None:
        self.requested = False
        self._requested_at = 0.0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "Interruption":
        self._before = {
            number: signal.signal(number, self._note) for number in (signal.SIGINT, signal.SIGTERM)
        }
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if not self.requested:
            self.requested, self._requested_at = True, time.monotonic()
        elif number == signal.SIGINT and time.monotonic() > self._requested_at + REPEAT_S:
            raise KeyboardInterrupt
