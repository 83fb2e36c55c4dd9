"""Pinhole intrinsics, together with the size of the image that they belong to."""

import math
from dataclasses import dataclass

import numpy as np

from sfm_odometry.errors import CalibrationError


@dataclass(frozen=True)
class Intrinsics:
    """Pinhole intrinsics of an image of `width` x `height` pixels; pixel centres are integers.

    A point (X, Y, Z) in the optical frame (x right, y down, z forward) projects to
    u = fx X / Z + cx, v = fy Y / Z + cy.

    Raises CalibrationError when a number is not finite, or a focal length or a size is not
    positive.
    """

    fx: float
    fy: float
    cx: float
    cy: float
    width: int
    height: int

    def __post_init__(self) -> None:
        numbers = (self.fx, self.fy, self.cx, self.cy)
        if not all(math.isfinite(number) for number in numbers):
            raise CalibrationError(
                f"intrinsics must be finite numbers, got fx, fy, cx, cy = {numbers}"
            )
        if self.fx <= 0 or self.fy <= 0:
            raise CalibrationError(
                f"focal lengths must be positive, got fx = {self.fx}, fy = {self.fy}"
            )
        if self.width < 1 or self.height < 1:
            raise CalibrationError(f"image size must be positive, got {self.width}x{self.height}")

    @classmethod
    def from_matrix(cls, matrix: np.ndarray, width: int, height: int) -> "Intrinsics":
        """Intrinsics from K (3, 3), or from the left of P (3, 4).

        Raises CalibrationError for another shape and for skew.
        """
        k = np.asarray(matrix, dtype=np.float64)
        if k.shape not in ((3, 3), (3, 4)):
            raise CalibrationError(f"camera matrix must be 3x3 or 3x4, got shape {k.shape}")
        if abs(k[0, 1]) > 1e-6 * max(abs(k[0, 0]), 1.0):
            raise CalibrationError(
                f"camera matrix with skew {k[0, 1]} is not supported: rectify the images first"
            )
        return cls(
            fx=float(k[0, 0]),
            fy=float(k[1, 1]),
            cx=float(k[0, 2]),
            cy=float(k[1, 2]),
            width=int(width),
            height=int(height),
        )

    def matrix(self) -> np.ndarray:
        """Camera matrix K (3, 3), float64."""
        return np.array([[self.fx, 0.0, self.cx], [0.0, self.fy, self.cy], [0.0, 0.0, 1.0]])

    def resized(self, width: int, height: int) -> "Intrinsics":
        """Intrinsics of the image resized to `width` x `height`, as cv2.resize samples.

        c' = (c + 0.5) s - 0.5.
        """
        sx = width / self.width
        sy = height / self.height
        return Intrinsics(
            self.fx * sx,
            self.fy * sy,
            (self.cx + 0.5) * sx - 0.5,
            (self.cy + 0.5) * sy - 0.5,
            width,
            height,
        )

    def cropped(self, left: int, top: int, width: int, height: int) -> "Intrinsics":
        """Intrinsics of the window of `width` x `height` pixels with the corner (left, top).

        Negative corners pad.
        """
        return Intrinsics(self.fx, self.fy, self.cx - left, self.cy - top, width, height)

    def flipped(self) -> "Intrinsics":
        """Intrinsics of the image mirrored left to right: cx' = (W - 1) - cx."""
        return Intrinsics(
            self.fx, self.fy, self.width - 1 - self.cx, self.cy, self.width, self.height
        )
