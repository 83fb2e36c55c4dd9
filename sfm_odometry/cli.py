"""Error handling of all command lines: errors become one line and an exit code."""

import sys
from collections.abc import Callable

from sfm_odometry.errors import SfmOdometryError

EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130


def run_cli(main: Callable[[], None]) -> int:
    """Run `main` and return the process's exit code: 0, 2 for bad input (one line on stderr),
    130 for Ctrl-C."""
    try:
        main()
    except SfmOdometryError as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_BAD_INPUT
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    return 0
