"""Classical five-point odometry over images: a folder, a video or a bag.

    python -m training.classical --images DIR --calib FILE --out poses.txt

Nothing in it is learned; lengths are in an arbitrary unit, that of the first step.
"""

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from sfm_odometry.cli import run_cli
from sfm_odometry.errors import ImageError, InputError, OutputError
from sfm_odometry.io.camera_options import SourceCamera, add_camera_options, source_camera
from sfm_odometry.io.image_source import SourceImage, first_readable
from sfm_odometry.io.images import check_image_size
from sfm_odometry.io.sources import FORMS, open_images
from sfm_odometry.io.trajectories import write_kitti
from training.classical.track import MIN_IMAGES, track_frames

OPTIONS: dict[str, dict[str, Any]] = {
    "--images": {
        "required": True,
        "help": f"one of: {'; '.join(FORMS[:-1])}",
    },
    "--topic": {"help": "of a bag; default: its only topic of images"},
    "--camera": {
        "type": int,
        "help": "which of several cameras; default: by the folder's name, else the first",
    },
    "--times": {"type": Path, "metavar": "FILE", "help": "the order of images by a list of times"},
    "--strict": {
        "action": "store_true",
        "help": "end with exit code 2 at an image that cannot be read, instead of leaving it out",
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
    # Open the images, and find their camera with the first that can be read.
    source = open_images(
        arguments.images,
        arguments.topic,
        arguments.camera,
        arguments.times,
        bits=arguments.bit_depth,
    )
    if source.count is None:
        raise InputError(f"{arguments.images}: a live camera, expected images that are recorded")
    if source.count < MIN_IMAGES:
        raise InputError(f"{source.name}: {source.count} images, expected at least {MIN_IMAGES}")
    first, images = first_readable(source, arguments.strict)
    camera = source_camera(source, first, arguments)
    for note in (*source.notes, *camera.notes):
        print(note, file=sys.stderr)
    _make_folder(arguments.out.parent)
    # Run and write.
    bar = tqdm(images, total=source.count, unit=" frame", leave=False, disable=None)
    frames = ((image.name, partial(_read, image, camera)) for image in bar)
    run = track_frames(frames, camera.intrinsics, arguments.width, strict=arguments.strict)
    if arguments.strict and source.damage:
        raise ImageError(source.damage[0])
    write_kitti(arguments.out, run.start_from_camera)
    for event in (*run.events, *source.damage):
        print(event, file=sys.stderr)
    print(
        f"{arguments.out}: {len(run.start_from_camera)} poses, {np.median(run.frame_ms):.1f} ms "
        "a frame (median, without reading the image)"
    )


def _read(image: SourceImage, camera: SourceCamera) -> np.ndarray:
    """Rectified image; raises ImageError for one of another size."""
    pixels = image.read()
    check_image_size(image.name, pixels, camera.intrinsics)
    return camera.rectify(pixels)


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
    add_camera_options(parser)
    for option, settings in OPTIONS.items():
        parser.add_argument(option, **settings)
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
