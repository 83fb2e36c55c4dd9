"""A scene in work: one view of a recording, prepared frame by frame."""

import hashlib
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sfm_odometry.errors import InputError
from sfm_odometry.geometry.preprocess import Preprocessor
from training.prepare.recording import Recording, SceneView, Window
from training.prepare.static import StaticRule
from training.prepare.writer import SceneWriter


@dataclass(frozen=True)
class Options:
    """How frames are prepared, whatever they come from."""

    width: int
    height: int
    resize_mode: str
    grey: bool
    static: StaticRule


@dataclass(frozen=True)
class PreparedScene:
    """What became of one view."""

    name: str
    frames: int
    static: int


class SceneInWork:
    """One view of a recording on its way to become a scene."""

    def __init__(self, recording: Recording, view: SceneView, out: Path, options: Options) -> None:
        intrinsics = (
            recording.intrinsics
            if view.window is None
            else recording.intrinsics.cropped(*view.window)
        )
        channels = 1 if options.grey else recording.channels
        self._recording, self._view, self._options = recording, view, options
        self._preprocessor = Preprocessor(
            intrinsics, options.width, options.height, channels, options.resize_mode
        )
        self.writer = SceneWriter(out / view.scene, self._made_from(), self._items())

    def _items(self) -> dict[str, tuple[type, tuple[int, ...]]]:
        size = self._options.height, self._options.width
        items: dict[str, tuple[type, tuple[int, ...]]] = {
            "frames": (np.uint8, (*size, self._preprocessor.channels))
        }
        if self._recording.has_depth:
            items["depth"] = (np.float16, size)
        if self._recording.has_motion_mask:
            items["motion_mask"] = (np.uint8, size)
        if self._recording.poses is not None:
            items["poses"] = (np.float64, (4, 4))
        return items

    def _made_from(self) -> str:
        options = (
            self._options.width,
            self._options.height,
            self._options.resize_mode,
            self._options.grey,
            self._options.static.text,
        )
        recording = self._recording
        poses = b"" if recording.poses is None else recording.poses.tobytes()
        facts = (
            recording.origin,
            recording.intrinsics,
            recording.intrinsics_known,
            recording.drive,
            self._view,
            options,
        )
        return hashlib.sha256(repr(facts).encode() + poses).hexdigest()

    def is_complete(self) -> bool:
        """Whether the scene is there already, made from the same in the same way."""
        return self.writer.complete_description() is not None

    def write(
        self, index: int, image: np.ndarray, depth: np.ndarray | None, mask: np.ndarray | None
    ) -> None:
        """Prepare and write one frame."""
        prepare = self._preprocessor
        self.writer.write("frames", index, prepare(_cut(image, self._view.window)))
        if depth is not None:
            self.writer.write("depth", index, prepare.warp_nearest(_cut(depth, self._view.window)))
        if mask is not None:
            self.writer.write(
                "motion_mask", index, prepare.warp_nearest(_cut(mask, self._view.window))
            )

    def finish(self, numbers: np.ndarray, pool: Executor) -> None:
        """Write what belongs to the whole scene, which is complete then."""
        if not len(numbers):
            raise InputError(f"{self._view.scene}: no frames in it")
        for index, pose in enumerate(
            [] if self._recording.poses is None else self._recording.poses
        ):
            self.writer.write("poses", index, pose)
        frames = self.writer.map("frames", len(numbers))
        static = self._options.static.numbers(self._recording.drive, numbers, frames, pool)
        self.writer.finish(len(numbers), self._describe(numbers.tolist(), static))

    def _describe(self, numbers: list[int], static: list[int]) -> dict[str, Any]:
        intrinsics = self._preprocessor.intrinsics
        return {
            "drive": self._recording.drive,
            "camera_name": self._view.camera,
            "intrinsics": intrinsics.matrix().tolist(),
            "intrinsics_known": self._recording.intrinsics_known,
            "width": intrinsics.width,
            "height": intrinsics.height,
            "channels": self._preprocessor.channels,
            "resize_mode": self._options.resize_mode,
            "has_depth": self._recording.has_depth,
            "has_motion_mask": self._recording.has_motion_mask,
            "has_poses": self._recording.poses is not None,
            "poses_supervise": self._recording.poses_supervise,
            "static": static,
            "frame_numbers": numbers,
        }

    def summary(self) -> PreparedScene:
        """Of the complete scene."""
        description = self.writer.complete_description() or {}
        return PreparedScene(
            self._view.scene, len(description["frame_numbers"]), len(description["static"])
        )


def _cut(image: np.ndarray, window: Window | None) -> np.ndarray:
    if window is None:
        return image
    left, top, width, height = window
    return image[top : top + height, left : left + width]
