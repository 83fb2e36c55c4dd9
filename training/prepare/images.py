"""Source `images`: whatever sfm_odometry.run reads with --images, by the same reader.

A folder of images, TUM, EuRoC, 7-Scenes, KITTI odometry or raw, a video or a bag.
"""

import argparse
import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np

from sfm_odometry.errors import ImageError, InputError
from sfm_odometry.io.camera_options import SourceCamera, add_camera_options, source_camera
from sfm_odometry.io.image_source import ImageSource, first_readable
from sfm_odometry.io.ros_camera_info import Rectifier
from sfm_odometry.io.sources import FORMS, open_images
from sfm_odometry.io.stamps import NOMINAL_RATE_HZ
from training.prepare.calibration import bit_depth_text
from training.prepare.damage import REPEATED, Outcome, damage_teller
from training.prepare.rate import (
    PERIOD_SAMPLE_FRAMES,
    FrameCounter,
    has_steady_stamps,
    median_period_s,
    rate_text,
)
from training.prepare.recording import Recording, SceneView, SourceFrame, fingerprint_text

HELP = f"{', '.join(FORMS[:-1])}: one drive, read as `python -m sfm_odometry.run --images` does"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options that only this source has."""
    add_camera_options(parser)
    # Frames.
    parser.add_argument("--topic", help="topic of a bag; by default its only one of images")
    parser.add_argument("--camera", type=int, help="camera of a folder with several")
    parser.add_argument("--times", type=Path, metavar="FILE", help="times of the images")
    # Rate.
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--every", type=int, help="take every n-th frame")
    group.add_argument(
        "--rate",
        type=float,
        default=NOMINAL_RATE_HZ,
        help="take frames so that about this many a second are left; images that are only "
        "numbered are %(default)g a second (default %(default)g)",
    )
    parser.add_argument("--name", help="name of the scene; by default the folder's or file's")


def find(arguments: argparse.Namespace) -> list[Recording]:
    """Returns the recording of the images; raises InputError where they or their camera are not."""
    # Open the images, and one that can be read.
    options = (arguments.topic, arguments.camera, arguments.times)
    source = open_images(arguments.root, *options, bits=arguments.bit_depth)
    if source.is_live:
        raise InputError(f"{arguments.root}: a live camera has no end, expected a recording")
    first, images = first_readable(source, arguments.strict)
    camera = source_camera(source, first, arguments)
    channels = 1 if first.read().ndim == 2 else 3
    for note in dict.fromkeys((*source.notes, *camera.notes)):
        print(f"{arguments.root}: {note}")
    # Find the rate.
    stamps_s = [image.stamp_ns * 1e-9 for image in itertools.islice(images, PERIOD_SAMPLE_FRAMES)]
    period_s = median_period_s(stamps_s, arguments.root)
    steady = has_steady_stamps(stamps_s, period_s)
    new_counter = partial(FrameCounter, period_s, arguments.every, arguments.rate, steady)
    every = new_counter().every
    # Name the scene.
    name = arguments.name or arguments.root.resolve().stem
    rate = f"every {every}{rate_text(steady)}"
    lost: Counter[str] = Counter()
    return [
        Recording(
            drive=name,
            views=(SceneView(name, name),),
            intrinsics=camera.intrinsics,
            channels=channels,
            frames=partial(_frames, source, camera, new_counter, lost, arguments),
            count=max((source.count or 0) // every, 1),
            origin=f"images {_origin(arguments)} {rate} {_camera_text(camera)}",
            intrinsics_known=arguments.fov is None,
            lost=lost,
        )
    ]


def _frames(
    source: ImageSource,
    camera: SourceCamera,
    new_counter: Callable[[], FrameCounter],
    lost: Counter[str],
    arguments: argparse.Namespace,
    is_needed: Callable[[int], bool],
) -> Iterator[SourceFrame]:
    """Yields the images nearest to the wanted times, numbered by their stamps."""
    counter = new_counter()
    index = 0
    for image in source:
        number = counter.next(image.stamp_ns * 1e-9)
        if number is None:
            continue
        # Read here and in order, as sources want it; all of them, as the range of 16-bit images is
        # held from one to the next. A worker rectifies.
        read = Outcome(image.read)
        prepared = partial(_rectified, read, camera, f"{source.name}, {image.name}")
        yield SourceFrame(number, prepared if is_needed(index) else None)
        index += 1
    tell = damage_teller(arguments, lost)
    for text in source.damage:
        tell(text)
    lost.update({REPEATED: counter.repeated} if counter.repeated else {})


def _rectified(read: Outcome, camera: SourceCamera, where: str) -> np.ndarray:
    """Returns the rectified image; ImageError starting with `where` for one of another size."""
    image = read()
    size = camera.intrinsics.width, camera.intrinsics.height
    if image.shape[1::-1] != size:
        raise ImageError(
            f"{where}: {image.shape[1]}x{image.shape[0]} pixels, "
            f"expected {size[0]}x{size[1]} as of the first"
        )
    return camera.rectify(image)


def _origin(arguments: argparse.Namespace) -> str:
    """Returns names and sizes of the files, and the options that choose among them, as text."""
    root: Path = arguments.root
    files = sorted(path for path in root.rglob("*") if path.is_file()) or [root]
    size = sum(path.stat().st_size for path in files)
    options = f"{(arguments.topic, arguments.camera, arguments.times)}{bit_depth_text(arguments)}"
    return f"{root.name}: {len(files)} files of {size} bytes {options}"


def _camera_text(camera: SourceCamera) -> str:
    """Returns the calibration that images are rectified by as text; empty if they are not."""
    rectifier = camera.rectify
    if not isinstance(rectifier, Rectifier) or not rectifier.resamples:
        return ""
    return fingerprint_text("Calibration", rectifier.calibration)
