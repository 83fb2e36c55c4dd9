"""Progress on the terminal: one line that counts up where there is a terminal, a line now and
then where there is none."""

import sys
import time
from typing import TextIO

LOG_EVERY_S = 10.0


class Progress:
    """Counts of the step that is running; `say` ends the line before it speaks."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stdout
        self._live = self._stream.isatty()
        self._open_line = ""
        self._last_s = 0.0
        self._last_text = ""

    def say(self, text: str) -> None:
        """Print a line of its own."""
        self._end_line()
        print(text, file=self._stream, flush=True)

    def count(self, step: str, done: int, total: int, also: str = "") -> None:
        """Show that `done` of `total` frames are through `step`; `also` is shown behind."""
        text = f"{step}: {done} of {total} frames" + (f", {also}" if also else "")
        finished = done >= total
        if text == self._last_text:
            return
        if self._live:
            print("\r" + text.ljust(len(self._open_line)), end="", file=self._stream, flush=True)
            self._open_line = text
        elif finished or time.monotonic() - self._last_s > LOG_EVERY_S:
            print(text, file=self._stream, flush=True)
            self._last_s = time.monotonic()
        else:
            return
        self._last_text = text

    def _end_line(self) -> None:
        if self._open_line:
            print(file=self._stream)
            self._open_line = ""
