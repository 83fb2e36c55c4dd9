"""Source `cityscapes`: the video sequences of the Cityscapes data set.

Images are leftImg8bit_sequence/<split>/<city>/*_leftImg8bit.png, cameras
camera/<split>/<city>/*_camera.json.
"""

import argparse
import itertools
import json
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from sfm_odometry.errors import InputError
from sfm_odometry.geometry.camera import Intrinsics
from sfm_odometry.io.bit_depth import BitDepth
from sfm_odometry.io.kitti import first_readable_image
from training.prepare.calibration import (
    RecordedCamera,
    add_camera_arguments,
    bit_depth_text,
    camera_from_options,
)
from training.prepare.recording import Recording, SceneView, SourceFrame, Window
from training.prepare.sequences import file_origin, read_image_of_size

HELP = (
    "Cityscapes sequences: leftImg8bit_sequence and camera; "
    "every 2nd frame (8.5 Hz), the car's hood cropped away"
)
KEPT_ROWS = 0.75
"""Share of the rows that are kept, from the top; the car's hood is below."""
SEQUENCE_STRIDE = 1_000_000
"""Factor in a prepared frame's number, sequence * SEQUENCE_STRIDE + frame / every.

Frames have six digits in the files' names, so frames of two sequences are never neighbours."""

FrameId = tuple[int, int]
"""Sequence and frame, as in a file's name."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options that only this source has."""
    add_camera_arguments(parser, own="the camera files")
    parser.add_argument(
        "--sequences",
        nargs="*",
        default=[],
        help="splits or cities to take, as train or train/aachen; all by default",
    )
    parser.add_argument(
        "--every",
        type=int,
        default=2,
        help="take every n-th frame (default %(default)s: 17 Hz to 8.5)",
    )
    parser.set_defaults(resize_mode="stretch")  # as both papers do


def find(arguments: argparse.Namespace) -> list[Recording]:
    """Returns one recording for each city and camera in it; each city is a drive."""
    base = arguments.root / "leftImg8bit_sequence"
    cities = sorted(path for path in base.glob("*/*") if path.is_dir())
    if not cities:
        raise InputError(f"{base}: no <split>/<city> folders in it, expected Cityscapes sequences")
    if arguments.every < 1:
        raise InputError(f"--every {arguments.every}: expected 1 or more")
    return [
        recording
        for city in _select_cities(base, cities, arguments.sequences)
        for recording in _city_recordings(city, arguments)
    ]


def _select_cities(base: Path, cities: list[Path], names: list[str]) -> list[Path]:
    """Returns the cities named by their split or as split/city, or all without names.

    Raises InputError for a name without a city.
    """
    matches = {
        name: [
            city for city in cities if name in (city.parent.name, f"{city.parent.name}/{city.name}")
        ]
        for name in names
    }
    missing = [name for name, found in matches.items() if not found]
    if missing:
        present = ", ".join(f"{city.parent.name}/{city.name}" for city in cities)
        raise InputError(
            f"{base}: nothing called {', '.join(missing)}, expected splits or some of {present}"
        )
    return [
        city for city in cities if not names or any(city in found for found in matches.values())
    ]


def _city_recordings(city: Path, arguments: argparse.Namespace) -> list[Recording]:
    """Returns one recording for each camera of a city, which has one or a few."""
    # Find images and cameras; the size of the images is that of the first that can be read.
    images = {_frame_id(path, "leftImg8bit.png"): path for path in city.glob("*_leftImg8bit.png")}
    if not images:
        raise InputError(f"{city}: no *_leftImg8bit.png in it, expected Cityscapes sequences")
    height, width = first_readable_image([images[key] for key in sorted(images)]).shape[:2]
    given = camera_from_options(arguments, width, height)
    camera_of = _cameras_by_run(city, arguments.root, width, height, given)
    # Group the frames by camera.
    frame_ids: dict[Intrinsics, list[FrameId]] = {}
    for run in _consecutive_runs(sorted(images)):
        frame_ids.setdefault(camera_of(run), []).extend(
            frame_id for frame_id in run if frame_id[1] % arguments.every == 0
        )
    # Number the scenes if there are several.
    name = f"{city.parent.name}_{city.name}"
    count = len(frame_ids)
    names = [name] if count == 1 else [f"{name}_{index}" for index in range(1, count + 1)]
    return [
        _recording(
            SceneView(scene, "cityscapes", _window_above_hood(intrinsics)),
            city.name,
            given or RecordedCamera(intrinsics, known=True),
            {each: images[each] for each in selected},
            arguments,
        )
        for scene, (intrinsics, selected) in zip(names, frame_ids.items(), strict=True)
        if selected
    ]


