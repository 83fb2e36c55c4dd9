"""Cityscapes video: leftImg8bit_sequence/<split>/<city>/*_leftImg8bit.png with
camera/<split>/<city>/*_camera.json."""

import argparse
import itertools
import json
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from sfm_odometry.errors import InputError
from sfm_odometry.geometry.camera import Intrinsics
from sfm_odometry.io.images import read_image
from training.prepare.recording import Recording, SceneView, SourceFrame
from training.prepare.sequences import file_origin, read_image_of_size

HELP = "Cityscapes sequences: leftImg8bit_sequence and camera; every 2nd frame (8.5 Hz), the car's hood cropped away"
KEPT_ROWS = 0.75
"""Share of the rows that are kept; the car's hood is below."""
SEQUENCE_STRIDE = 1_000_000
"""SourceFrame numbers have six digits: number = sequence * this + frame, so that sequences of a
city never touch."""

Place = tuple[int, int]
"""Sequence and frame."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this source alone."""
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
    """A recording of every city and camera in it; the drives are the cities."""
    base = arguments.root / "leftImg8bit_sequence"
    cities = sorted(path for path in base.glob("*/*") if path.is_dir())
    if not cities:
        raise InputError(f"{base}: no <split>/<city> folders in it, expected Cityscapes sequences")
    if arguments.every < 1:
        raise InputError(f"--every {arguments.every}: expected 1 or more")
    chosen = _chosen(base, cities, arguments.sequences)
    return [
        recording
        for city in chosen
        for recording in _city_recordings(city, arguments.root, arguments.every)
    ]


def _chosen(base: Path, cities: list[Path], names: list[str]) -> list[Path]:
    """The cities that are named, by their split or as split/city."""
    known = {
        name: [
            city for city in cities if name in (city.parent.name, f"{city.parent.name}/{city.name}")
        ]
        for name in names
    }
    missing = [name for name, found in known.items() if not found]
    if missing:
        present = ", ".join(f"{city.parent.name}/{city.name}" for city in cities)
        raise InputError(
            f"{base}: nothing called {', '.join(missing)}, expected splits or some of {present}"
        )
    return [city for city in cities if not names or any(city in found for found in known.values())]


def _city_recordings(city: Path, root: Path, every: int) -> list[Recording]:
    """One recording for each camera; a city's recordings were made with one or a few."""
    images = {_place(path, "leftImg8bit.png"): path for path in city.glob("*_leftImg8bit.png")}
    if not images:
        raise InputError(f"{city}: no *_leftImg8bit.png in it, expected Cityscapes sequences")
    height, width = read_image(images[min(images)]).shape[:2]
    folder = root / "camera" / city.parent.name / city.name
    cameras = {
        _place(path, "camera.json"): _read_camera(path, width, height)
        for path in sorted(folder.glob("*_camera.json"))
    }
    places: dict[Intrinsics, list[Place]] = {}
    for run in _runs(sorted(images)):
        places.setdefault(_camera_of_run(run, cameras, folder), []).extend(
            place for place in run if place[1] % every == 0
        )
    name = f"{city.parent.name}_{city.name}"
    names = (
        [name] if len(places) == 1 else [f"{name}_{index}" for index in range(1, len(places) + 1)]
    )
    return [
        _recording(city.name, scene, camera, {place: images[place] for place in kept}, every)
        for scene, (camera, kept) in zip(names, places.items(), strict=True)
        if kept
    ]


def _recording(
    drive: str, scene: str, camera: Intrinsics, images: dict[Place, Path], every: int
) -> Recording:
    window = (0, 0, camera.width, round(camera.height * KEPT_ROWS))
    return Recording(
        drive=drive,
        views=(SceneView(scene, "cityscapes", window),),
        intrinsics=camera,
        channels=3,
        frames=partial(_frames, images, camera, every),
        count=len(images),
        origin=f"every {every}: {file_origin(tuple(images.values()))}",
    )


def _frames(
    images: dict[Place, Path], camera: Intrinsics, every: int, wanted: Callable[[int], bool]
) -> Iterator[SourceFrame]:
    for (sequence, frame), path in images.items():
        yield SourceFrame(
            sequence * SEQUENCE_STRIDE + frame // every, partial(read_image_of_size, path, camera)
        )


def _place(path: Path, ending: str) -> Place:
    """Sequence and frame of aachen_000012_000019_leftImg8bit.png."""
    match = re.fullmatch(rf".+_(\d{{6}})_(\d{{6}})_{re.escape(ending)}", path.name)
    if match is None:
        raise InputError(
            f"{path}: name not understood, expected one like aachen_000012_000019_{ending}"
        )
    return int(match[1]), int(match[2])


def _runs(places: list[Place]) -> Iterator[list[Place]]:
    """Frames without a gap, which are from one recording."""
    for _, run in itertools.groupby(
        enumerate(places), key=lambda item: (item[1][0], item[1][1] - item[0])
    ):
        yield [place for _, place in run]


def _camera_of_run(run: list[Place], cameras: dict[Place, Intrinsics], folder: Path) -> Intrinsics:
    """There is one camera file for each annotated frame: the one in the run, or else the
    sequence's nearest."""
    sequence, middle = run[0][0], run[len(run) // 2][1]
    candidates = [place for place in cameras if place[0] == sequence]
    if not candidates:
        raise InputError(
            f"{folder}: no *_{sequence:06d}_*_camera.json in it, expected the camera of that sequence"
        )
    return cameras[min(candidates, key=lambda place: abs(place[1] - middle))]


def _read_camera(path: Path, width: int, height: int) -> Intrinsics:
    try:
        intrinsic = json.loads(path.read_text())["intrinsic"]
        fx, fy, cx, cy = (float(intrinsic[name]) for name in ("fx", "fy", "u0", "v0"))
        return Intrinsics(fx, fy, cx, cy, width, height)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path}: no camera in it, expected 'intrinsic' with fx, fy, u0 and v0"
        ) from error
