"""The odometry: grey frames in, one motion a frame out, in an arbitrary unit of length."""

from collections import deque
from dataclasses import dataclass

import numpy as np

from sfm_odometry.tracking.trajectory import invert_rigid
from training.classical.config import ClassicalConfig
from training.classical.epipolar import epipolar_motion, inverse_depths, rays
from training.classical.tracks import Observations, Tracker, common


@dataclass(frozen=True, eq=False)
class ClassicalStep:
    """The motion from the frame before, (4, 4); the identity for the first one. doubt: what it
    is not known by, empty where all is well."""

    previous_from_current: np.ndarray
    doubt: str = ""


class ClassicalOdometry:
    """Frame-to-frame odometry of a camera with matrix k (3, 3).

    Rotation and direction of each step by the essential matrix; its length so that points seen in
    three frames or more keep their depth. The first step has length one, and a step of unknown
    length that of the one before.
    """

    def __init__(self, k: np.ndarray, config: ClassicalConfig | None = None) -> None:
        self._k, self._config = k, config or ClassicalConfig()
        self._tracker = Tracker(self._config)
        self._seen: deque[tuple[Observations, np.ndarray]] = deque(maxlen=self._config.history)
        """The frames before the current one, oldest first, with start_from_camera."""
        self._length = 1.0
        self._previous_from_current = np.eye(4)

    def process(self, grey: np.ndarray) -> ClassicalStep:
        """Take the next frame, uint8 (H, W)."""
        tracks = self._tracker.advance(grey)
        step = self._step(tracks) if self._seen else ClassicalStep(np.eye(4))
        before = self._seen[-1][1] if self._seen else np.eye(4)
        self._seen.append((tracks, before @ step.previous_from_current))
        self._previous_from_current = step.previous_from_current
        return step

    def _step(self, tracks: Observations) -> ClassicalStep:
        before, now = common(self._seen[-1][0], tracks)
        if len(now) < self._config.min_tracks:
            return ClassicalStep(
                self._previous_from_current, f"{len(now)} tracks: goes on as before"
            )
        if np.median(np.linalg.norm(now - before, axis=1)) < self._config.still_pixels:
            return ClassicalStep(np.eye(4))
        motion = epipolar_motion(before, now, self._k, self._config)
        if motion is None:
            return ClassicalStep(
                self._previous_from_current, "no motion that the tracks agree on: goes on as before"
            )
        return self._with_length(motion.b_from_a, tracks)

    def _with_length(
        self, current_from_previous: np.ndarray, tracks: Observations
    ) -> ClassicalStep:
        ratios, weights = self._lengths(current_from_previous, tracks)
        # The first step is the unit of length: nothing is unknown about it.
        length, doubt = self._length, "length unknown: as before" if len(self._seen) > 1 else ""
        if len(ratios) >= self._config.min_depth_ratios:
            wanted = weighted_median(ratios, weights)
            if (
                1 / self._config.max_length_ratio
                < wanted / self._length
                < self._config.max_length_ratio
            ):
                length, doubt = wanted, ""
        self._length = length
        current_from_previous = current_from_previous.copy()
        current_from_previous[:3, 3] *= length
        return ClassicalStep(invert_rigid(current_from_previous), doubt)

    def _lengths(
        self, current_from_previous: np.ndarray, tracks: Observations
    ) -> tuple[np.ndarray, np.ndarray]:
        """(P,) lengths of this step by which each point keeps the depth that it had in the
        previous frame, and their weights."""
        least = self._config.min_parallax_pixels / self._k[0, 0]
        previous, start_from_previous = self._seen[-1]
        found, done = [np.zeros((0, 2))], np.zeros(0, np.int64)
        for older, start_from_older in list(self._seen)[:-1]:
            ids = np.setdiff1d(
                np.intersect1d(np.intersect1d(older.ids, previous.ids), tracks.ids), done
            )
            done = np.union1d(done, ids)
            in_older, in_previous, in_current = (
                rays(seen.pixels[np.searchsorted(seen.ids, ids)], self._k)
                for seen in (older, previous, tracks)
            )
            known, parallax_before = inverse_depths(
                in_previous, in_older, invert_rigid(start_from_older) @ start_from_previous
            )
            unit, parallax_now = inverse_depths(in_previous, in_current, current_from_previous)
            good = (parallax_before > least) & (parallax_now > least)
            weights = 1 / (1 / parallax_before[good] ** 2 + 1 / parallax_now[good] ** 2)
            found.append(np.column_stack([unit[good] / known[good], weights]))
        lengths, weights = np.concatenate(found).T
        return lengths, weights


def weighted_median(values: np.ndarray, weights: np.ndarray) -> float:
    """The value (of (P,)) below which half of the weight (P,) lies."""
    order = np.argsort(values)
    cumulative = np.cumsum(weights[order])
    return float(values[order[np.searchsorted(cumulative, cumulative[-1] / 2)]])
