"""Command line that renders a drive in KITTI odometry layout.

Usage: python -m training.synthetic --out D --frames N --seed S [--size 1242x375]
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from pathlib import Path

from sfm_odometry.cli import run_cli
from sfm_odometry.errors import InputError
from training.synthetic.drive import DriveSpec, write_drive


def build_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    description = "Render a drive through a street, with true poses, depth and motion masks."
    parser = argparse.ArgumentParser(prog="python -m training.synthetic", description=description)
    # The drive.
    parser.add_argument(
        "--out", type=Path, required=True, help="folder to write, in KITTI odometry layout"
    )
    parser.add_argument("--frames", type=int, required=True, help="number of frames, at 10 Hz")
    parser.add_argument(
        "--seed",
        type=int,
        required=True,
        help="decides the whole drive; the same arguments give the same files",
    )
    parser.add_argument(
        "--size", default="416x128", metavar="WxH", help="image size (default: %(default)s)"
    )
    # The way it is written.
    parser.add_argument("--workers", type=int, default=2, help="processes (default: %(default)s)")
    parser.add_argument(
        "--overwrite", action="store_true", help="write into a folder that holds other files"
    )
    parser.add_argument("--quiet", action="store_true", help="no progress line")
    return parser


def command(arguments: argparse.Namespace) -> None:
    """Checks the options and renders the drive; raises InputError and OutputError."""
    size = re.fullmatch(r"(\d+)x(\d+)", arguments.size)
    if not size:
        raise InputError(f"--size {arguments.size}: expected WIDTHxHEIGHT, such as 416x128")
    if arguments.workers < 1:
        raise InputError(f"--workers {arguments.workers}: expected at least 1")
    spec = DriveSpec(arguments.frames, arguments.seed, int(size[1]), int(size[2]))
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
