"""Alignment of tracked keypoints to the patches of the frames in which they were detected.

A keypoint that is tracked from frame to frame drifts, and a square patch on a road, which is
stretched from frame to frame, is tracked a little wrongly each time. Here the patch of the first
frame, the anchor, is warped to the current view by the camera's motion and the point's depth, and
the keypoint is moved to where it fits (Forster et al., SVO, T-RO 2017, section V-B).

The warp is the homography of a plane through the point that faces the anchor camera. Its terms
beyond the affine ones matter: without them patches that come nearer are found too far outside.
"""

from dataclasses import dataclass

import cv2
import numpy as np

ITERATIONS = 3
"""Gauss-Newton steps; tracking by KLT starts within some tenths of a pixel."""
MAX_STEP = 1.0
"""Greatest move of a patch in one step, pixels of the anchor."""
MIN_ZOOM = 0.3
MAX_ZOOM = 6.0
"""Least and greatest area of a warped patch, as a share of its own, that is aligned."""
MIN_POINT_DEPTH = 1e-3
"""Least depth at which a patch is projected, in the unit of the points."""
WINDOW_SHARE = 0.6
"""Standard deviation of the Gaussian weight of a patch's pixels, as a share of its side."""
FLAT = 1e-3
"""Added to the standard deviation of grey values, against division by zero."""


@dataclass(frozen=True)
class PatchWarp:
    """Warp of N patches with P pixels from their anchors to the current view."""

    offsets: np.ndarray
    """Pixels of the warped patch, from its keypoint: (N, 2, P) float32."""
    jacobian: np.ndarray
    """Pixels in the current view by pixels in the anchor, at the keypoint: (N, 2, 2)."""

    @property
    def extent(self) -> np.ndarray:
        """Greatest distance (N, 2) of a patch's pixels from its keypoint along u and v."""
        extent: np.ndarray = np.abs(self.offsets).max(axis=2)
        return extent

    @property
    def usable(self) -> np.ndarray:
        """Patches (N,) bool that are neither shrunk nor enlarged beyond recognition."""
        zoom = np.abs(np.linalg.det(self.jacobian))
        usable: np.ndarray = (zoom > MIN_ZOOM) & (zoom < MAX_ZOOM)
        return usable


@dataclass(frozen=True)
class AlignedKeypoints:
    """Keypoints that were moved to where their patches fit."""

    keypoints: np.ndarray
    """(N, 2) pixels of the current image."""
    correlation: np.ndarray
    """Weighted correlation (N,) of the patches, -1 to 1."""


