"""Recordings, the common form of all sources: each holds one camera's frames of one drive."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from sfm_odometry.geometry.camera import Intrinsics

Window = tuple[int, int, int, int]
"""Left, top, width, height in pixels."""


@dataclass(frozen=True)
class SourceFrame:
    """Frame of a source, not yet decoded: a worker calls `image` to decode it."""

    number: int
    """Frame number; consecutive numbers are neighbours in time."""
    image: Callable[[], np.ndarray] | None
    """Returns uint8 (H, W) grey or (H, W, 3) RGB, or raises InputError for a damaged image; None
    where the caller of `Recording.frames` did not ask for this frame."""
    depth_path: Path | None = None
    """File of the rendered depth map, or None."""
    mask_path: Path | None = None
    """File of the rendered motion mask, or None."""


@dataclass(frozen=True)
class SceneView:
    """Part of a recording's images that becomes a scene.

    Most recordings have one view, the whole image.
    """

    scene: str
    """Name of the scene."""
    camera: str
    """Name of the camera; scenes with the same name and intrinsics share one camera."""
    window: Window | None = None
    """Window cropped from the images before they are resized; None for the whole image."""


@dataclass(frozen=True, eq=False)
class Recording:
    """N frames of one camera on one drive, read in order."""

    drive: str
    """Name of the drive that the frames are from; several recordings may share it."""
    views: tuple[SceneView, ...]
    """Parts of the images that become scenes, one scene each."""
    intrinsics: Intrinsics
    """Intrinsics of the whole images, before any window is cropped."""
    channels: int
    """1 (grey) or 3 (RGB)."""
    frames: Callable[[Callable[[int], bool]], Iterator[SourceFrame]]
    """Returns an iterator over the frames in order. Its argument is a predicate, true for the
    index of a frame whose image is needed; the images of other frames may be left out."""
    count: int
    """N, or about N where only reading the source gives the exact number; for the progress bar."""
    origin: str
    """Fingerprint of the source: prepared scenes stay valid as long as it is the same."""
    intrinsics_known: bool = True
    """Whether the intrinsics come from a calibration."""
    poses: np.ndarray | None = None
    """(N, 4, 4) camera0_from_camera."""
    poses_supervise: bool = False
    """Whether the poses may supervise a warm start: true only for rendered drives, since real
    data is learned from without labels."""
    has_depth: bool = False
    """Whether every frame has a depth map."""
    has_motion_mask: bool = False
    """Whether every frame has a motion mask."""
    lost: Counter[str] = field(default_factory=Counter)
    """Number of frames that were lost while `frames` was read, by the reason, in words."""


def fingerprint_text(name: str, record: Any) -> str:
    """Returns the fields of a dataclass as text under a fixed name.

    Fingerprints of prepared scenes are made from this text: it equals the dataclass's repr, but
    stays the same when the class gets another name.
    """
    values = (f"{field.name}={getattr(record, field.name)!r}" for field in fields(record))
    return f"{name}({', '.join(values)})"
