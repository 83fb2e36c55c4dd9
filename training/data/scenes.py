"""Prepared data sets as they lie on disk: memory-mapped uint8 frames, one folder a scene, one
small index; and their split."""

import hashlib
import json
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

FORMAT = "sfm_odometry prepared data"
VERSION = 1
ARRAYS = 4
"""A scene has at most these: frames, depth, motion mask, poses."""
SPARE_FILES = 256
"""Files that the rest of a run may want open."""


@dataclass(frozen=True, eq=False)
class Camera:
    """One of a run's cameras: scenes that share it share its intrinsics, also where these are
    learned."""

    name: str
    intrinsics: np.ndarray
    """(3, 3) of the prepared size."""
    known: bool
    """False where the intrinsics are a guess, as from a field of view."""


@dataclass(frozen=True, eq=False)
class Scene:
    """One drive of one camera; N frames, arrays memory-mapped."""

    name: str
    drive: str
    """The recording that the scene is of; the cameras of one drive see the same moments under
    the same frame numbers."""
    camera: Camera
    frames: np.ndarray
    """(N, H, W, C) uint8."""
    frame_numbers: np.ndarray
    """(N,) int, increasing; neighbours are frames whose numbers follow each other."""
    static: np.ndarray
    """(N,) bool: frames in which the camera stands still, which no snippet contains."""
    depth: np.ndarray | None
    """(N, H, W) float16 in metres, 0 = unknown, inf = sky; only where the source has truth."""
    motion_mask: np.ndarray | None
    """(N, H, W) uint8, 255 = a moving object; only where the source has truth."""
    poses: np.ndarray | None
    """(N, 4, 4) camera0_from_camera; KITTI's are for validation alone, a rendered drive's may
    supervise a warm start."""
    poses_supervise: bool
    """Whether the poses may be used in training."""
    resize_mode: str
    """How the source's images became this size: crop, stretch or pad."""

    @property
    def intrinsics(self) -> np.ndarray:
        """(3, 3) of the prepared size."""
        return self.camera.intrinsics

    @property
    def has_truth(self) -> bool:
        """Whether there are true depth and true motion masks."""
        return self.depth is not None and self.motion_mask is not None

    def snippet_starts(self, length: int) -> np.ndarray:
        """Indices of first frames of all snippets of `length` consecutive frame numbers."""
        numbers = self.frame_numbers
        if len(numbers) < length:
            return np.empty(0, np.int64)
        starts = np.arange(len(numbers) - length + 1)
        static_before = np.concatenate([[0], np.cumsum(self.static)])
        moving = static_before[starts + length] == static_before[starts]
        return np.flatnonzero(
            (numbers[starts + length - 1] - numbers[starts] == length - 1) & moving
        )


def open_data(folder: Path) -> list[Scene]:
    """The scenes of a prepared data set; raises InputError naming the file that is missing,
    foreign or truncated."""
    index_path = folder / "index.json"
    index = _read_json(index_path)
    if (
        index.get("format") != FORMAT
        or index.get("version") != VERSION
        or not isinstance(index.get("scenes"), list)
    ):
        raise InputError(
            f"{index_path}: not an index of version {VERSION} written by training.prepare"
        )
    _allow_open_files(ARRAYS * len(index["scenes"]))
    return [_open_scene(folder / str(name)) for name in index["scenes"]]


def _allow_open_files(count: int) -> None:
    """Each mapped array holds a file open, and the usual limit of 1024 is soft."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = len(os.listdir("/proc/self/fd")) + count + SPARE_FILES
    if soft < wanted and soft != resource.RLIM_INFINITY:
        resource.setrlimit(
            resource.RLIMIT_NOFILE,
            (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard),
        )


def _open_scene(folder: Path) -> Scene:
    path = folder / "scene.json"
    description = _read_json(path)
    try:
        return _described_scene(folder, description)
    except (KeyError, TypeError, ValueError) as error:
        what = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise InputError(f"{path}: {what}, expected a scene written by training.prepare") from error


def _described_scene(folder: Path, description: dict[str, Any]) -> Scene:
    numbers = np.array(description["frame_numbers"], np.int64)
    if numbers.ndim != 1 or (np.diff(numbers) <= 0).any():
        raise ValueError("frame_numbers do not increase")
    size = (len(numbers), description["height"], description["width"])
    intrinsics = np.array(description["intrinsics"], np.float64).reshape(3, 3)
    drive = description.get("drive") or description.get(
        "source", folder.name
    )  # data of release 0.1 names no drive
    return Scene(
        name=folder.name,
        drive=drive,
        camera=Camera(
            description.get("camera_name", folder.name),
            intrinsics,
            description.get("intrinsics_known", True),
        ),
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
    )


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text())
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror}), expected data written by training.prepare"
        ) from error
    except ValueError as error:
        raise InputError(
            f"{path}: not JSON ({error}), expected data written by training.prepare"
        ) from error
    if not isinstance(content, dict):
        raise InputError(
            f"{path}: not an object of JSON, expected data written by training.prepare"
        )
    return content


def _map_array(path: Path, shape: tuple[int, ...], dtype: DTypeLike) -> np.ndarray:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path}: cannot be mapped ({error}), expected an array of shape {shape}"
        ) from error
    if array.shape != shape or array.dtype != dtype:
        raise InputError(
            f"{path}: {array.dtype} array of shape {array.shape}, expected {np.dtype(dtype)} of {shape} by scene.json"
        )
    return array.view(
        np.ndarray
    )  # np.memmap's own bookkeeping costs more than the copy of a small frame


def split_scenes(
    scenes: Sequence[Scene], patterns: Sequence[str], fraction: float = 0.0
) -> tuple[list[Scene], list[Scene]]:
    """Training and validation scenes; call it with the scenes of all data sets together, so that no
    drive ends on both sides.

    patterns: scenes whose name or drive matches one of these (as in a shell) are kept for
    validation, and with them every scene that shows moments of theirs, which are the other cameras
    of the same drive. fraction: where there are no patterns, this share of the drives is kept (the
    setting `validation_fraction`), at least one where there are two; which, depends on their names
    alone.
    """
    if not patterns:
        chosen = _some_drives({scene.drive for scene in scenes}, fraction)
        return [scene for scene in scenes if scene.drive not in chosen], [
            scene for scene in scenes if scene.drive in chosen
        ]
    validation = [
        scene
        for scene in scenes
        if any(fnmatch(name, pattern) for name in (scene.name, scene.drive) for pattern in patterns)
    ]
    training = [scene for scene in scenes if scene not in validation]
    while together := [
        scene for scene in training if any(_same_moments(scene, other) for other in validation)
    ]:
        validation += together
        training = [scene for scene in training if scene not in together]
    return training, [scene for scene in scenes if scene not in training]


def _some_drives(drives: set[str], fraction: float) -> set[str]:
    """A share of the drives, the same ones in whatever order; one more drive in the data changes
    the choice of the others little."""
    if fraction <= 0:
        return set()
    count = min(max(round(fraction * len(drives)), 1), len(drives) - 1)
    return set(sorted(drives, key=lambda drive: hashlib.sha256(drive.encode()).digest())[:count])


def _same_moments(first: Scene, second: Scene) -> bool:
    return first.drive == second.drive and bool(
        np.isin(first.frame_numbers, second.frame_numbers).any()
    )
