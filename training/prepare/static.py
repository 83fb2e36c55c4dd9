"""Frames in which the camera stands still: they teach nothing about motion and are left out of
snippets."""

import itertools
from collections.abc import Iterator
from concurrent.futures import Executor
from pathlib import Path

import cv2
import numpy as np

from sfm_odometry.errors import InputError
from sfm_odometry.io.text import read_text

FLOW_LIMIT_PX = 1.0
"""Frames are static where the mean optical flow to the next one is under this, at the prepared
size (SfMLearner, supplement)."""
FLOW_CHUNK = 64


class KeepStatic:
    """All frames count."""

    text = "keep"
    """Says what the rule is; two with the same text are the same."""

    def numbers(
        self, drive: str, numbers: np.ndarray, frames: np.ndarray, pool: Executor
    ) -> list[int]:
        """None of them."""
        return []


class StaticByList:
    """A file of lines `date drive frame`, as published with SfMLearner: 2011_09_26
    2011_09_26_drive_0001_sync 0000000042."""

    def __init__(self, path: Path) -> None:
        """Raises InputError naming file and line where a line is another."""
        self.text = read_text(path)
        self._numbers: dict[str, set[int]] = {}
        for row, line in enumerate(self.text.splitlines(), start=1):
            words = line.split()
            if not words:
                continue
            if len(words) != 3 or not words[2].isdigit():
                raise InputError(
                    f"{path}, line {row}: {line[:60]!r}, expected a date, a drive and a frame number"
                )
            self._numbers.setdefault(words[1], set()).add(int(words[2]))

    def numbers(
        self, drive: str, numbers: np.ndarray, frames: np.ndarray, pool: Executor
    ) -> list[int]:
        """Those of a drive's frame numbers that are listed, for each of its cameras."""
        return sorted(self._numbers.get(drive, set()) & set(numbers.tolist()))


class StaticByFlow:
    """Frames whose mean optical flow to the next is under a pixel."""

    text = f"flow {FLOW_LIMIT_PX}"

    def numbers(
        self, drive: str, numbers: np.ndarray, frames: np.ndarray, pool: Executor
    ) -> list[int]:
        """The frame numbers of prepared frames (N, H, W, C) that are static; the last has no
        next and goes with the one before."""
        chunks = [
            frames[first : first + FLOW_CHUNK + 1]
            for first in range(0, max(len(frames) - 1, 0), FLOW_CHUNK)
        ]
        flows = np.concatenate([[], *pool.map(mean_flows, chunks)])
        consecutive = np.diff(numbers) == 1
        static = np.append((flows < FLOW_LIMIT_PX) & consecutive, False)
        static[1:] |= static[:-1] & ~np.append(consecutive[1:], False)
        return numbers[static].tolist()


StaticRule = KeepStatic | StaticByList | StaticByFlow


def static_rule(text: str) -> StaticRule:
    """What `--static keep|flow|FILE` says."""
    if text == "keep":
        return KeepStatic()
    return StaticByFlow() if text == "flow" else StaticByList(Path(text))


def mean_flows(frames: np.ndarray) -> np.ndarray:
    """(N - 1,) mean length in pixels of the optical flow from each of the frames (N, H, W, C) to
    the next."""
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    greys = list(_greys(frames))
    still = np.zeros((*frames.shape[1:3], 2), np.float32)
    fields = [flow.calc(first, second, still.copy()) for first, second in itertools.pairwise(greys)]
    return np.array([np.linalg.norm(field, axis=-1).mean() for field in fields])


def _greys(frames: np.ndarray) -> Iterator[np.ndarray]:
    for frame in frames:
        yield (
            cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
            if frame.shape[-1] == 3
            else np.ascontiguousarray(frame[..., 0])
        )
