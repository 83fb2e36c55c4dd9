"""Command line that renders a drive or a walk in KITTI odometry layout.

Usage: python -m training.synthetic --out D --frames N --seed S [--world rooms] [--size 1242x375]
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from pathlib import Path

from sfm_odometry.cli import run_cli
from sfm_odometry.errors import InputError
from training.synthetic.drive import WORLDS, DriveSpec, write_drive
from training.synthetic.rooms.walk import RIGS


def build_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    description = "Render a street or rooms, with true poses, depth and motion masks."
    parser = argparse.ArgumentParser(prog="python -m training.synthetic", description=description)
    # The drive.
    parser.add_argument(
        "--out", type=Path, required=True, help="folder to write, in KITTI odometry layout"
    )
    parser.add_argument("--frames", type=int, required=True, help="number of frames")
    parser.add_argument(
        "--seed",
        type=int,
        required=True,
        help="decides the whole drive; the same arguments give the same files",
    )
    parser.add_argument(
        "--size", default="416x128", metavar="WxH", help="image size (default: %(default)s)"
    )
    parser.add_argument(
        "--world",
        choices=WORLDS,
        default="street",
        help="a street seen from a car, or furnished rooms (default: %(default)s)",
    )
    _add_room_options(parser)
    # The way it is written.
    parser.add_argument("--workers", type=int, default=2, help="processes (default: %(default)s)")
    parser.add_argument(
        "--overwrite", action="store_true", help="write into a folder that holds other files"
    )
    parser.add_argument("--quiet", action="store_true", help="no progress line")
    return parser


def _add_room_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the camera in rooms."""
    parser.add_argument(
        "--rig",
        choices=RIGS,
        help="rooms: in a hand, on a low robot or on a drone (default: drawn from the seed)",
    )
    parser.add_argument(
        "--fov",
        type=float,
        metavar="DEG",
        help="rooms: horizontal field of view (default: drawn from 50 to 100)",
    )
    parser.add_argument(
        "--rate", type=float, metavar="HZ", help="rooms: frames a second, 3 to 30 (default: 10)"
    )


def command(arguments: argparse.Namespace) -> None:
    """Checks the options and renders the drive; raises InputError and OutputError."""
    size = re.fullmatch(r"(\d+)x(\d+)", arguments.size)
    if not size:
        raise InputError(f"--size {arguments.size}: expected WIDTHxHEIGHT, such as 416x128")
    if arguments.workers < 1:
        raise InputError(f"--workers {arguments.workers}: expected at least 1")
    spec = DriveSpec(
        arguments.frames,
        arguments.seed,
        int(size[1]),
        int(size[2]),
        arguments.world,
        arguments.rig,
        arguments.fov,
        arguments.rate,
    )
    write_drive(
        arguments.out,
        spec,
        workers=arguments.workers,
        overwrite=arguments.overwrite,
        quiet=arguments.quiet,
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line and returns the exit code."""
    arguments = build_parser().parse_args(argv)
    return run_cli(lambda: command(arguments))


if __name__ == "__main__":
    raise SystemExit(main())
