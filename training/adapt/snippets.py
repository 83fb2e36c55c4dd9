"""Snippets of footage that teach: their frames are chosen by parallax, not by time."""

from dataclasses import dataclass

import numpy as np
import torch

from sfm_odometry.errors import InputError
from training.data.taught import TaughtBatch, taught_fields
from training.teach.footage import Footage

PARALLAX_RAD = 0.03
"""Parallax between a target and its nearest source that teaches best: the translation between them
over the median depth."""
MIN_PARALLAX_RAD = 0.006
"""Least parallax, between the target and its farthest source, of a snippet that teaches depth."""
MAX_GAP = 30
"""Most frames from a snippet's target to its nearest source."""
MAX_TURN_SHARE = 0.35
"""Greatest turn from the target to the farthest source, as a share of the field of view."""
RUN_TIME_SHARE = 0.25
"""Share of the snippets whose frames are neighbours, as the motion network sees them."""
GAP_RANGE = (0.5, 1.6)
"""Range of the gaps that are drawn, times the one of best parallax."""
HELD_OUT = ((0.12, 0.17), (0.47, 0.52), (0.82, 0.87))
"""Parts of the footage that are held out, as shares of its frames."""
MIN_TARGETS = 20
"""Fewest frames to learn from."""
MIN_HELD_OUT = 3
"""Fewest held-out frames to measure on."""


@dataclass(frozen=True)
class Targets:
    """Frames that can be a snippet's target."""

    frames: np.ndarray
    """(T,) indices."""
    gaps: np.ndarray
    """(T,) frames to the nearest source, for the best parallax."""


