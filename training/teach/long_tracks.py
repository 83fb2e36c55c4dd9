"""Corners followed through a video as long as they can be seen, and keyframes by their parallax."""

from dataclasses import dataclass, field

import numpy as np

from sfm_odometry.tracking.klt import MARGIN, detect_corners, track_klt
from sfm_odometry.tracking.track_config import TrackConfig

KEYFRAME_SHIFT = 0.025
"""Median shift of the corners since the last keyframe, as a share of the image's width, that makes
the next keyframe."""
KEYFRAME_LOST = 0.5
"""Share of the last keyframe's corners that may be lost before the next keyframe."""
MIN_CORNERS = 30
"""Fewest corners followed from the frame before for a step to be tracked."""
RETURN_PIXELS = 0.5
"""Greatest distance between a corner and its position after tracking forwards and backwards."""
CONFIG = TrackConfig(points=500, quality=0.003, patch=9, levels=3)
"""Larger patches than at run time: a corner is followed for seconds, not for some frames."""


@dataclass
class Tracks:
    """Observations of corners, frame after frame."""

    frame: list[np.ndarray] = field(default_factory=list)
    """(M,) index of the frame, one array a frame."""
    corner: list[np.ndarray] = field(default_factory=list)
    """(M,) number of the corner."""
    pixels: list[np.ndarray] = field(default_factory=list)
    """(M, 2) position."""
    keyframes: list[int] = field(default_factory=list)
    """Indices of the keyframes, in order."""
    shift: list[float] = field(default_factory=list)
    """Median shift in pixels of the corners from the frame before, one a frame; NaN where fewer
    than MIN_CORNERS were followed."""

    def table(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """All observations: frame (M,), corner (M,), pixels (M, 2)."""
        return np.concatenate(self.frame), np.concatenate(self.corner), np.concatenate(self.pixels)


class CornerTracker:
    """Follows corners from frame to frame by KLT, forwards and backwards."""

    def __init__(self, config: TrackConfig = CONFIG, allowed: np.ndarray | None = None) -> None:
        """allowed: pixels bool (H, W) in which corners are followed, without the image's margins;
        None: all."""
        self.config = config
        self._allowed = allowed
        self.tracks = Tracks()
        self._grey: np.ndarray | None = None
        self._corners = np.zeros(0, int)
        self._pixels = np.zeros((0, 2))
        self._next_corner = 0
        self._at_keyframe: dict[int, np.ndarray] = {}

    def add(self, grey: np.ndarray) -> bool:
        """Follow the corners into the next frame, uint8 (H, W); returns whether it is a keyframe.

        New corners are detected in keyframes only: every corner is first seen by a keyframe.
        """
        index = len(self.tracks.shift)
        self._follow(grey)
        is_keyframe = self._is_keyframe(grey.shape[1])
        if is_keyframe:
            self._detect(grey)
            self.tracks.keyframes.append(index)
            self._at_keyframe = dict(zip(self._corners.tolist(), self._pixels, strict=True))
        # Note the positions.
        self.tracks.frame.append(np.full(len(self._corners), index))
        self.tracks.corner.append(self._corners.copy())
        self.tracks.pixels.append(self._pixels.copy())
        self._grey = grey
        return is_keyframe

    def cut(self) -> None:
        """Drop all corners: the next frame does not continue the last one."""
        self._grey = None

    def _follow(self, grey: np.ndarray) -> None:
        """Follow the corners, and note their median shift."""
        if self._grey is None or not len(self._corners):
            self._corners, self._pixels = np.zeros(0, int), np.zeros((0, 2))
            self._at_keyframe = {}
            self.tracks.shift.append(np.nan)
            return
        config = self.config
        start = self._pixels.astype(np.float32)
        moved, found = track_klt(self._grey, grey, start, start, config.patch, config.levels)
        back, found_back = track_klt(grey, self._grey, moved, start, config.patch, levels=0)
        # Keep those that return to where they were and lie inside the margin.
        returned = np.linalg.norm(back - start, axis=1) < RETURN_PIXELS
        last = (grey.shape[1] - 1 - MARGIN, grey.shape[0] - 1 - MARGIN)
        inside = (moved >= MARGIN).all(axis=1) & (moved <= last).all(axis=1)
        kept = found & found_back & returned & inside & self._is_allowed(moved)
        shift = np.linalg.norm(moved - start, axis=1)[kept]
        self.tracks.shift.append(float(np.median(shift)) if len(shift) >= MIN_CORNERS else np.nan)
        self._corners, self._pixels = self._corners[kept], moved[kept].astype(np.float64)

    def _is_allowed(self, pixels: np.ndarray) -> np.ndarray:
        """Mask (M,) bool of the pixels (M, 2) in the part of the image that is tracked."""
        if self._allowed is None:
            return np.ones(len(pixels), bool)
        height, width = self._allowed.shape
        u, v = np.round(pixels).astype(int).clip(0, (width - 1, height - 1)).T
        return self._allowed[v, u]

    def _is_keyframe(self, width: int) -> bool:
        """Whether the corners moved far enough since the last keyframe, or too many are lost."""
        before = self._at_keyframe
        common = [index for index, corner in enumerate(self._corners.tolist()) if corner in before]
        if len(common) < max(MIN_CORNERS, (1 - KEYFRAME_LOST) * len(before)):
            return True
        old = np.stack([before[corner] for corner in self._corners[common].tolist()])
        shift = np.linalg.norm(self._pixels[common] - old, axis=1)
        return float(np.median(shift)) > KEYFRAME_SHIFT * width

    def _detect(self, grey: np.ndarray) -> None:
        """Detect new corners between those that are followed."""
        room = self.config.points - len(self._corners)
        new = detect_corners(grey, self._pixels, room, self.config)
        new = new[self._is_allowed(new)]
        numbers = np.arange(self._next_corner, self._next_corner + len(new))
        self._next_corner += len(new)
        self._corners = np.concatenate([self._corners, numbers])
        self._pixels = np.concatenate([self._pixels, new])