class AnchorPatches:
    """Patches of keypoints in their anchor frames, with gradients.

    Grey values are float32, arrays (N, P).
    """

    def __init__(self, side: int) -> None:
        """side: of the patches, pixels, odd."""
        axis = np.arange(side, dtype=np.float32) - side // 2
        dv, du = np.meshgrid(axis, axis, indexing="ij")
        self.grid = np.stack([du.ravel(), dv.ravel()])
        """Pixels of a patch from its centre (2, P)."""
        window = np.exp(-(self.grid**2).sum(0) / (2 * (WINDOW_SHARE * side) ** 2))
        self._window = window / window.sum()
        self.clear()

    def clear(self) -> None:
        """Drop all patches."""
        self._grey: np.ndarray = np.zeros((0, self.grid.shape[1]), np.float32)
        self._gradient: np.ndarray = np.zeros((0, 2, self.grid.shape[1]), np.float32)
        self._contrast: np.ndarray = np.zeros(0, np.float32)
        self._inverse_hessian: np.ndarray = np.zeros((0, 2, 2), np.float32)

    def __len__(self) -> int:
        return len(self._grey)

    def select(self, kept: np.ndarray) -> None:
        """Keep the patches of a mask (N,) or of indices, in their order."""
        self._grey = self._grey[kept]
        self._gradient = self._gradient[kept]
        self._contrast = self._contrast[kept]
        self._inverse_hessian = self._inverse_hessian[kept]

    def append(self, image: np.ndarray, keypoints: np.ndarray) -> None:
        """Add the patches of keypoints (M, 2) in an image, uint8 (H, W)."""
        # Grey values around the keypoints, one pixel wider than the patches.
        image = image.astype(np.float32)
        grey = self._sample(image, keypoints, self.grid)
        right, left, below, above = (
            self._sample(image, keypoints, self.grid + np.array([[du], [dv]], np.float32))
            for du, dv in ((1, 0), (-1, 0), (0, 1), (0, -1))
        )
        gradient = np.stack([right - left, below - above], axis=1) / 2

        # Zero mean; the gradient without what a change of gain or offset does.
        grey = grey - (grey @ self._window)[:, None]
        variance = (grey**2) @ self._window
        gradient -= (gradient @ self._window)[..., None]
        weighted_grey = (grey * self._window)[:, :, None]
        by_gain = gradient @ weighted_grey / (variance[:, None, None] + FLAT)
        gradient -= by_gain * grey[:, None]

        # Gauss-Newton matrix, slightly damped.
        hessian = (gradient * self._window) @ gradient.transpose(0, 2, 1)
        damping = 1e-6 * np.trace(hessian, axis1=1, axis2=2) + 1e-6
        inverse_hessian = np.linalg.inv(hessian + damping[:, None, None] * np.eye(2))

        self._grey = np.concatenate([self._grey, grey])
        self._gradient = np.concatenate([self._gradient, gradient])
        self._contrast = np.concatenate([self._contrast, np.sqrt(variance) + FLAT])
        self._inverse_hessian = np.concatenate(
            [self._inverse_hessian, inverse_hessian.astype(np.float32)]
        )

    def align(
        self, selected: np.ndarray, image: np.ndarray, keypoints: np.ndarray, warp: PatchWarp
    ) -> AlignedKeypoints:
        """Move keypoints (N, 2) to where the warped patches fit in the image, uint8 (H, W).

        selected: (N,) indices of their patches. Inverse compositional Lucas-Kanade (Baker and
        Matthews, IJCV 2004) with the gain and the offset of each patch fitted.
        """
        image = image.astype(np.float32)
        template = self._grey[selected]
        gradient = self._gradient[selected] * self._window
        contrast = self._contrast[selected]
        inverse_hessian = self._inverse_hessian[selected]
        aligned = keypoints.astype(np.float32)
        jacobian = warp.jacobian.astype(np.float32)
        for _ in range(ITERATIONS):
            # Grey values there, brought to the mean and contrast of the template.
            grey = self._sample(image, aligned, warp.offsets)
            grey -= (grey @ self._window)[:, None]
            current_contrast = np.sqrt((grey**2) @ self._window) + FLAT
            error = grey * (contrast / current_contrast)[:, None] - template

            # Step in the anchor's pixels, at most MAX_STEP long, and move the keypoint by it.
            by_pixels = gradient @ error[:, :, None]
            step = (inverse_hessian @ by_pixels)[..., 0]
            step /= np.maximum(np.linalg.norm(step, axis=1, keepdims=True) / MAX_STEP, 1.0)
            aligned = aligned - (jacobian @ step[:, :, None])[..., 0]
        covariance = (grey * template) @ self._window
        correlation = covariance / (current_contrast * contrast)
        return AlignedKeypoints(aligned.astype(np.float64), correlation)

    @staticmethod
    def _sample(image: np.ndarray, keypoints: np.ndarray, offsets: np.ndarray) -> np.ndarray:
        """Bilinear grey values (N, P) at offsets (2, P) or (N, 2, P) from keypoints (N, 2)."""
        pixels = keypoints.astype(np.float32)[:, :, None] + offsets
        return cv2.remap(
            image,
            np.ascontiguousarray(pixels[:, 0]),
            np.ascontiguousarray(pixels[:, 1]),
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )


def warp_patches(
    points: np.ndarray, current_from_anchor: np.ndarray, focal: np.ndarray, grid: np.ndarray
) -> PatchWarp:
    """Warp patches that face the anchor camera to the current view.

    points: (N, 3) in the anchor's frame; current_from_anchor: (N, 4, 4); focal: (2,) fx and fy in
    pixels; grid: pixels (2, P) of a patch from its centre.
    """
    # The homography of the plane z = const: X(p) = X + z d(p), with d(p) = (du / fx, dv / fy, 0).
    rotation = current_from_anchor[:, :3, :3]
    centre = np.einsum("nab,nb->na", rotation, points) + current_from_anchor[:, :3, 3]
    axes = rotation[:, :, :2] * (points[:, 2] / focal[:, None]).T[:, None]
    depth = np.maximum(centre[:, 2], MIN_POINT_DEPTH)
    direction = centre[:, :2] / depth[:, None]

    # Pixels of the patch, from the projection of its centre.
    moved = centre[:, :, None] + axes @ grid
    moved_depth = np.maximum(moved[:, 2:], MIN_POINT_DEPTH)
    offsets = (moved[:, :2] / moved_depth - direction[:, :, None]) * focal[:, None]

    # Derivative at the centre.
    jacobian = (axes[:, :2] - direction[:, :, None] * axes[:, 2:]) / depth[:, None, None]
    return PatchWarp(offsets.astype(np.float32), jacobian * focal[:, None])
