"""Command-line options of live views: --live and --rerun; and the viewers that they open."""

import argparse
import sys
from collections.abc import Callable

from sfm_odometry.errors import InputError
from sfm_odometry.viewers.foxglove_viewer import DEFAULT_HOST, DEFAULT_PORT, FoxgloveViewer
from sfm_odometry.viewers.rerun_viewer import RerunViewer
from sfm_odometry.viewers.viewer import Viewer, Viewers

MAX_PORT = 65535


def add_live_option(parser: argparse.ArgumentParser) -> None:
    """Add --live [[HOST:]PORT]."""
    parser.add_argument(
        "--live",
        nargs="?",
        const=str(DEFAULT_PORT),
        metavar="[HOST:]PORT",
        help="serve odometry, path, image, depth, mask and points to Foxglove or Lichtblick on "
        f"this port (default: {DEFAULT_PORT}, for this machine alone; 0.0.0.0:{DEFAULT_PORT}: for "
        "others too); needs pip install foxglove-sdk",
    )


def add_rerun_option(parser: argparse.ArgumentParser) -> None:
    """Add --rerun FILE.rrd|live."""
    parser.add_argument(
        "--rerun",
        metavar="FILE.rrd|live",
        help="record the same for Rerun's viewer, or open its window; needs pip install rerun-sdk",
    )


def live_address(text: str) -> tuple[str, int]:
    """Host and port of --live; raises InputError."""
    host, colon, number = text.rpartition(":")
    if not number.isdigit() or int(number) > MAX_PORT or (colon and not host):
        raise InputError(f"--live {text}: expected a port, or HOST:PORT, such as {DEFAULT_PORT}")
    return host or DEFAULT_HOST, int(number)


def open_viewers(
    arguments: argparse.Namespace, warn: Callable[[str], object] | None = None
) -> Viewers:
    """Viewers that --live and --rerun name; none without them. Prints where to look.

    warn: told once of each viewer that fails; by default it is printed to stderr. Raises InputError
    or OutputError for one that cannot be opened.
    """
    viewers: list[Viewer] = []
    if arguments.live is not None:
        server = FoxgloveViewer(*live_address(arguments.live))
        print(f"live view: {server.address}", file=sys.stderr)
        viewers.append(server)
    if arguments.rerun is not None:
        try:
            viewers.append(RerunViewer(arguments.rerun))
        except Exception:
            Viewers(viewers, _print).close()
            raise
    return Viewers(viewers, warn or _print)


def _print(message: str) -> None:
    print(message, file=sys.stderr)
