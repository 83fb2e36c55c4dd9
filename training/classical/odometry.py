"""Frame-to-frame odometry from grey images, in an arbitrary unit of length."""

from collections import deque
from dataclasses import dataclass

import numpy as np

from sfm_odometry.geometry import se3
from training.classical.config import ClassicalConfig
from training.classical.epipolar import (
    epipolar_motion,
    inverse_depths,
    pixels_to_rays,
    rotation_fit,
)
from training.classical.tracks import Observations, Tracker, matched_pixels


@dataclass(frozen=True, eq=False)
class ClassicalStep:
    """Motion from the frame before to a frame."""

    previous_from_current: np.ndarray
    """(4, 4); the identity for the first frame."""
    warning: str = ""
    """Part of the motion that could not be estimated; empty where all of it could."""


class ClassicalOdometry:
    """Frame-to-frame odometry of a camera with matrix k (3, 3).

    The essential matrix gives the rotation and the direction of each step. The length is such that
    points tracked over three frames or more keep their depth. The first step has length one, and a
    step of unknown length has that of the one before.
    """

    def __init__(self, k: np.ndarray, config: ClassicalConfig | None = None) -> None:
        self._k = k
        self._config = config or ClassicalConfig()
        self._tracker = Tracker(self._config)
        self._history: deque[tuple[Observations, np.ndarray]] = deque(maxlen=self._config.history)
        """Frames before the current one, oldest first, with start_from_camera."""
        self._length = 1.0
        """Length of the newest step."""
        self._previous_from_current = np.eye(4)

    def process(self, grey: np.ndarray) -> ClassicalStep:
        """Estimate the step to the next frame, uint8 (H, W)."""
        tracks = self._tracker.advance(grey)
        step = self._step(tracks) if self._history else ClassicalStep(np.eye(4))
        start_from_previous = self._history[-1][1] if self._history else np.eye(4)
        self._history.append((tracks, start_from_previous @ step.previous_from_current))
        self._previous_from_current = step.previous_from_current
        return step

    def _step(self, tracks: Observations) -> ClassicalStep:
        """Step to the current frame; it repeats the step before where it cannot be estimated."""
        previous, current = matched_pixels(self._history[-1][0], tracks)
        if len(current) < self._config.min_tracks:
            return ClassicalStep(
                self._previous_from_current, f"{len(current)} tracks: goes on as before"
            )
        if np.median(np.linalg.norm(current - previous, axis=1)) < self._config.still_pixels:
            return ClassicalStep(np.eye(4))
        # Without parallax the essential matrix is arbitrary, and the rotation alone is exact.
        turn = rotation_fit(previous, current, self._k, self._config)
        if turn.residual_pixels < self._config.still_pixels:
            return ClassicalStep(se3.inverse(turn.b_from_a))
        motion = epipolar_motion(previous, current, self._k, self._config, turn.b_from_a[:3, :3])
        if motion is None:
            return ClassicalStep(
                self._previous_from_current, "no motion that the tracks agree on: goes on as before"
            )
        return self._scaled_step(motion.b_from_a, tracks)

    def _scaled_step(
        self, current_from_previous: np.ndarray, tracks: Observations
    ) -> ClassicalStep:
        """Step of a motion (4, 4) with a translation of length one, brought to its length."""
        ratios, weights = self._lengths(current_from_previous, tracks)
        length = self._length
        # The first step defines the unit of length, so its length is never unknown.
        warning = "length unknown: as before" if len(self._history) > 1 else ""
        if len(ratios) >= self._config.min_depth_ratios:
            estimate = weighted_median(ratios, weights)
            max_ratio = self._config.max_length_ratio
            if 1 / max_ratio < estimate / self._length < max_ratio:
                length = estimate
                warning = ""
        self._length = length
        current_from_previous = current_from_previous.copy()
        current_from_previous[:3, 3] *= length
        return ClassicalStep(se3.inverse(current_from_previous), warning)

    def _lengths(
        self, current_from_previous: np.ndarray, tracks: Observations
    ) -> tuple[np.ndarray, np.ndarray]:
        """Lengths (P,) of the current step, one for each triangulated point, and weights (P,).

        With its length a point keeps the depth that it had in the previous frame.
        """
        min_parallax = self._config.min_parallax_pixels / self._k[0, 0]
        previous, start_from_previous = self._history[-1]
        candidates = [np.zeros((0, 2))]
        used_ids = np.zeros(0, np.int64)
        for older, start_from_older in list(self._history)[:-1]:
            # Tracks through the older, the previous and the current frame, each in the oldest one.
            ids = np.setdiff1d(
                np.intersect1d(np.intersect1d(older.ids, previous.ids), tracks.ids), used_ids
            )
            used_ids = np.union1d(used_ids, ids)
            rays_older, rays_previous, rays_current = (
                pixels_to_rays(frame.pixels[np.searchsorted(frame.ids, ids)], self._k)
                for frame in (older, previous, tracks)
            )

            # Inverse depth in the previous frame, by the known motion and by the current one.
            known, known_parallax = inverse_depths(
                rays_previous, rays_older, se3.inverse(start_from_older) @ start_from_previous
            )
            unit, unit_parallax = inverse_depths(rays_previous, rays_current, current_from_previous)

            # Their ratio is the length, as exact as the two parallaxes are large.
            good = (known_parallax > min_parallax) & (unit_parallax > min_parallax)
            weights = 1 / (1 / known_parallax[good] ** 2 + 1 / unit_parallax[good] ** 2)
            candidates.append(np.column_stack([unit[good] / known[good], weights]))
        lengths, weights = np.concatenate(candidates).T
        return lengths, weights


def weighted_median(values: np.ndarray, weights: np.ndarray) -> float:
    """Weighted median of values (P,): half of the weight (P,) lies below it."""
    order = np.argsort(values)
    cumulative = np.cumsum(weights[order])
    return float(values[order[np.searchsorted(cumulative, cumulative[-1] / 2)]])