class SnippetPool:
    """Draws batches of snippets of N frames from footage."""

    def __init__(self, footage: Footage, length: int) -> None:
        """length: N. Raises InputError where there is too little to learn from."""
        self.footage = footage
        self.length = length
        held_out = _held_out(len(footage.frames))
        gaps = np.array([best_gap(footage, frame, length) for frame in range(len(footage.frames))])
        usable = gaps > 0
        self._held_out = held_out
        allowed = np.array(
            [
                bool(usable[frame]) and self._allowed(self._frames(frame, int(gaps[frame])))
                for frame in range(len(footage.frames))
            ]
        )
        self.training = _targets(allowed, gaps)
        self.validation = _targets(usable & held_out, gaps)
        _check_count(footage, self.training, self.validation)

    def draw(self, count: int, random: np.random.Generator) -> TaughtBatch:
        """Draws a batch of snippets to learn from; no frame of them is held out."""
        snippets: list[np.ndarray] = []
        while len(snippets) < count:
            index = random.integers(len(self.training.frames))
            target, gap = self.training.frames[index], self.training.gaps[index]
            drawn = max(round(gap * random.uniform(*GAP_RANGE)), 1)
            if random.random() < RUN_TIME_SHARE:
                drawn = 1
            # The best gap where the drawn one leads into held-out frames or out of the footage.
            for try_gap in (drawn, int(gap)):
                frames = self._frames(int(target), try_gap)
                if self._allowed(frames):
                    snippets.append(frames)
                    break
        return self._batch(snippets)

    def held_out_batches(self, count: int, batch_size: int) -> list[TaughtBatch]:
        """Batches of at most `count` held-out targets with the sources of best parallax."""
        places = np.linspace(
            0, len(self.validation.frames) - 1, min(count, len(self.validation.frames))
        )
        chosen = places.round().astype(int)
        snippets = [
            self._frames(int(self.validation.frames[index]), int(self.validation.gaps[index]))
            for index in chosen
        ]
        return [
            self._batch(snippets[first : first + batch_size])
            for first in range(0, len(snippets), batch_size)
        ]

    def _frames(self, target: int, gap: int) -> np.ndarray:
        """Indices (N,) of a snippet's frames."""
        return target + gap * (np.arange(self.length) - self.length // 2)

    def _allowed(self, frames: np.ndarray) -> bool:
        """Whether all frames are in the footage, of one segment and not held out."""
        if frames[0] < 0 or frames[-1] >= len(self.footage.frames):
            return False
        one_segment = len(set(self.footage.lesson.segment[frames].tolist())) == 1
        return one_segment and not self._held_out[frames].any()

    def _batch(self, snippets: list[np.ndarray]) -> TaughtBatch:
        """The batch of snippets, each the indices of its frames."""
        footage, count = self.footage, len(snippets)
        frames = torch.from_numpy(np.stack([footage.frames[each] for each in snippets]))
        height, width = footage.frames.shape[1:3]
        intrinsics = torch.from_numpy(footage.intrinsics.matrix().astype(np.float32))
        nothing = torch.zeros(count, dtype=torch.bool)
        return TaughtBatch(
            frames=frames.permute(0, 1, 4, 2, 3),
            intrinsics=intrinsics.repeat(count, 1, 1),
            camera=torch.zeros(count, dtype=torch.int64),
            depth=torch.zeros(count, 1, height, width, dtype=torch.float16),
            moving=torch.zeros(count, 1, height, width, dtype=torch.uint8),
            camera_from_frame=torch.eye(4).repeat(count, self.length, 1, 1),
            has_depth=nothing,
            has_motion=nothing,
            **taught_fields(
                [(footage.lesson, each, footage.intrinsics.fx) for each in snippets],
                np.tile(footage.window, (count, 1)),
            ),
        )


def best_gap(footage: Footage, target: int, length: int) -> int:
    """Frames from a target to its nearest source at which the parallax is best; 0 if none teaches.

    The farthest source must still see most of what the target sees.
    """
    lesson, half = footage.lesson, length // 2
    if lesson.segment[target] < 0:
        return 0
    points = lesson.points(target)
    if not len(points):
        return 0
    nearness = float(np.median(points[:, 2]))
    field_rad = 2 * np.arctan((footage.window[2] - footage.window[0]) / 2 / footage.intrinsics.fx)
    best, best_parallax = 0, 0.0
    for gap in range(1, MAX_GAP + 1):
        ends = np.array([target - half * gap, target, target + half * gap])
        if ends[0] < 0 or ends[2] >= len(lesson.segment):
            break
        if len(set(lesson.segment[ends].tolist())) > 1:
            break
        # Parallax of, and turn to, the farthest sources.
        relative = np.linalg.inv(lesson.poses[target]) @ lesson.poses[ends[[0, 2]]]
        parallax = nearness * np.linalg.norm(relative[:, :3, 3], axis=1).mean()
        cosine = (np.trace(relative[:, :3, :3], axis1=1, axis2=2).min() - 1) / 2
        if np.arccos(np.clip(cosine, -1, 1)) > MAX_TURN_SHARE * field_rad:
            break
        if parallax > max(best_parallax, MIN_PARALLAX_RAD):
            best, best_parallax = gap, parallax
        if parallax > half * PARALLAX_RAD:
            break
    return best


def _held_out(count: int) -> np.ndarray:
    """Mask (N,) bool of the frames that are held out."""
    share = (np.arange(count) + 0.5) / count
    return np.any([(share >= first) & (share < last) for first, last in HELD_OUT], axis=0)


def _targets(usable: np.ndarray, gaps: np.ndarray) -> Targets:
    frames = np.flatnonzero(usable)
    return Targets(frames, gaps[frames])


def _check_count(footage: Footage, training: Targets, validation: Targets) -> None:
    """Raises InputError where there are too few targets, with what was found instead."""
    if len(training.frames) >= MIN_TARGETS and len(validation.frames) >= MIN_HELD_OUT:
        return
    count = len(footage.frames)
    posed = int((footage.lesson.segment >= 0).sum())
    if count < MIN_TARGETS:
        found = f"{count} frames"
    elif posed < MIN_TARGETS:
        found = f"only {posed} of {count} frames could be followed by their corners"
    else:
        usable = len(training.frames) + len(validation.frames)
        found = (
            f"only {usable} of {count} frames have parallax to others: "
            "the camera stands or only turns"
        )
    raise InputError(
        f"{found}; expected at least {MIN_TARGETS} to learn from and {MIN_HELD_OUT} to measure "
        "on, of a camera that moves sideways or forwards through a static scene"
    )
