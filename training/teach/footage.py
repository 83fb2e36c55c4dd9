"""Footage: the frames of one camera, read as run time reads them, with the teacher's lesson."""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from sfm_odometry.errors import ImageError, InputError
from sfm_odometry.geometry.camera import Intrinsics
from sfm_odometry.geometry.preprocess import Preprocessor, apply_gain
from sfm_odometry.inference.estimator import Estimator
from sfm_odometry.io.camera_options import SourceCamera, add_camera_options, source_camera
from sfm_odometry.io.image_source import ImageSource, SourceImage, first_readable
from sfm_odometry.io.sources import FORMS, open_named_images
from sfm_odometry.io.stamps import NOMINAL_RATE_HZ
from training.data.lesson import Lesson
from training.teach.teacher import Teacher

STRETCH = 200
"""Frames of each stretch that is read of a recording that is longer than wanted."""


@dataclass(frozen=True, eq=False)
class Footage:
    """N frames at the networks' size."""

    frames: np.ndarray
    """(N, H, W, C) uint8, as the networks see them at run time."""
    stamps_ns: np.ndarray
    """(N,)."""
    intrinsics: Intrinsics
    """Of the frames."""
    window: np.ndarray
    """(4,) first column and row, last column and row that show the image."""
    resize_mode: str
    lesson: Lesson


@dataclass(frozen=True)
class OpenedImages:
    """Images of one camera, opened and checked, but not read."""

    source: ImageSource
    images: Iterator[SourceImage]
    camera: SourceCamera
    frames: range
    """Indices of the wanted images."""


def add_source_arguments(parser: argparse.ArgumentParser, required: bool = True) -> None:
    """Add the options of the images, which are those of sfm_odometry.run.

    required: whether there must be any.
    """
    source = parser.add_mutually_exclusive_group(required=required)
    for name in ("--images", "--bag", "--video"):
        source.add_argument(
            name,
            dest="images",
            metavar="PLACE",
            help=f"one of: {'; '.join(FORMS[:-1])}" if name == "--images" else "the same",
        )
    parser.add_argument("--topic", help="of a bag; default: its only topic of images")
    add_camera_options(parser)
    parser.add_argument("--camera", type=int, help="which of several cameras")
    parser.add_argument("--times", type=Path, metavar="FILE", help="times of the images")
    parser.add_argument(
        "--rate",
        type=float,
        default=NOMINAL_RATE_HZ,
        help="frames a second of images that are only numbered, default %(default)g",
    )
    parser.add_argument("--first", type=int, default=0, help="first image, counted from 0")
    parser.add_argument("--last", type=int, help="last image, included; default: the last there is")
    parser.add_argument(
        "--max-frames",
        type=int,
        default=1000,
        help="most frames that are read; of a longer recording stretches spread over it, "
        "default %(default)s",
    )


def open_footage(arguments: argparse.Namespace) -> OpenedImages:
    """Open the images that the command line names; raises InputError.

    Its names are those of `sfm_odometry.run`: images, topic, camera, times, rate, calib, fov,
    rectified; first and last choose among the images.
    """
    source = open_named_images(arguments)
    if source.is_live:
        raise InputError(f"{arguments.images}: a live camera has no end, expected a recording")
    first, images = first_readable(source)
    camera = source_camera(source, first, arguments)
    for note in dict.fromkeys((*source.notes, *camera.notes)):
        print(f"{arguments.images}: {note}", flush=True)
    count = source.count or 0
    last = count if arguments.last is None else min(arguments.last + 1, count)
    if arguments.first >= last:
        raise InputError(
            f"--first {arguments.first}: expected less than {count}, the images of "
            f"{arguments.images}"
        )
    return OpenedImages(source, images, camera, range(arguments.first, last))


def wanted_frames(frames: range, limit: int) -> np.ndarray:
    """Indices of the frames to read: all, or stretches spread evenly over a longer recording."""
    if len(frames) <= limit:
        return np.arange(frames.start, frames.stop)
    count = max(limit // STRETCH, 1)
    length = min(STRETCH, limit)
    starts = np.linspace(frames.start, frames.stop - length, count).round().astype(int)
    return np.unique(np.concatenate([np.arange(start, start + length) for start in starts]))


def read_footage(opened: OpenedImages, estimator: Estimator, limit: int) -> Footage:
    """Read at most `limit` frames and teach them.

    Raises InputError where an image has another size than the first. Damaged ones are left out.
    """
    config = estimator.model.config
    camera = opened.camera.intrinsics
    mode = config.resize_mode_of(camera)
    preprocessor = Preprocessor(camera, config.width, config.height, config.image_channels, mode)
    preprocessor.set_seen(opened.camera.seen)
    teacher = Teacher(estimator, camera, mode, opened.camera.seen)
    wanted = wanted_frames(opened.frames, limit)
    frames, stamps = [], []
    selected = _selected(opened.images, wanted)
    progress = tqdm(selected, "reading frames", len(wanted), unit="frame", disable=None)
    for image, is_next in progress:
        try:
            pixels = opened.camera.rectify(image.read())
            prepared = preprocessor(pixels)
        except ImageError as error:
            print(f"{error}; left out", flush=True)
            continue
        if not is_next:
            teacher.cut()
        teacher.add(pixels, image.stamp_ns)
        frames.append(apply_gain(prepared, preprocessor.gain(prepared)))
        stamps.append(image.stamp_ns)
    if not frames:
        raise InputError(f"{opened.source.name}: no image in it can be read")
    return Footage(
        frames=np.stack(frames),
        stamps_ns=np.array(stamps),
        intrinsics=preprocessor.intrinsics,
        window=visible_window(preprocessor),
        resize_mode=mode,
        lesson=teacher.lesson(),
    )


def _selected(
    images: Iterator[SourceImage], wanted: np.ndarray
) -> Iterator[tuple[SourceImage, bool]]:
    """Yields the wanted images, and whether each follows the one before it."""
    last = -2
    numbers = set(wanted.tolist())
    for index, image in enumerate(images):
        if index in numbers:
            yield image, index == last + 1 or last == -2
            last = index
        if index >= wanted[-1]:
            return


def visible_window(preprocessor: Preprocessor) -> np.ndarray:
    """First column and row, last column and row (4,) that show the image.

    Of undistorted images with ragged margins it is the rectangle around what is seen.
    """
    rows, columns = np.nonzero(preprocessor.valid_mask)
    return np.array([columns.min(), rows.min(), columns.max(), rows.max()], np.float32)
