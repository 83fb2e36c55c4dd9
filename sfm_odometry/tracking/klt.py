"""Corners of an image, found and followed into the next one.

Shi and Tomasi (CVPR 1994); pyramidal Lucas-Kanade (Bouguet 2000), to be run forwards and back
(Kalal et al., ICPR 2010).
"""

import cv2
import numpy as np

from sfm_odometry.tracking.track_config import TrackConfig

MARGIN = 3
"""Corners so close to the border, in pixels, are not used."""


def find_corners(
    grey: np.ndarray, taken: np.ndarray, wanted: int, config: TrackConfig
) -> np.ndarray:
    """Up to `wanted` corners (N, 2) away from those that are taken (M, 2) already."""
    if wanted < 1:
        return np.zeros((0, 2))
    free = np.zeros_like(grey)
    free[MARGIN:-MARGIN, MARGIN:-MARGIN] = 255
    for x, y in np.round(taken).astype(int).tolist():
        cv2.circle(free, (x, y), config.distance, 0, -1)
    found = cv2.goodFeaturesToTrack(
        grey, wanted, config.quality, config.distance, mask=free, blockSize=config.patch
    )
    return np.zeros((0, 2)) if found is None else found[:, 0].astype(np.float64)


def follow(
    first: np.ndarray,
    second: np.ndarray,
    places: np.ndarray,
    expected: np.ndarray,
    size: int,
    levels: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Where points (N, 2) of the first image are in the second, sought from where they are
    expected, and whether they were found.

    size: side of the patch in pixels; levels: of the pyramid above the image's own, for places that
    are not well known.
    """
    criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 20, 0.01)
    there, found, _ = cv2.calcOpticalFlowPyrLK(
        first,
        second,
        places,
        expected.copy(),
        winSize=(size, size),
        maxLevel=levels,
        criteria=criteria,
        flags=cv2.OPTFLOW_USE_INITIAL_FLOW,
    )
    return there, found[:, 0] > 0
