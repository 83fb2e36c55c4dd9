"""Image sequences: KITTI odometry, KITTI raw, rendered drives, and SfMLearner's port's folders."""

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sfm_odometry.errors import ImageError, InputError
from sfm_odometry.geometry.camera import Intrinsics
from sfm_odometry.io.images import (
    check_image_size,
    existing_folder,
    frame_number,
    image_files,
    list_images,
    read_depth,
    read_image,
    read_pixels,
)
from sfm_odometry.io.kitti_calibration import read_calibration, read_times
from sfm_odometry.io.trajectories import read_poses

__all__ = [
    "CAMERAS",
    "NOMINAL_RATE_HZ",
    "ImageSequence",
    "camera_of_folder",
    "check_image_size",
    "frame_number",
    "list_images",
    "open_sequence",
    "read_calibration",
    "read_depth",
    "read_image",
    "read_times",
]

CAMERAS = (2, 0, 3, 1)
"""Cameras in order of preference: colour before grey, left before right."""
NOMINAL_RATE_HZ = 10.0
"""Frame rate of sequences without times."""
ReadIntrinsics = Callable[[Path, int, int, int], Intrinsics]
"""Reader of a calibration file, such as `read_calibration`: file, camera, width, height."""


@dataclass(frozen=True, eq=False)
class ImageSequence:
    """A sequence of N frames in order; all images have the size of `intrinsics`.

    name: name of the folder.
    image_paths: one for each frame.
    frame_numbers: from the file names, increasing, gaps allowed.
    stamps_s: (N,) float64, strictly increasing; nominal 10 Hz by frame number if the folder has no
    times.
    poses: (N, 4, 4) float64 camera0_from_camera as in KITTI's file, the motion of the left grey
    camera for any camera of the sequence; or None.
    depth_paths: depth of rendered drives, one for each frame, or None: 16-bit PNG, metres * 256,
    0 is unknown.
    mask_paths: motion masks of rendered drives, one for each frame, or None: 8-bit PNG, 255 is
    moving.
    notes: what of the poses' file was left out or sorted, in words.
    """

    name: str
    image_paths: tuple[Path, ...]
    frame_numbers: tuple[int, ...]
    stamps_s: np.ndarray
    intrinsics: Intrinsics
    poses: np.ndarray | None = None
    depth_paths: tuple[Path, ...] | None = None
    mask_paths: tuple[Path, ...] | None = None
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.image_paths)


def open_sequence(
    folder: Path,
    camera: int | None = None,
    read_intrinsics: ReadIntrinsics = read_calibration,
) -> ImageSequence:
    """Opens a sequence folder; `camera` defaults to the first present of 2, 0, 3, 1.

    read_intrinsics: gives the intrinsics; one that takes them from elsewhere needs no calibration
    in the folder.

    - KITTI odometry or a rendered drive: image_0..image_3, calib.txt, times.txt; poses in poses.txt
      or ../../poses/<folder>.txt.
    - KITTI raw: image_00..image_03/data, ../calib_cam_to_cam.txt, image_0X/timestamps.txt.
    - SfMLearner's port: *.jpg and cam.txt.

    Rows of times and poses belong to the images one by one. If frame numbers have gaps or do not
    start at 0, and in the official ../../poses file of the whole sequence, row k belongs to frame
    k. Only the first image that can be is read, for its size: see `check_image_size`. Raises
    InputError, or its subclasses CalibrationError and ImageError, for missing or wrong files.
    """
    folder = existing_folder(folder)
    if camera is not None and camera not in CAMERAS:
        raise InputError(f"camera {camera} is none of KITTI's: expected 0, 1, 2 or 3")
    if _cameras_in(folder, "image_{}"):
        selected = _select_camera(folder, "image_{}", camera)
        return _open_odometry(folder, selected, read_intrinsics)
    if _cameras_in(folder, "image_{:02d}"):
        return _open_raw(folder, _select_camera(folder, "image_{:02d}", camera), read_intrinsics)
    is_calibrated = (folder / "cam.txt").is_file() or read_intrinsics is not read_calibration
    if is_calibrated and image_files(folder):
        return _open_prepared(folder, read_intrinsics)
    expected = (
        "image_0..image_3 (KITTI odometry), image_00..image_03 (KITTI raw), or images with cam.txt"
    )
    raise InputError(f"{folder}: no sequence in it, expected {expected}")


def first_readable_image(paths: Sequence[Path]) -> np.ndarray:
    """Returns the first image that can be read, uint8, or uint16 where it is stored in 16 bits.

    Raises ImageError of the first where none can.
    """
    first_error: ImageError | None = None
    for path in paths:
        try:
            return read_pixels(path)
        except ImageError as error:
            first_error = first_error or error
    raise first_error or ImageError("no images to read")


def camera_of_folder(folder: Path) -> int | None:
    """Returns the number of the camera of an image folder by its name, or None.

    Names are image_2, image_02 and image_02/data.
    """
    folder = Path(os.path.abspath(folder))
    name = folder.parent.name if folder.name == "data" else folder.name
    match = re.fullmatch(r"image_0?([0-3])", name)
    return int(match.group(1)) if match else None


