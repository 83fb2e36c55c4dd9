"""Corners that are followed from frame to frame."""

from dataclasses import dataclass

import cv2
import numpy as np

from training.classical.config import ClassicalConfig

MASKED, FREE = 0, 255


@dataclass(frozen=True, eq=False)
class Observations:
    """Where the tracks are in one frame: ids (N,) int64, increasing; pixels (N, 2) float32, x
    right and y down."""

    ids: np.ndarray
    pixels: np.ndarray


def common(a: Observations, b: Observations) -> tuple[np.ndarray, np.ndarray]:
    """(M, 2) pixels in a and in b of the tracks that both frames see."""
    _, in_a, in_b = np.intersect1d(a.ids, b.ids, assume_unique=True, return_indices=True)
    return a.pixels[in_a], b.pixels[in_b]


class Tracker:
    """Shi and Tomasi's corners (CVPR 1994), spread over the image, followed by Lucas and Kanade's
    method over a pyramid and back again.

    A track lives as long as following it back leads to where it came from; lost ones are replaced
    by new corners.
    """

    def __init__(self, config: ClassicalConfig) -> None:
        self._config = config
        self._grey: np.ndarray | None = None
        self._tracks = Observations(np.zeros(0, np.int64), np.zeros((0, 2), np.float32))
        self._born = 0

    def advance(self, grey: np.ndarray) -> Observations:
        """The tracks in the next frame, uint8 (H, W), those that begin in it among them."""
        kept = self._tracks if self._grey is None else self._followed(self._grey, grey)
        found = self._new_corners(grey, kept.pixels)
        ids = np.arange(self._born, self._born + len(found), dtype=np.int64)
        self._born += len(found)
        self._tracks = Observations(
            np.concatenate([kept.ids, ids]), np.concatenate([kept.pixels, found])
        )
        self._grey = grey
        return self._tracks

    def _followed(self, before: np.ndarray, after: np.ndarray) -> Observations:
        if len(self._tracks.ids) == 0:
            return self._tracks
        pixels, found = self._flow(before, after, self._tracks.pixels)
        returned, found_back = self._flow(after, before, pixels)
        error = np.linalg.norm(returned - self._tracks.pixels, axis=1)
        inside = (pixels >= 0).all(axis=1) & (
            pixels <= (after.shape[1] - 1, after.shape[0] - 1)
        ).all(axis=1)
        kept = found & found_back & inside & (error < self._config.forward_backward_pixels)
        return Observations(self._tracks.ids[kept], pixels[kept])

    def _flow(
        self, before: np.ndarray, after: np.ndarray, pixels: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Where (N, 2) pixels went, and (N,) whether they were found."""
        window = (self._config.window_pixels,) * 2
        stop = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 30, 0.01)
        went, status, _ = cv2.calcOpticalFlowPyrLK(
            before,
            after,
            pixels[:, None],
            pixels[:, None].copy(),
            winSize=window,
            maxLevel=self._config.pyramid_levels - 1,
            criteria=stop,
        )
        return went[:, 0], status[:, 0] == 1

    def _new_corners(self, grey: np.ndarray, occupied: np.ndarray) -> np.ndarray:
        """(K, 2) float32 corners, not near to (N, 2) occupied pixels."""
        wanted = self._config.features - len(occupied)
        if wanted <= 0:
            return np.zeros((0, 2), np.float32)
        apart = max(grey.shape[1] / self._config.corners_across, 2.0)
        free = np.full(grey.shape, FREE, np.uint8)
        for x, y in np.round(occupied).astype(int).tolist():
            cv2.circle(free, (x, y), round(apart), MASKED, -1)
        corners = cv2.goodFeaturesToTrack(
            grey, wanted, self._config.corner_quality, apart, mask=free, blockSize=5
        )
        return np.zeros((0, 2), np.float32) if corners is None else corners[:, 0]
