"""Output of training to a reader that may go away, as `head` does."""

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import TextIO, cast


class ReaderLeftError(KeyboardInterrupt):
    """The reader of the output went away: the run ends as after a Ctrl-C, its state is saved."""


class GuardedOutput:
    """Text stream that writes to nowhere once its reader has gone, and tells so.

    An error in the first process alone, in the midst of a step, would leave the others waiting.
    """

    def __init__(self, stream: TextIO, on_reader_left: Callable[[], None]) -> None:
        """on_reader_left: called once."""
        self._stream = stream
        self._on_reader_left = on_reader_left
        self._has_reader = True

    def write(self, text: str) -> int:
        """Writes text; returns its length."""
        if self._has_reader:
            with self._guarded():
                self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flushes the stream."""
        if self._has_reader:
            with self._guarded():
                self._stream.flush()

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)

    @contextlib.contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:
            self._has_reader = False
            # What is left in the stream's buffer is flushed when Python ends.
            with contextlib.suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())
            self._on_reader_left()


def guarded(
    stream: TextIO, on_reader_left: Callable[[], None]
) -> contextlib.AbstractContextManager[object]:
    """Returns a context in which what is printed goes to a guarded stream."""
    return contextlib.redirect_stdout(cast(TextIO, GuardedOutput(stream, on_reader_left)))
