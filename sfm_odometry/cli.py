"""Error handling of all command lines: errors become one line and an exit code."""

import atexit
import contextlib
import os
import select
import sys
from collections.abc import Callable
from typing import TextIO

from sfm_odometry.errors import SfmOdometryError

EXIT_BAD_INPUT = 2
EXIT_NOT_TRACKED = 3
"""The command wrote its results, but hardly any frame was tracked."""
EXIT_INTERRUPTED = 130
EXIT_BROKEN_PIPE = 141
"""The reader of the output went away, as `head` does: 128 and the number of SIGPIPE."""
EXIT_CODES = (
    "exit codes: 0 done; 2 bad input, one line says which; 3 written, but less than half of the "
    "frames were tracked; 130 Ctrl-C; 141 the reader of the output went away"
)
"""For help texts."""


def run_cli(main: Callable[[], int | None]) -> int:
    """Run `main` and return the process's exit code.

    That of `main`, 0 if it returns None; 2 for bad input (one line on stderr), 130 for Ctrl-C, 141
    where the reader of the output went away.
    """
    try:
        try:
            code = main() or 0
        except SfmOdometryError as error:
            print(f"error: {error}", file=sys.stderr)
            code = EXIT_BAD_INPUT
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            code = EXIT_INTERRUPTED
        sys.stdout.flush()
    except BrokenPipeError:
        if not any(map(_has_no_reader, (sys.stdout, sys.stderr))):
            raise
        _close_outputs()
        return EXIT_BROKEN_PIPE
    return code


def _has_no_reader(stream: TextIO) -> bool:
    """Whether a stream is a pipe whose other end is closed."""
    try:
        poll = select.poll()
        poll.register(stream.fileno(), select.POLLOUT)
        return any(event & select.POLLERR for _, event in poll.poll(0))
    except (OSError, ValueError):
        return False


def _close_outputs() -> None:
    """Write what is left for closed pipes to nowhere: Python flushes it when it ends."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (BrokenPipeError, ValueError):
            with contextlib.suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


# Also for --help, which argparse prints and ends the program.
atexit.register(_close_outputs)
