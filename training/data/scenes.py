"""Prepared data sets on disk: one index, one folder per scene with memory-mapped uint8 frames.

Also their split into training and validation.
"""

import hashlib
import os
import resource
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from sfm_odometry.errors import InputError
from training.data.index import read_json, scene_names
from training.data.lesson import Lesson, read_lesson

MAX_ARRAYS = 4
"""Maximum number of arrays of a scene: frames, depth, motion mask, poses."""
SPARE_FILES = 256
"""Number of files that the rest of a run may open."""


@dataclass(frozen=True, eq=False)
class Camera:
    """Camera of a run; scenes with the same camera share its intrinsics, even learned ones."""

    name: str
    intrinsics: np.ndarray
    """Camera matrix (3, 3) for the prepared size."""
    known: bool
    """Whether the camera is calibrated; its intrinsics may be a guess, as from a field of view."""


@dataclass(frozen=True, eq=False)
class Scene:
    """N frames of one camera on one drive; the arrays are memory-mapped."""

    name: str
    drive: str
    """Name of the recording.

    Frames of its cameras with the same frame number are of the same moment.
    """
    camera: Camera
    frames: np.ndarray
    """Images (N, H, W, C), uint8."""
    frame_numbers: np.ndarray
    """Frame numbers (N,), int, increasing; consecutive frames have consecutive numbers."""
    static: np.ndarray
    """(N,) bool: whether the camera stands still; no snippet contains such a frame."""
    depth: np.ndarray | None
    """True depth (N, H, W) in metres, float16; 0: unknown, inf: sky; None without truth."""
    motion_mask: np.ndarray | None
    """Mask (N, H, W), uint8, 255 on moving objects; None without truth."""
    poses: np.ndarray | None
    """Poses camera0_from_camera (N, 4, 4); None where unknown.

    KITTI's are for validation alone; a rendered drive's may supervise a warm start.
    """
    poses_supervise: bool
    """Whether the poses may be used in training."""
    resize_mode: str
    """Mode in which the source's images were resized: crop, stretch or pad."""
    lesson: Lesson | None = None
    """Motions and depths of the frames by training.teach; None where it has not run."""

    @property
    def intrinsics(self) -> np.ndarray:
        """Camera matrix (3, 3) for the prepared size."""
        return self.camera.intrinsics

    @property
    def has_truth(self) -> bool:
        """Whether the scene has true depth and true motion masks."""
        return self.depth is not None and self.motion_mask is not None

    def snippet_starts(self, length: int) -> np.ndarray:
        """Returns the first frame (index) of each snippet of `length` consecutive frames."""
        return snippet_starts(self.frame_numbers, self.static, length)


def snippet_starts(numbers: np.ndarray, static: np.ndarray, length: int) -> np.ndarray:
    """Returns the index of the first frame of each snippet of `length` consecutive frames.

    numbers: frame numbers (N,), increasing. static: (N,) bool, whether the camera stands still.
    """
    if len(numbers) < length:
        return np.empty(0, np.int64)
    starts = np.arange(len(numbers) - length + 1)
    static_before = np.concatenate([[0], np.cumsum(static)])
    moving = static_before[starts + length] == static_before[starts]
    consecutive = numbers[starts + length - 1] - numbers[starts] == length - 1
    return np.flatnonzero(consecutive & moving)


def open_data(folder: Path) -> list[Scene]:
    """Opens the scenes of a prepared data set.

    Raises InputError with the file that is missing, truncated or of another format.
    """
    names = scene_names(folder)
    _allow_open_files(MAX_ARRAYS * len(names))
    return [_open_scene(folder / name) for name in names]


def _allow_open_files(count: int) -> None:
    """Raises the soft limit of open files (usually 1024) to `count` more, one per mapped array."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    required = len(os.listdir("/proc/self/fd")) + count + SPARE_FILES
    if soft < required and soft != resource.RLIM_INFINITY:
        limit = required if hard == resource.RLIM_INFINITY else min(required, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))


def _open_scene(folder: Path) -> Scene:
    """Opens a scene's folder; raises InputError."""
    path = folder / "scene.json"
    description = read_json(path)
    try:
        return _described_scene(folder, description)
    except (KeyError, TypeError, ValueError) as error:
        problem = f"no {error}" if isinstance(error, KeyError) else str(error)
        message = f"{path}: {problem}, expected a scene written by training.prepare"
        raise InputError(message) from error