def _open_odometry(folder: Path, camera: int, read_intrinsics: ReadIntrinsics) -> ImageSequence:
    images = list_images(folder / f"image_{camera}")
    numbers = tuple(frame_number(path) for path in images)
    height, width = first_readable_image(images).shape[:2]
    poses, notes = _poses(folder, numbers)
    return ImageSequence(
        name=folder.name,
        image_paths=tuple(images),
        frame_numbers=numbers,
        stamps_s=_stamps(folder / "times.txt", numbers),
        intrinsics=read_intrinsics(folder / "calib.txt", camera, width, height),
        poses=poses,
        notes=notes,
        depth_paths=_paths_of_frames(folder / "depth", numbers),
        mask_paths=_paths_of_frames(folder / "motion_mask", numbers),
    )


def _open_raw(folder: Path, camera: int, read_intrinsics: ReadIntrinsics) -> ImageSequence:
    camera_folder = folder / f"image_{camera:02d}"
    images = list_images(camera_folder / "data")
    numbers = tuple(frame_number(path) for path in images)
    height, width = first_readable_image(images).shape[:2]
    intrinsics = read_intrinsics(folder.parent / "calib_cam_to_cam.txt", camera, width, height)
    return ImageSequence(
        name=folder.name,
        image_paths=tuple(images),
        frame_numbers=numbers,
        stamps_s=_stamps(camera_folder / "timestamps.txt", numbers),
        intrinsics=intrinsics,
    )


def _open_prepared(folder: Path, read_intrinsics: ReadIntrinsics) -> ImageSequence:
    images = list_images(folder)
    numbers = tuple(frame_number(path) for path in images)
    height, width = first_readable_image(images).shape[:2]
    intrinsics = read_intrinsics(folder / "cam.txt", 0, width, height)
    stamps_s = _stamps(folder / "times.txt", numbers)
    poses, notes = _poses(folder, numbers)
    return ImageSequence(
        name=folder.name,
        image_paths=tuple(images),
        frame_numbers=numbers,
        stamps_s=stamps_s,
        intrinsics=intrinsics,
        poses=poses,
        notes=notes,
    )


def _cameras_in(folder: Path, pattern: str) -> list[int]:
    return [camera for camera in CAMERAS if (folder / pattern.format(camera)).is_dir()]


def _select_camera(folder: Path, pattern: str, camera: int | None) -> int:
    present = _cameras_in(folder, pattern)
    if camera is not None and camera not in present:
        others = ", ".join(pattern.format(other) for other in sorted(present))
        raise InputError(f"{folder}: no {pattern.format(camera)} in it, only {others}")
    return present[0] if camera is None else camera


def _stamps(path: Path, numbers: tuple[int, ...]) -> np.ndarray:
    if not path.exists():
        return np.array(numbers, dtype=np.float64) / NOMINAL_RATE_HZ
    return _rows_of_frames(path, read_times(path), numbers, "times", whole_sequence=False)


def _poses(folder: Path, numbers: tuple[int, ...]) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """Poses of the frames, None without a file of them, and notes on the file."""
    # Find the file.
    local = folder / "poses.txt"
    official = folder.parent.parent / "poses" / f"{folder.name}.txt"
    path = local if local.exists() else official
    if not path.exists():
        return None, ()
    # Select the rows of the frames.
    file = read_poses(path)
    if file.stamps_s is not None:
        raise InputError(f"{path}: rows of 8 numbers (TUM), expected KITTI rows of 12")
    if file.frame_numbers is None:
        rows = _rows_of_frames(path, file.poses, numbers, "poses", whole_sequence=path is official)
        return rows, file.notes
    missing = sorted(set(numbers) - set(file.frame_numbers.tolist()))
    if missing:
        raise InputError(
            f"{path}: no pose of frame {missing[0]}, "
            f"expected one for each of the {len(numbers)} images"
        )
    return file.poses[np.searchsorted(file.frame_numbers, numbers)], file.notes


def _rows_of_frames(
    path: Path, rows: np.ndarray, numbers: tuple[int, ...], name: str, whole_sequence: bool
) -> np.ndarray:
    """Returns the rows of the frames: all, or by frame number.

    The latter if frames are missing, or if the file is that of the whole sequence.
    """
    if len(rows) == len(numbers):
        return rows
    by_number = whole_sequence or numbers != tuple(range(len(numbers)))
    if by_number and len(rows) > numbers[-1]:
        return rows[list(numbers)]
    raise InputError(
        f"{path}: {len(rows)} {name} for {len(numbers)} images "
        f"(frames {numbers[0]} to {numbers[-1]}), expected one for each"
    )


def _paths_of_frames(folder: Path, numbers: tuple[int, ...]) -> tuple[Path, ...] | None:
    if not folder.is_dir():
        return None
    paths = {frame_number(path): path for path in list_images(folder)}
    missing = [number for number in numbers if number not in paths]
    if missing:
        raise InputError(
            f"{folder}: no file of frame {missing[0]} (and {len(missing) - 1} more), "
            "expected one for each image"
        )
    return tuple(paths[number] for number in numbers)
