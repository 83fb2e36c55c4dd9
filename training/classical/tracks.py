"""Feature tracks: corners that are followed from frame to frame."""

from dataclasses import dataclass

import cv2
import numpy as np

from training.classical.config import ClassicalConfig

MASKED = 0
FREE = 255


@dataclass(frozen=True, eq=False)
class Observations:
    """Keypoints of the N tracks in one frame."""

    ids: np.ndarray
    """(N,) int64 track numbers, increasing."""
    pixels: np.ndarray
    """(N, 2) float32 positions, x right and y down."""


def matched_pixels(a: Observations, b: Observations) -> tuple[np.ndarray, np.ndarray]:
    """Pixels (M, 2) in a and in b of the tracks that are in both frames."""
    _, in_a, in_b = np.intersect1d(a.ids, b.ids, assume_unique=True, return_indices=True)
    return a.pixels[in_a], b.pixels[in_b]


class Tracker:
    """Tracker of corners: Shi and Tomasi (CVPR 1994), followed by pyramidal Lucas-Kanade.

    Corners are spread over the image. A track ends when following it back does not lead to where
    it came from; new corners replace lost tracks.
    """

    def __init__(self, config: ClassicalConfig) -> None:
        self._config = config
        self._grey: np.ndarray | None = None
        self._tracks = Observations(np.zeros(0, np.int64), np.zeros((0, 2), np.float32))
        self._next_id = 0

    def advance(self, grey: np.ndarray) -> Observations:
        """Track into the next frame, uint8 (H, W); returns its tracks, new ones included."""
        tracked = self._tracks if self._grey is None else self._follow(self._grey, grey)
        corners = self._new_corners(grey, tracked.pixels)
        ids = np.arange(self._next_id, self._next_id + len(corners), dtype=np.int64)
        self._next_id += len(corners)
        self._tracks = Observations(
            np.concatenate([tracked.ids, ids]), np.concatenate([tracked.pixels, corners])
        )
        self._grey = grey
        return self._tracks

    def _follow(self, previous: np.ndarray, current: np.ndarray) -> Observations:
        """Tracks that optical flow follows to the current frame and back again."""
        if len(self._tracks.ids) == 0:
            return self._tracks
        pixels, found = self._flow(previous, current, self._tracks.pixels)
        returned, found_back = self._flow(current, previous, pixels)
        error = np.linalg.norm(returned - self._tracks.pixels, axis=1)
        inside = (pixels >= 0).all(axis=1) & (
            pixels <= (current.shape[1] - 1, current.shape[0] - 1)
        ).all(axis=1)
        good = found & found_back & inside & (error < self._config.forward_backward_pixels)
        return Observations(self._tracks.ids[good], pixels[good])

    def _flow(
        self, start: np.ndarray, end: np.ndarray, pixels: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Positions (N, 2) in the image `end` of pixels (N, 2) of `start`, and (N,) found or not.

        Both images are uint8 (H, W).
        """
        window = (self._config.window_pixels,) * 2
        termination = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 30, 0.01)
        positions, status, _ = cv2.calcOpticalFlowPyrLK(
            start,
            end,
            pixels[:, None],
            pixels[:, None].copy(),
            winSize=window,
            maxLevel=self._config.pyramid_levels - 1,
            criteria=termination,
        )
        return positions[:, 0], status[:, 0] == 1

    def _new_corners(self, grey: np.ndarray, occupied: np.ndarray) -> np.ndarray:
        """New corners (K, 2) float32, at a distance from the occupied pixels (N, 2)."""
        count = self._config.features - len(occupied)
        if count <= 0:
            return np.zeros((0, 2), np.float32)
        min_distance = max(grey.shape[1] / self._config.corners_across, 2.0)
        mask = np.full(grey.shape, FREE, np.uint8)
        for x, y in np.round(occupied).astype(int).tolist():
            cv2.circle(mask, (x, y), round(min_distance), MASKED, -1)
        corners = cv2.goodFeaturesToTrack(
            grey, count, self._config.corner_quality, min_distance, mask=mask, blockSize=5
        )
        return np.zeros((0, 2), np.float32) if corners is None else corners[:, 0]
