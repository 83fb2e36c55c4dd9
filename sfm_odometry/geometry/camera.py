"""Pinhole intrinsics, together with the size of the image that they belong to."""

import math
from dataclasses import dataclass

import numpy as np

from sfm_odometry.errors import CalibrationError

MIN_FOCAL_SHARE = 0.1
"""Smallest focal length of a camera, in widths of the image: 157 degrees of view."""
MAX_FOCAL_SHARE = 50.0
"""Largest focal length of a camera, in longer sides of the image: 1.1 degrees of view."""
MAX_CENTRE_SHARE = 0.5
"""Largest distance of the principal point from the image's edge, in longer sides of the image; a
part that was cut out of an image may leave it outside."""
MAX_SHARE = 1.01
"""Largest coordinate of a principal point that is given as a share of the image."""
SIZE_RATIO_TOLERANCE = 0.15
"""Largest difference of the centre's places across and down, as factors of the image's half sizes,
for which both come from a larger image."""
LARGER_SIZE_RATIO = 1.7
"""Factor from which on they do."""


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


def check_plausible(intrinsics: Intrinsics) -> None:
    """Raises CalibrationError, with the likely cause, for intrinsics that no camera has.

    These are a focal length under MIN_FOCAL_SHARE or over MAX_FOCAL_SHARE of the image, and a
    principal point far outside of it, in its corner or in the middle of a larger image.
    """
    width, height = intrinsics.width, intrinsics.height
    fx, fy, cx, cy = intrinsics.fx, intrinsics.fy, intrinsics.cx, intrinsics.cy
    longer_side = max(width, height)
    margin = MAX_CENTRE_SHARE * longer_side
    cause = _likely_cause(intrinsics)
    possible = (
        MIN_FOCAL_SHARE * width <= min(fx, fy)
        and max(fx, fy) <= MAX_FOCAL_SHARE * longer_side
        and -margin <= cx <= width + margin
        and -margin <= cy <= height + margin
    )
    if not possible or cause:
        expected = cause or (
            f"expected focal lengths from {MIN_FOCAL_SHARE * width:g} "
            f"to {MAX_FOCAL_SHARE * longer_side:g} pixels and a centre near the image"
        )
        raise CalibrationError(
            f"focal lengths {fx:g}, {fy:g} with centre {cx:g}, {cy:g} "
            f"are not those of a camera with {width}x{height} pixels: {expected}"
        )


def _likely_cause(intrinsics: Intrinsics) -> str:
    """Fault from which intrinsics like these come; empty where none is recognised."""
    width, height = intrinsics.width, intrinsics.height
    fx, cx, cy = intrinsics.fx, intrinsics.cx, intrinsics.cy
    # Numbers of another unit are all small against the image.
    if max(fx, intrinsics.fy) < MIN_FOCAL_SHARE * width:
        if 0.0 <= cx <= MAX_SHARE and 0.0 <= cy <= MAX_SHARE and fx > MIN_FOCAL_SHARE:
            return "looks like shares of the image: multiply by its width and height"
        if max(abs(cx), abs(cy)) < MIN_FOCAL_SHARE * width:
            return "looks like millimetres or metres: divide by the size of a pixel"
    if cx == cy == 0.0 and min(width, height) > 2:
        return "the centre is not filled, expected about the middle of the image"
    # The centre is in the middle of an image that is larger in both directions.
    across = (cx + 0.5) / (width / 2)
    down = (cy + 0.5) / (height / 2)
    same = abs(across - down) < SIZE_RATIO_TOLERANCE * max(across, down)
    if same and min(across, down) > LARGER_SIZE_RATIO:
        return (
            "looks like the calibration of a larger image, of about "
            f"{across * width:.0f}x{down * height:.0f}: calibrate or scale it for this one"
        )
    return ""