def _window_above_hood(intrinsics: Intrinsics) -> Window:
    """Returns the window without the rows of the car's hood."""
    return (0, 0, intrinsics.width, round(intrinsics.height * KEPT_ROWS))


def _recording(
    view: SceneView,
    drive: str,
    camera: RecordedCamera,
    images: dict[FrameId, Path],
    arguments: argparse.Namespace,
) -> Recording:
    """Returns the recording of images of one camera."""
    every = arguments.every
    return Recording(
        drive=drive,
        views=(view,),
        intrinsics=camera.intrinsics,
        channels=3,
        frames=partial(_frames, images, camera, every, BitDepth(arguments.bit_depth)),
        count=len(images),
        origin=f"every {every}: {file_origin(tuple(images.values()))}"
        + f" {camera.origin}" * bool(camera.origin)
        + bit_depth_text(arguments),
        intrinsics_known=camera.known,
    )


def _frames(
    images: dict[FrameId, Path],
    camera: RecordedCamera,
    every: int,
    bit_depth: BitDepth,
    is_needed: Callable[[int], bool],
) -> Iterator[SourceFrame]:
    """Yields the frames; images are read only when a worker asks for them."""
    for (sequence, frame), path in images.items():
        image = partial(read_image_of_size, path, camera.intrinsics, camera, bit_depth)
        yield SourceFrame(sequence * SEQUENCE_STRIDE + frame // every, image)


def _frame_id(path: Path, ending: str) -> FrameId:
    """Returns (12, 19) for aachen_000012_000019_leftImg8bit.png, with that ending.

    Raises InputError for another name.
    """
    match = re.fullmatch(rf".+_(\d{{6}})_(\d{{6}})_{re.escape(ending)}", path.name)
    if match is None:
        raise InputError(
            f"{path}: name not understood, expected one like aachen_000012_000019_{ending}"
        )
    return int(match[1]), int(match[2])


def _consecutive_runs(frame_ids: list[FrameId]) -> Iterator[list[FrameId]]:
    """Splits sorted frames into runs without a gap; each run is from one recording."""
    for _, run in itertools.groupby(
        enumerate(frame_ids), key=lambda item: (item[1][0], item[1][1] - item[0])
    ):
        yield [frame_id for _, frame_id in run]


def _cameras_by_run(
    city: Path, root: Path, width: int, height: int, given: RecordedCamera | None
) -> Callable[[list[FrameId]], Intrinsics]:
    """Returns the function that gives the camera of a run: the given one, else the files'."""
    if given is not None:
        return lambda _: given.intrinsics
    folder = root / "camera" / city.parent.name / city.name
    cameras = {
        _frame_id(path, "camera.json"): _read_camera(path, width, height)
        for path in sorted(folder.glob("*_camera.json"))
    }
    return lambda run: _camera_of_run(run, cameras, folder)


def _camera_of_run(
    run: list[FrameId], cameras: dict[FrameId, Intrinsics], folder: Path
) -> Intrinsics:
    """Returns the camera of the sequence's file that is nearest to the middle of the run.

    Each annotated frame has a camera file, usually one in each run. Raises InputError if the
    sequence has none.
    """
    sequence = run[0][0]
    middle = run[len(run) // 2][1]
    candidates = [frame_id for frame_id in cameras if frame_id[0] == sequence]
    if not candidates:
        raise InputError(
            f"{folder}: no *_{sequence:06d}_*_camera.json in it, "
            "expected the camera of that sequence"
        )
    return cameras[min(candidates, key=lambda frame_id: abs(frame_id[1] - middle))]


def _read_camera(path: Path, width: int, height: int) -> Intrinsics:
    """Returns the intrinsics in a camera file; raises InputError naming it if there are none."""
    try:
        intrinsic = json.loads(path.read_text())["intrinsic"]
        fx, fy, cx, cy = (float(intrinsic[name]) for name in ("fx", "fy", "u0", "v0"))
        return Intrinsics(fx, fy, cx, cy, width, height)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path}: no camera in it, expected 'intrinsic' with fx, fy, u0 and v0"
        ) from error
