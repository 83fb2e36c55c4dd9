"""Rules for static frames, in which the camera stands still.

Static frames teach nothing about motion and are left out of snippets.
"""

import itertools
from collections.abc import Iterator
from concurrent.futures import Executor
from pathlib import Path

import cv2
import numpy as np

from sfm_odometry.errors import InputError
from sfm_odometry.io.text import read_text

FLOW_LIMIT_PX = 1.0
"""Mean optical flow to the next frame under which a frame is static, in pixels at the prepared
size (SfMLearner, supplement)."""
FLOW_CHUNK_FRAMES = 64
"""Number of frames whose flows one worker computes at a time."""


class KeepStatic:
    """Rule that no frame is static."""

    text = "keep"
    """Text that identifies the rule: rules with the same text are the same."""

    def numbers(
        self, drive: str, numbers: np.ndarray, frames: np.ndarray, pool: Executor
    ) -> list[int]:
        """Returns an empty list."""
        return []


class StaticByList:
    """Rule that the frames listed in a file are static, for each camera of a drive.

    Each line is `date drive frame`, as published with SfMLearner, for example
    2011_09_26 2011_09_26_drive_0001_sync 0000000042.
    """

    def __init__(self, path: Path) -> None:
        """Reads the file; raises InputError naming file and line for any other line."""
        self.text = read_text(path)
        self._numbers: dict[str, set[int]] = {}
        for row, line in enumerate(self.text.splitlines(), start=1):
            words = line.split()
            if not words:
                continue
            if len(words) != 3 or not words[2].isdigit():
                raise InputError(
                    f"{path}, line {row}: {line[:60]!r}, "
                    "expected a date, a drive and a frame number"
                )
            self._numbers.setdefault(words[1], set()).add(int(words[2]))

    def numbers(
        self, drive: str, numbers: np.ndarray, frames: np.ndarray, pool: Executor
    ) -> list[int]:
        """Returns the listed frame numbers among `numbers` (N,)."""
        return sorted(self._numbers.get(drive, set()) & set(numbers.tolist()))


class StaticByFlow:
    """Rule that frames are static if their mean optical flow to the next is under a pixel."""

    text = f"flow {FLOW_LIMIT_PX}"
    """Text that identifies the rule."""

    def numbers(
        self, drive: str, numbers: np.ndarray, frames: np.ndarray, pool: Executor
    ) -> list[int]:
        """Returns the static ones of `numbers` (N,), for prepared frames (N, H, W, C).

        A frame without a next one, the last or before a gap, is static if the one before it is.
        """
        chunks = [
            frames[first : first + FLOW_CHUNK_FRAMES + 1]
            for first in range(0, max(len(frames) - 1, 0), FLOW_CHUNK_FRAMES)
        ]
        flows = np.concatenate([[], *pool.map(mean_flows, chunks)])
        consecutive = np.diff(numbers) == 1
        static = np.append((flows < FLOW_LIMIT_PX) & consecutive, values=False)
        static[1:] |= static[:-1] & ~np.append(consecutive[1:], values=False)
        return numbers[static].tolist()


StaticRule = KeepStatic | StaticByList | StaticByFlow


def static_rule(text: str) -> StaticRule:
    """Returns the rule of `--static keep|flow|FILE`; raises InputError for an unusable file."""
    if text == "keep":
        return KeepStatic()
    return StaticByFlow() if text == "flow" else StaticByList(Path(text))


def mean_flows(frames: np.ndarray) -> np.ndarray:
    """Returns the mean optical flow from each frame to the next, (N - 1,) in pixels.

    `frames` are uint8 (N, H, W, C), grey or RGB.
    """
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    greys = list(_greys(frames))
    zero = np.zeros((*frames.shape[1:3], 2), np.float32)
    fields = [flow.calc(first, second, zero.copy()) for first, second in itertools.pairwise(greys)]
    return np.array([np.linalg.norm(field, axis=-1).mean() for field in fields])


def _greys(frames: np.ndarray) -> Iterator[np.ndarray]:
    """Yields the frames as contiguous grey images (H, W)."""
    for frame in frames:
        yield (
            cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
            if frame.shape[-1] == 3
            else np.ascontiguousarray(frame[..., 0])
        )
