"""Corner detection and KLT tracking into the next image.

Corners by Shi and Tomasi (CVPR 1994); pyramidal Lucas-Kanade (Bouguet 2000), to be run forwards and
backwards (Kalal et al., ICPR 2010).
"""

import cv2
import numpy as np

from sfm_odometry.tracking.track_config import TrackConfig

MARGIN = 3
"""Width of the image border, in pixels, where corners are not used."""


def detect_corners(
    grey: np.ndarray, existing: np.ndarray, max_corners: int, config: TrackConfig
) -> np.ndarray:
    """Detect up to `max_corners` corners (N, 2) away from existing ones (M, 2), in pixels."""
    if max_corners < 1:
        return np.zeros((0, 2))
    distance = max(round(config.distance * grey.shape[1]), 1)
    # Mask out the border and the neighbourhoods of existing corners.
    mask = np.zeros_like(grey)
    mask[MARGIN:-MARGIN, MARGIN:-MARGIN] = 255
    for x, y in np.round(existing).astype(int).tolist():
        cv2.circle(mask, (x, y), distance, 0, -1)
    corners = cv2.goodFeaturesToTrack(
        grey, max_corners, config.quality, distance, mask=mask, blockSize=config.patch
    )
    return np.zeros((0, 2)) if corners is None else corners[:, 0].astype(np.float64)


def track_klt(
    first: np.ndarray,
    second: np.ndarray,
    keypoints: np.ndarray,
    initial: np.ndarray,
    patch: int,
    levels: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Track keypoints (N, 2) of the first image into the second: positions (N, 2), and found (N,).

    first, second: uint8 (H, W). initial: (N, 2), where the search begins. patch: side in pixels.
    levels: pyramid levels above the image's own, for keypoints of uncertain initial position.
    Keypoints and initial are float32.
    """
    criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 20, 0.01)
    tracked, found, _ = cv2.calcOpticalFlowPyrLK(
        first,
        second,
        keypoints,
        initial.copy(),
        winSize=(patch, patch),
        maxLevel=levels,
        criteria=criteria,
        flags=cv2.OPTFLOW_USE_INITIAL_FLOW,
    )
    return tracked, found[:, 0] > 0
