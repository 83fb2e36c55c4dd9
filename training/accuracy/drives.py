"""Drives to score on: a folder, perhaps a part of its frames, and the true poses."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sfm_odometry.errors import InputError
from sfm_odometry.geometry.camera import Intrinsics
from sfm_odometry.io.kitti import ImageSequence, open_sequence
from sfm_odometry.io.trajectories import PoseFile, read_poses

LEAST_FRAMES = 5


@dataclass(frozen=True)
class DriveChoice:
    """What the user asked for: a sequence folder, its first and last frame (both included) or
    all, and a folder of poses or its own."""

    folder: Path
    frames: tuple[int, int] | None = None
    poses: Path | None = None

    @property
    def name(self) -> str:
        """The folder's name, with the frames; fit for a file's name."""
        return (
            self.folder.name
            if self.frames is None
            else f"{self.folder.name}_{self.frames[0]}-{self.frames[1]}"
        )


@dataclass(frozen=True, eq=False)
class EvaluatedDrive:
    """N frames with their truth; true_poses (N, 4, 4) float64 camera0_from_camera, metres.
    Otherwise as `ImageSequence`."""

    name: str
    image_paths: tuple[Path, ...]
    stamps_ns: tuple[int, ...]
    intrinsics: Intrinsics
    true_poses: np.ndarray
    depth_paths: tuple[Path, ...] | None


def parse_choice(text: str, poses: Path | None = None) -> DriveChoice:
    """FOLDER or FOLDER:FIRST-LAST."""
    match = re.fullmatch(r"(.+):(\d+)-(\d+)", text)
    if match is None:
        return DriveChoice(_absolute(text), None, poses)
    first, last = int(match[2]), int(match[3])
    if last - first + 1 < LEAST_FRAMES:
        raise InputError(f"{text}: frames {first} to {last}, expected at least {LEAST_FRAMES}")
    return DriveChoice(_absolute(match[1]), (first, last), poses)


def parse_choices(texts: list[str], poses: Path | None = None) -> list[DriveChoice]:
    """Several drives; InputError where two have one name, which results are filed under."""
    choices = [parse_choice(text, poses) for text in texts]
    names = [choice.name for choice in choices]
    for choice in choices:
        if names.count(choice.name) > 1:
            raise InputError(
                f"{choice.folder}: two drives are called {choice.name}, expected folders of different names"
            )
    return choices


def open_drive(choice: DriveChoice) -> EvaluatedDrive:
    """The frames and their truth; InputError with what is missing."""
    sequence = open_sequence(choice.folder)
    true_poses = _true_poses(sequence, choice)
    part = _part(sequence, choice)
    return EvaluatedDrive(
        choice.name,
        sequence.image_paths[part],
        tuple(round(stamp * 1e9) for stamp in sequence.stamps_s[part]),
        sequence.intrinsics,
        true_poses[part],
        None if sequence.depth_paths is None else sequence.depth_paths[part],
    )


def _absolute(text: str) -> Path:
    return Path(text).absolute()


def _true_poses(sequence: ImageSequence, choice: DriveChoice) -> np.ndarray:
    if choice.poses is None:
        if sequence.poses is None:
            raise InputError(
                f"{choice.folder}: no true poses, expected poses.txt in it, or --poses with a folder of {sequence.name}.txt"
            )
        return sequence.poses
    path = choice.poses / f"{sequence.name}.txt"
    return _rows_of_frames(path, read_poses(path), sequence.frame_numbers)


def _rows_of_frames(path: Path, file: PoseFile, numbers: tuple[int, ...]) -> np.ndarray:
    if file.stamps_s is not None or file.frame_numbers is not None:
        raise InputError(f"{path}: expected KITTI's rows of 12 numbers, row k of frame k")
    if len(file.poses) <= numbers[-1]:
        raise InputError(
            f"{path}: {len(file.poses)} poses, expected one for each frame up to {numbers[-1]}"
        )
    return file.poses[list(numbers)]


def _part(sequence: ImageSequence, choice: DriveChoice) -> slice:
    numbers = list(sequence.frame_numbers)
    if choice.frames is None:
        if len(numbers) < LEAST_FRAMES:
            raise InputError(
                f"{choice.folder}: {len(numbers)} frames, expected at least {LEAST_FRAMES}"
            )
        return slice(None)
    first, last = choice.frames
    if first not in numbers or last not in numbers:
        raise InputError(
            f"{choice.folder}: has frames {numbers[0]} to {numbers[-1]}, expected {first} to {last} among them"
        )
    return slice(numbers.index(first), numbers.index(last) + 1)
