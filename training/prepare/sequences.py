"""Recordings of image files: what sfm_odometry.io.kitti can open."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from sfm_odometry.errors import InputError
from sfm_odometry.geometry.camera import Intrinsics
from sfm_odometry.io.images import check_image_size, read_image
from sfm_odometry.io.kitti import ImageSequence
from sfm_odometry.io.text import read_text
from training.prepare.recording import Recording, SceneView, SourceFrame


def sequence_recording(sequence: ImageSequence, drive: str, view: SceneView) -> Recording:
    """A sequence as it lies on disk, with its truth where it has any."""
    rendered = sequence.depth_paths is not None
    return Recording(
        drive=drive,
        views=(view,),
        intrinsics=sequence.intrinsics,
        channels=1 if read_image(sequence.image_paths[0]).ndim == 2 else 3,
        frames=partial(_sequence_frames, sequence),
        count=len(sequence),
        origin=file_origin(sequence.image_paths),
        poses=sequence.poses,
        poses_supervise=rendered and sequence.poses is not None,
        has_depth=rendered,
        has_motion_mask=sequence.mask_paths is not None,
    )


def _sequence_frames(
    sequence: ImageSequence, wanted: Callable[[int], bool]
) -> Iterator[SourceFrame]:
    for index, (number, path) in enumerate(
        zip(sequence.frame_numbers, sequence.image_paths, strict=True)
    ):
        yield SourceFrame(
            number,
            partial(read_image_of_size, path, sequence.intrinsics),
            None if sequence.depth_paths is None else sequence.depth_paths[index],
            None if sequence.mask_paths is None else sequence.mask_paths[index],
        )


def read_image_of_size(path: Path, intrinsics: Intrinsics) -> np.ndarray:
    """An image file as uint8 grey or RGB; raises ImageError naming it where its size is another
    than the camera's."""
    image = read_image(path)
    check_image_size(path, image, intrinsics)
    return image


def file_origin(paths: tuple[Path, ...]) -> str:
    """Names and sizes of files: other files have another origin."""
    return " ".join(f"{path.name}:{path.stat().st_size}" for path in paths)


def cut_sequence(sequence: ImageSequence, first: int, last: int | None) -> ImageSequence:
    """The part of a sequence whose frame numbers lie in first..last; raises InputError where
    there is none."""
    last = sequence.frame_numbers[-1] if last is None else last
    kept = [index for index, number in enumerate(sequence.frame_numbers) if first <= number <= last]
    if not kept:
        found = f"{sequence.frame_numbers[0]} to {sequence.frame_numbers[-1]}"
        raise InputError(
            f"{sequence.image_paths[0].parent}: no frames {first} to {last} in it, its numbers go from {found}"
        )
    part = slice(kept[0], kept[-1] + 1)
    return replace(
        sequence,
        image_paths=sequence.image_paths[part],
        frame_numbers=sequence.frame_numbers[part],
        stamps_s=sequence.stamps_s[part],
        poses=None if sequence.poses is None else sequence.poses[part],
        depth_paths=None if sequence.depth_paths is None else sequence.depth_paths[part],
        mask_paths=None if sequence.mask_paths is None else sequence.mask_paths[part],
    )


def chosen_paths(root: Path, paths: list[Path], names: list[str]) -> list[Path]:
    """The paths that --sequences names, without their endings, or all; raises InputError for a
    name that none of them has."""
    missing = sorted(set(names) - {path.stem for path in paths})
    if missing:
        raise InputError(
            f"{root}: nothing called {', '.join(missing)}, expected some of {', '.join(path.stem for path in paths)}"
        )
    return [path for path in paths if not names or path.stem in names]


def named_sequences(names: list[str]) -> list[str]:
    """The names of --sequences; one that starts with @ is a file with a name on each line, as
    train.txt of SfMLearner's port."""
    return [
        each
        for name in names
        for each in (read_text(Path(name[1:])).split() if name.startswith("@") else [name])
    ]