def _described_scene(folder: Path, description: dict[str, Any]) -> Scene:
    """Maps the arrays of a scene as described by its scene.json.

    Raises KeyError, TypeError or ValueError for a wrong description, InputError for wrong arrays.
    """
    # Check the description.
    numbers = np.array(description["frame_numbers"], np.int64)
    if numbers.ndim != 1 or (np.diff(numbers) <= 0).any():
        raise ValueError("frame_numbers do not increase")
    size = (len(numbers), description["height"], description["width"])
    intrinsics = np.array(description["intrinsics"], np.float64).reshape(3, 3)
    # Data of release 0.1 has no entry for the drive.
    drive = description.get("drive") or description.get("source", folder.name)
    camera = Camera(
        description.get("camera_name", folder.name),
        intrinsics,
        known=description.get("intrinsics_known", True),
    )
    # Map the arrays.
    return Scene(
        name=folder.name,
        drive=drive,
        camera=camera,
        frames=_map_array(folder / "frames.npy", (*size, description["channels"]), np.uint8),
        frame_numbers=numbers,
        static=np.isin(numbers, description.get("static", [])),
        depth=_map_array(folder / "depth.npy", size, np.float16)
        if description["has_depth"]
        else None,
        motion_mask=_map_array(folder / "motion_mask.npy", size, np.uint8)
        if description["has_motion_mask"]
        else None,
        poses=_map_array(folder / "poses.npy", (len(numbers), 4, 4), np.float64)
        if description["has_poses"]
        else None,
        poses_supervise=description["poses_supervise"],
        resize_mode=description["resize_mode"],
        lesson=read_lesson(folder, len(numbers)),
    )


def _map_array(path: Path, shape: tuple[int, ...], dtype: DTypeLike) -> np.ndarray:
    """Memory-maps an array; raises InputError unless it has this shape and type."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path}: cannot be mapped ({error}), expected an array of shape {shape}"
        ) from error
    if array.shape != shape or array.dtype != dtype:
        raise InputError(
            f"{path}: {array.dtype} array of shape {array.shape}, "
            f"expected {np.dtype(dtype)} of {shape} by scene.json"
        )
    # As a plain array: np.memmap's own bookkeeping costs more than the copy of a small frame.
    return array.view(np.ndarray)


def split_scenes(
    scenes: Sequence[Scene], patterns: Sequence[str], fraction: float = 0.0
) -> tuple[list[Scene], list[Scene]]:
    """Splits scenes into training and validation, without a common drive.

    Call it with the scenes of all data sets together. patterns: scenes whose name or drive matches
    one of these shell patterns are held out for validation, together with every scene of the same
    moments, which are the other cameras of the same drive. fraction: without patterns, this share
    of the drives is held out (the setting `validation_fraction`), at least one if there are two;
    the choice depends on the drives' names alone.
    """
    # Hold out a share of the drives.
    if not patterns:
        held_out = _held_out_drives({scene.drive for scene in scenes}, fraction)
        training = [scene for scene in scenes if scene.drive not in held_out]
        return training, [scene for scene in scenes if scene.drive in held_out]
    # Hold out the scenes that match, then repeatedly those with the same moments.
    validation = [
        scene
        for scene in scenes
        if any(fnmatch(name, pattern) for name in (scene.name, scene.drive) for pattern in patterns)
    ]
    training = [scene for scene in scenes if scene not in validation]
    while simultaneous := [
        scene for scene in training if any(_same_moments(scene, other) for other in validation)
    ]:
        validation += simultaneous
        training = [scene for scene in training if scene not in simultaneous]
    return training, [scene for scene in scenes if scene not in training]


def _held_out_drives(drives: set[str], fraction: float) -> set[str]:
    """Chooses a share of the drives by the hash of their names.

    One more drive in the data changes the choice of the others little.
    """
    if fraction <= 0:
        return set()
    count = min(max(round(fraction * len(drives)), 1), len(drives) - 1)
    return set(sorted(drives, key=lambda drive: hashlib.sha256(drive.encode()).digest())[:count])


def _same_moments(first: Scene, second: Scene) -> bool:
    """Returns whether two scenes of one drive have a common frame number."""
    return first.drive == second.drive and bool(
        np.isin(first.frame_numbers, second.frame_numbers).any()
    )
