"""Classical five-point odometry over a folder of images.

    python -m training.classical --images DIR --calib FILE --out poses.txt

Nothing in it is learned; lengths are in an arbitrary unit, that of the first step.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sfm_odometry.cli import run_cli
from sfm_odometry.errors import InputError, OutputError
from sfm_odometry.io.kitti import camera_of_folder, list_images, read_calibration, read_image
from sfm_odometry.io.trajectories import write_kitti
from training.classical.track import MIN_IMAGES, track

OPTIONS: dict[str, dict[str, Any]] = {
    "--images": {
        "type": Path,
        "required": True,
        "help": "folder of PNG or JPEG images, rectified, numbered",
    },
    "--calib": {
        "type": Path,
        "required": True,
        "help": "KITTI calib.txt or calib_cam_to_cam.txt, or a 3x3 camera matrix",
    },
    "--camera": {
        "type": int,
        "help": "which of KITTI's cameras; default: by the folder's name, else 0",
    },
    "--width": {
        "type": int,
        "help": "make the images smaller to this width first; default: as they are",
    },
    "--out": {
        "type": Path,
        "required": True,
        "help": "file of poses, camera0_from_camera, one a frame, as KITTI's",
    },
}
"""Command-line options and their settings for argparse."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    arguments = _parser().parse_args(argv)
    return run_cli(lambda: command(arguments))


def command(arguments: argparse.Namespace) -> None:
    """Run the odometry over the folder and write the poses."""
    # Check the input.
    images = list_images(arguments.images)
    if len(images) < MIN_IMAGES:
        raise InputError(
            f"{arguments.images}: {len(images)} images, expected at least {MIN_IMAGES}"
        )
    height, width = read_image(images[0]).shape[:2]
    camera = (
        arguments.camera if arguments.camera is not None else camera_of_folder(arguments.images)
    )
    intrinsics = read_calibration(arguments.calib, camera or 0, width, height)
    _make_folder(arguments.out.parent)
    # Run and write.
    run = track(images, intrinsics, arguments.width)
    write_kitti(arguments.out, run.start_from_camera)
    for event in run.events:
        print(event, file=sys.stderr)
    print(
        f"{arguments.out}: {len(images)} poses, {np.median(run.frame_ms):.1f} ms a frame "
        "(median, without reading the image)"
    )


def _make_folder(folder: Path) -> None:
    """Make a folder with its parents; OutputError where that fails."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: folder cannot be made: {error.strerror}") from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m training.classical",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    for option, settings in OPTIONS.items():
        parser.add_argument(option, **settings)
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
