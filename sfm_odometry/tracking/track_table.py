"""Table of feature tracks: one row for each corner that is tracked."""

import numpy as np

from sfm_odometry.tracking.patch_alignment import AnchorPatches, PatchWarp, warp_patches
from sfm_odometry.tracking.two_view_ba import pixel_rays


class TrackTable:
    """Corners in the newest frame, with their inverse depths and their anchor frames.

    The anchor of a track is the frame in which it was detected; its patch there says what the
    corner looks like.
    """

    def __init__(self, patch_side: int) -> None:
        """patch_side: side of the anchors' patches, pixels, odd."""
        self.patches = AnchorPatches(patch_side)
        self.clear()

    def clear(self) -> None:
        """Drop all tracks and anchors."""
        self.keypoints: np.ndarray = np.zeros((0, 2))
        """Pixels (M, 2) in the newest frame."""
        self.inverse_depth: np.ndarray = np.zeros(0)
        """(M,) in the newest frame."""
        self.variance: np.ndarray = np.zeros(0)
        """(M,) of the inverse depths."""
        self.age: np.ndarray = np.zeros(0)
        """Steps (M,) as an inlier."""
        self.anchor: np.ndarray = np.zeros(0, dtype=int)
        """Index (M,) of the anchor frame of each track."""
        self.newest_from_anchor: np.ndarray = np.zeros((0, 4, 4))
        """Poses (A, 4, 4) of the anchor frames, oldest first."""
        self.patches.clear()

    def __len__(self) -> int:
        return len(self.keypoints)

    @property
    def sigma(self) -> np.ndarray:
        """Standard deviations (M,) of the inverse depths."""
        return np.sqrt(self.variance)

    def scale(self, factor: float) -> None:
        """Divide all lengths by a factor."""
        self.inverse_depth = self.inverse_depth * factor
        self.variance = self.variance * factor**2
        self.newest_from_anchor[:, :3, 3] /= factor

    def append(
        self, grey: np.ndarray, keypoints: np.ndarray, inverse_depth: np.ndarray, sigma: np.ndarray
    ) -> None:
        """Add tracks of age 0 that are anchored in the newest frame, uint8 (H, W)."""
        anchor = len(self.newest_from_anchor)
        self.newest_from_anchor = np.concatenate([self.newest_from_anchor, [np.eye(4)]])
        self.keypoints = np.concatenate([self.keypoints, keypoints])
        self.inverse_depth = np.concatenate([self.inverse_depth, inverse_depth])
        self.variance = np.concatenate([self.variance, sigma**2])
        self.age = np.concatenate([self.age, np.zeros(len(sigma))])
        self.anchor = np.concatenate([self.anchor, np.full(len(sigma), anchor)])
        self.patches.append(grey, keypoints)

    def advance(
        self,
        kept: np.ndarray,
        current_from_newest: np.ndarray,
        keypoints: np.ndarray,
        inverse_depth: np.ndarray,
        variance: np.ndarray,
    ) -> None:
        """Move the kept tracks to the current frame, which is the newest from then on.

        kept: indices (K,); current_from_newest: (4, 4); keypoints (K, 2), inverse_depth (K,) and
        variance (K,): in the current frame.
        """
        self.keypoints = keypoints
        self.inverse_depth = inverse_depth
        self.variance = variance
        self.age = self.age[kept] + 1
        self.patches.select(kept)
        # Drop the anchors that no track is left of.
        used, self.anchor = np.unique(self.anchor[kept], return_inverse=True)
        self.newest_from_anchor = current_from_newest @ self.newest_from_anchor[used]

    def warp(
        self, selected: np.ndarray, current_from_newest: np.ndarray, intrinsics: np.ndarray
    ) -> PatchWarp:
        """Warp the patches of the selected tracks (N,) from their anchors to the current view.

        current_from_newest: (4, 4) predicted motion; intrinsics: (3, 3).
        """
        newest_from_anchor = self.newest_from_anchor[self.anchor[selected]]
        points = (
            pixel_rays(self.keypoints[selected], intrinsics) / self.inverse_depth[selected]
        ).T - newest_from_anchor[:, :3, 3]
        points_in_anchor = np.einsum("nba,nb->na", newest_from_anchor[:, :3, :3], points)
        return warp_patches(
            points_in_anchor,
            current_from_newest @ newest_from_anchor,
            intrinsics[[0, 1], [0, 1]],
            self.patches.grid,
        )
