"""Drives with true poses: selection of folder and frames, and reading."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sfm_odometry.errors import InputError
from sfm_odometry.geometry.camera import Intrinsics
from sfm_odometry.io.kitti import ImageSequence, open_sequence
from sfm_odometry.io.trajectories import PoseFile, read_poses
from training.evaluate.commands.shared import note

MIN_FRAMES = 5


@dataclass(frozen=True)
class DriveChoice:
    """Selection of a sequence folder, of a range of its frames and of the true poses."""

    folder: Path
    frames: tuple[int, int] | None = None
    """First and last frame number, both included; None: all frames."""
    poses: Path | None = None
    """Folder of <sequence>.txt with the true poses; None: the sequence's own poses."""

    @property
    def name(self) -> str:
        """Name of the folder with the frame range; suitable as a file name."""
        return (
            self.folder.name
            if self.frames is None
            else f"{self.folder.name}_{self.frames[0]}-{self.frames[1]}"
        )


@dataclass(frozen=True, eq=False)
class EvaluatedDrive:
    """N frames of a drive with their ground truth; fields as in `ImageSequence`."""

    name: str
    image_paths: tuple[Path, ...]
    stamps_ns: tuple[int, ...]
    intrinsics: Intrinsics
    true_poses: np.ndarray
    """(N, 4, 4) float64 camera0_from_camera in metres."""
    depth_paths: tuple[Path, ...] | None
    """Files of true depth; None where the drive has none."""


def parse_choice(text: str, poses: Path | None = None) -> DriveChoice:
    """Parse FOLDER or FOLDER:FIRST-LAST; InputError for a range of too few frames."""
    match = re.fullmatch(r"(.+):(\d+)-(\d+)", text)
    if match is None:
        return DriveChoice(Path(text).absolute(), None, poses)
    first = int(match[2])
    last = int(match[3])
    if last - first + 1 < MIN_FRAMES:
        raise InputError(f"{text}: frames {first} to {last}, expected at least {MIN_FRAMES}")
    return DriveChoice(Path(match[1]).absolute(), (first, last), poses)


def parse_choices(texts: list[str], poses: Path | None = None) -> list[DriveChoice]:
    """Parse several drives; InputError where two have the same name, since results go by name."""
    choices = [parse_choice(text, poses) for text in texts]
    names = [choice.name for choice in choices]
    for choice in choices:
        if names.count(choice.name) > 1:
            raise InputError(
                f"{choice.folder}: two drives are called {choice.name}, "
                "expected folders of different names"
            )
    return choices


def open_drive(choice: DriveChoice) -> EvaluatedDrive:
    """Read the selected frames' paths, camera and true poses; InputError names missing parts."""
    sequence = open_sequence(choice.folder)
    true_poses = _true_poses(sequence, choice)
    selection = _selected_frames(sequence, choice)
    return EvaluatedDrive(
        name=choice.name,
        image_paths=sequence.image_paths[selection],
        stamps_ns=tuple(round(stamp * 1e9) for stamp in sequence.stamps_s[selection]),
        intrinsics=sequence.intrinsics,
        true_poses=true_poses[selection],
        depth_paths=None if sequence.depth_paths is None else sequence.depth_paths[selection],
    )


def _true_poses(sequence: ImageSequence, choice: DriveChoice) -> np.ndarray:
    """True poses (N, 4, 4) of all frames of the sequence, in its own order."""
    if choice.poses is None:
        if sequence.poses is None:
            raise InputError(
                f"{choice.folder}: no true poses, expected poses.txt in it, "
                f"or --poses with a folder of {sequence.name}.txt"
            )
        for text in sequence.notes:
            note(text)
        return sequence.poses
    path = choice.poses / f"{sequence.name}.txt"
    return _poses_of_frames(path, read_poses(path), sequence.frame_numbers)


def _poses_of_frames(path: Path, file: PoseFile, numbers: tuple[int, ...]) -> np.ndarray:
    """Poses (N, 4, 4) of a KITTI file at the frame numbers; InputError where it lacks one."""
    for text in file.notes:
        note(text)
    if file.stamps_s is not None:
        raise InputError(
            f"{path}: rows with stamps, expected KITTI's of 12 numbers, or 13 with the frame first"
        )
    if file.frame_numbers is not None:
        missing = np.setdiff1d(numbers, file.frame_numbers)
        if len(missing):
            raise InputError(
                f"{path}: no pose of frame {missing[0]} (and {len(missing) - 1} more), "
                "expected one for each frame"
            )
        return file.poses[np.searchsorted(file.frame_numbers, numbers)]
    if len(file.poses) <= numbers[-1]:
        raise InputError(
            f"{path}: {len(file.poses)} poses, expected one for each frame up to {numbers[-1]}"
        )
    return file.poses[list(numbers)]


def _selected_frames(sequence: ImageSequence, choice: DriveChoice) -> slice:
    """Slice of the sequence's frames that is selected; InputError where frames are missing."""
    numbers = list(sequence.frame_numbers)
    if choice.frames is None:
        if len(numbers) < MIN_FRAMES:
            raise InputError(
                f"{choice.folder}: {len(numbers)} frames, expected at least {MIN_FRAMES}"
            )
        return slice(None)
    first, last = choice.frames
    if first not in numbers or last not in numbers:
        raise InputError(
            f"{choice.folder}: has frames {numbers[0]} to {numbers[-1]}, "
            f"expected {first} to {last} among them"
        )
    return slice(numbers.index(first), numbers.index(last) + 1)
