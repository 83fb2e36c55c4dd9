"""Preparation of one scene, frame by frame, from one view of a recording."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sfm_odometry.errors import InputError
from sfm_odometry.geometry.preprocess import Preprocessor
from training.data.scenes import snippet_starts
from training.prepare.recording import Recording, SceneView, Window, fingerprint_text
from training.prepare.static import StaticRule
from training.prepare.writer import SceneWriter

SNIPPET_LENGTHS = (3, 5)
"""Numbers of frames of the snippets that the recipes learn from."""
MAX_DAMAGED_SHARE = 0.5
"""Share of damaged frames above which a scene is refused: it is not what it was taken for."""


@dataclass(frozen=True)
class Options:
    """Options of preparation that are common to all sources."""

    width: int
    """Width of the prepared frames in pixels."""
    height: int
    """Height of the prepared frames in pixels."""
    resize_mode: str
    """One of sfm_odometry.geometry.preprocess.RESIZE_MODES."""
    grey: bool
    """Whether frames are stored with one channel."""
    static: StaticRule
    """Rule by which frames count as static."""
    strict: bool = False
    """Whether a damaged image ends the preparation; otherwise it is left out."""


@dataclass(frozen=True)
class PreparedScene:
    """Summary of a complete scene."""

    name: str
    frames: int
    """Number of frames."""
    static: int
    """Number of static frames."""
    lost: Counter[str]
    """Number of frames that are not in the scene, by the reason, in words."""
    gaps: int
    """Number of places where frames are missing between two."""
    snippets: dict[int, int]
    """Number of snippets by their length in frames."""


class ScenePreparer:
    """Prepares one view of a recording and writes it as a scene."""

    def __init__(self, recording: Recording, view: SceneView, out: Path, options: Options) -> None:
        intrinsics = (
            recording.intrinsics
            if view.window is None
            else recording.intrinsics.cropped(*view.window)
        )
        channels = 1 if options.grey else recording.channels
        self._recording = recording
        self._view = view
        self.options = options
        self._preprocessor = Preprocessor(
            intrinsics, options.width, options.height, channels, options.resize_mode
        )
        self.writer = SceneWriter(out / view.scene, self._fingerprint(), self._item_types())

    def is_complete(self) -> bool:
        """Returns whether the scene exists, made from the same source with the same options."""
        return self.writer.complete_description() is not None

    def write(
        self, index: int, image: np.ndarray, depth: np.ndarray | None, mask: np.ndarray | None
    ) -> None:
        """Prepares and writes the frame at `index`.

        `image` is uint8 (H, W) or (H, W, 3), `depth` float (H, W) in metres and `mask` uint8
        (H, W), all of the whole image before any window is cropped.
        """
        window = self._view.window
        prepare = self._preprocessor
        self.writer.write("frames", index, prepare(_crop(image, window)))
        if depth is not None:
            self.writer.write("depth", index, prepare.warp_nearest(_crop(depth, window)))
        if mask is not None:
            self.writer.write("motion_mask", index, prepare.warp_nearest(_crop(mask, window)))

    def finish(self, numbers: np.ndarray, damaged: Sequence[int], pool: Executor) -> None:
        """Writes poses, static frames and description; the scene is complete afterwards.

        `numbers` (N,) are the frame numbers, `damaged` the indices of frames that are left out.
        Raises InputError where there are no frames, or most of them are damaged.
        """
        count = len(numbers)
        if len(damaged) > MAX_DAMAGED_SHARE * count:
            raise InputError(
                f"{self._view.scene}: {len(damaged)} of {count} frames cannot be used, "
                "expected a few damaged ones at most"
            )
        if not count:
            raise InputError(f"{self._view.scene}: no frames in it")
        if self._recording.poses is not None:
            for index, pose in enumerate(self._recording.poses):
                self.writer.write("poses", index, pose)
        # Close the places of damaged frames; their numbers stay a gap.
        if len(damaged):
            kept = np.delete(np.arange(count), damaged)
            self.writer.compact(kept.tolist())
            numbers = numbers[kept]
        frames = self.writer.read_back("frames", len(numbers))
        static = self.options.static.numbers(self._recording.drive, numbers, frames, pool)
        self.writer.finish(len(numbers), self._describe(numbers.tolist(), static))

    def summary(self) -> PreparedScene:
        """Returns the summary of the scene, which must be complete."""
        description = self.writer.complete_description() or {}
        numbers = np.array(description["frame_numbers"])
        static = description["static"]
        return PreparedScene(
            name=self._view.scene,
            frames=len(numbers),
            static=len(static),
            lost=Counter(description.get("lost", {})),
            gaps=int((np.diff(numbers) > 1).sum()),
            snippets={
                length: len(snippet_starts(numbers, np.isin(numbers, static), length))
                for length in SNIPPET_LENGTHS
            },
        )

    def _item_types(self) -> dict[str, tuple[type, tuple[int, ...]]]:
        """Returns type and shape of one frame's item in each array of the scene."""
        size = self.options.height, self.options.width
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

    def _fingerprint(self) -> str:
        """Returns a hash of source, view and options; scene.json holds it as `made_from`.

        The hashed text must not change from one version to the next, or scenes that are complete
        would be prepared again.
        """
        # Options and facts that decide the content of the scene.
        options = (
            self.options.width,
            self.options.height,
            self.options.resize_mode,
            self.options.grey,
            self.options.static.text,
        )
        recording = self._recording
        facts = (
            repr(recording.origin),
            fingerprint_text("Intrinsics", recording.intrinsics),
            repr(recording.intrinsics_known),
            repr(recording.drive),
            fingerprint_text("View", self._view),
            repr(options),
        )
        # Hash them with the poses.
        poses = b"" if recording.poses is None else recording.poses.tobytes()
        return hashlib.sha256(f"({', '.join(facts)})".encode() + poses).hexdigest()

    def _describe(self, numbers: list[int], static: list[int]) -> dict[str, Any]:
        """Returns the content of scene.json."""
        intrinsics = self._preprocessor.intrinsics
        return {
            "drive": self._recording.drive,
            "camera_name": self._view.camera,
            "intrinsics": intrinsics.matrix().tolist(),
            "intrinsics_known": self._recording.intrinsics_known,
            "width": intrinsics.width,
            "height": intrinsics.height,
            "channels": self._preprocessor.channels,
            "resize_mode": self.options.resize_mode,
            "has_depth": self._recording.has_depth,
            "has_motion_mask": self._recording.has_motion_mask,
            "has_poses": self._recording.poses is not None,
            "poses_supervise": self._recording.poses_supervise,
            "static": static,
            "frame_numbers": numbers,
            **({"lost": dict(self._recording.lost)} if self._recording.lost else {}),
        }


def _crop(image: np.ndarray, window: Window | None) -> np.ndarray:
    """Returns the window of an image (H, W, ...), or the whole image for None."""
    if window is None:
        return image
    left, top, width, height = window
    return image[top : top + height, left : left + width]
