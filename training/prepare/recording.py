"""What a source of data gives: recordings, each one camera's frames of one drive."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sfm_odometry.geometry.camera import Intrinsics

Window = tuple[int, int, int, int]
"""left, top, width, height in pixels."""


@dataclass(frozen=True)
class SourceFrame:
    """One frame on its way: its image is decoded when a worker calls for it."""

    number: int
    """Frames whose numbers follow each other are neighbours in time."""
    image: Callable[[], np.ndarray] | None
    """Gives uint8 (H, W) grey or (H, W, 3) RGB, or raises InputError; None where it was said
    that the frame is not wanted."""
    depth_path: Path | None = None
    mask_path: Path | None = None


@dataclass(frozen=True)
class SceneView:
    """The part of a recording's images that becomes a scene; most recordings have one view, the
    whole image."""

    scene: str
    """The scene's name."""
    camera: str
    """The camera's name; scenes with the same name and intrinsics share one camera."""
    window: Window | None = None
    """What is cut out of the images before they are resized; None is the whole."""


@dataclass(frozen=True, eq=False)
class Recording:
    """N frames of one camera on one drive, read in order."""

    drive: str
    views: tuple[SceneView, ...]
    intrinsics: Intrinsics
    """Of the whole images."""
    channels: int
    """1 (grey) or 3 (RGB)."""
    frames: Callable[[Callable[[int], bool]], Iterator[SourceFrame]]
    """Gives the frames in order; asked whether the frame of an index is wanted, it may leave out
    the images of others."""
    count: int
    """N, or about N where only reading tells; for the progress bar."""
    origin: str
    """Says what is read: as long as it is the same, what was prepared from it still holds."""
    intrinsics_known: bool = True
    poses: np.ndarray | None = None
    """(N, 4, 4) camera0_from_camera."""
    poses_supervise: bool = False
    """Real data is learned from without labels; only a rendered drive's truth may supervise a
    warm start."""
    has_depth: bool = False
    has_motion_mask: bool = False
