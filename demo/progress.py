"""Progress on the terminal, or as a line now and then in a log."""

import sys
import time
from typing import TextIO

LOG_PERIOD_S = 10.0
"""Time between lines where the output is no terminal."""


class Progress:
    """Shows the frames counted in the running step, on one line that is rewritten on a terminal."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stdout
        self._is_terminal = self._stream.isatty()
        self._open_line = ""
        self._last_s = 0.0
        self._last_text = ""

    def say(self, text: str) -> None:
        """Print a line of its own, after ending a line of progress."""
        self._end_line()
        print(text, file=self._stream, flush=True)

    def count(self, step: str, done: int, total: int, details: str = "") -> None:
        """Show that `step` has done `done` of `total` frames, followed by the details."""
        text = f"{step}: {done} of {total} frames" + (f", {details}" if details else "")
        finished = done >= total
        if text == self._last_text:
            return
        if self._is_terminal:
            print("\r" + text.ljust(len(self._open_line)), end="", file=self._stream, flush=True)
            self._open_line = text
        elif finished or time.monotonic() - self._last_s > LOG_PERIOD_S:
            print(text, file=self._stream, flush=True)
            self._last_s = time.monotonic()
        else:
            return
        self._last_text = text

    def _end_line(self) -> None:
        """End the line of progress on a terminal."""
        if self._open_line:
            print(file=self._stream)
            self._open_line = ""
