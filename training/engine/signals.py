"""Handling of SIGINT and SIGTERM between training steps."""

import signal
import time
from types import FrameType
from typing import Any

REPEAT_S = 1.0
"""Time within which a further SIGINT is ignored.

torchrun passes a Ctrl-C on to processes that have already received it from the terminal.
"""


class InterruptHandler:
    """Context manager that turns signals into a flag, which the training loop checks.

    No step and no file is interrupted half way. A second Ctrl-C, later than REPEAT_S, raises
    KeyboardInterrupt at once.
    """

    def __init__(self) -> None:
        self.requested = False
        """Whether SIGINT or SIGTERM has arrived, or the reader of the output has gone."""
        self.reader_left = False
        """Whether it is the reader of the output that has gone."""
        self._requested_at_s = 0.0
        self._previous_handlers: dict[int, Any] = {}

    def __enter__(self) -> "InterruptHandler":
        self._previous_handlers = {
            number: signal.signal(number, self._handle)
            for number in (signal.SIGINT, signal.SIGTERM)
        }
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._previous_handlers.items():
            signal.signal(number, handler)

    def note_reader_left(self) -> None:
        """Sets the flag because nobody reads the output any more."""
        self.requested = self.reader_left = True

    def _handle(self, number: int, frame: FrameType | None) -> None:
        """Sets the flag; raises KeyboardInterrupt at a second Ctrl-C."""
        if not self.requested:
            self.requested = True
            self._requested_at_s = time.monotonic()
        elif number == signal.SIGINT and time.monotonic() > self._requested_at_s + REPEAT_S:
            raise KeyboardInterrupt
