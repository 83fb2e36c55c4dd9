"""Alignment of the ground plane to two images, given the camera's motion between them."""

from dataclasses import dataclass

import cv2
import numpy as np

from sfm_odometry.scale.ground import (
    GroundConfig,
    GroundPlane,
    GroundRegion,
    NoGround,
    NoParallax,
    check_plane,
)

MARGIN = 0.03
"""Width around the expected ground that is searched, as a share of the image's width."""


@dataclass(frozen=True)
class GroundImages:
    """Two images of the ground from a camera that moved."""

    previous: np.ndarray
    """Grey (H, W), uint8."""
    current: np.ndarray
    """Grey (H, W), uint8."""
    intrinsics: np.ndarray
    """(3, 3) of both."""
    region: GroundRegion
    inliers: np.ndarray
    """Pixels of the region in the current image that are on the ground (N,), bool."""


def align_ground(
    images: GroundImages,
    previous_from_current: np.ndarray,
    start: GroundPlane,
    prior: GroundPlane,
    config: GroundConfig,
    iterations: int = 3,
) -> GroundPlane:
    """Plane that aligns the ground in two images, given the motion (4, 4).

    Gauss-Newton over `a`, gain and offset of the brightness, with Cauchy's weights and the plane
    from depth as prior. The height is in the unit of the motion, even where the depth of the road
    is wrong as a whole. Raises NoGround, and NoParallax where the camera hardly moved.
    """
    a = start.a
    alignment = _GroundAlignment(images, previous_from_current, a)
    parallax = alignment.parallax(a)
    if parallax < config.min_parallax:
        raise NoParallax(
            f"the ground moved by {parallax:.1f} pixels, "
            f"expected at least {config.min_parallax:.1f}"
        )
    # Minimise the photometric error and the distance from the prior.
    prior_information = np.linalg.inv(prior.covariance)
    brightness = np.array([1.0, 0.0])
    for _ in range(iterations):
        information, gradient = alignment.normal_equations(a, brightness, config)
        information[:3, :3] += prior_information
        gradient[:3] += prior_information @ (a - prior.a)
        change = -np.linalg.solve(information, gradient)
        a = a + change[:3]
        brightness = brightness + change[3:]
    plane = GroundPlane(a, np.linalg.inv(information)[:3, :3])
    check_plane(plane, images.region, images.inliers, config)
    _check_agreement(plane, prior, config)
    return plane


def _check_agreement(plane: GroundPlane, prior: GroundPlane, config: GroundConfig) -> None:
    """Raise NoGround for a plane of another height than the depth's."""
    ratio = plane.height / prior.height
    if abs(np.log(ratio)) > config.max_change:
        raise NoGround(
            f"images and depth disagree about the height of the camera by a factor of {ratio:.2f}"
        )


class _GroundAlignment:
    """Photometric error of the ground's pixels between the current and the previous image."""

    def __init__(
        self, images: GroundImages, previous_from_current: np.ndarray, a: np.ndarray
    ) -> None:
        """a: plane near which the alignment stays (3,)."""
        # The motion.
        self._rays = images.region.rays[images.inliers]
        self._rotated_rays = self._rays @ previous_from_current[:3, :3].T
        self._translation = previous_from_current[:3, 3]
        self._focal = images.intrinsics[[0, 1], [0, 1]]
        self._center = images.intrinsics[:2, 2]
        # Values of the current image.
        pixels = images.region.pixels[images.inliers]
        part, corner = _part_around(images.current, pixels)
        u, v = (pixels - corner).T
        self._values = _smoothed(part)[v, u].astype(np.float64)
        # The previous image and its gradients, where the ground is expected in it.
        expected, _ = self._project(self._rays @ a)
        part, self._corner = _part_around(images.previous, expected)
        smoothed = _smoothed(part)
        self._previous = cv2.merge(
            [
                smoothed,
                cv2.Sobel(smoothed, -1, 1, 0, ksize=1, scale=0.5),
                cv2.Sobel(smoothed, -1, 0, 1, ksize=1, scale=0.5),
            ]
        )

    def parallax(self, a: np.ndarray) -> float:
        """Median shift of the ground by the translation, in pixels."""
        moved, _ = self._project(self._rays @ a)
        rotated, _ = self._project(np.zeros(len(self._rays)))
        return float(np.median(np.linalg.norm(moved - rotated, axis=1)))

    def normal_equations(
        self, a: np.ndarray, brightness: np.ndarray, config: GroundConfig
    ) -> tuple[np.ndarray, np.ndarray]:
        """Information (5, 5) and gradient (5,) of the error I_previous - gain I_current - offset.

        They are by `a`, gain and offset. Raises NoGround for too few pixels in both images.
        """
        # Sample the previous image.
        pixels, by_inverse_depth = self._project(self._rays @ a)
        sampled = _sample(self._previous, pixels - self._corner)
        inside = np.isfinite(sampled).all(axis=1)
        if inside.sum() < config.min_points:
            raise NoGround(
                f"{inside.sum()} pixels of ground in both images, "
                f"expected at least {config.min_points}"
            )
        # Errors and their derivatives.
        values, along_u, along_v = sampled[inside].T.astype(np.float64)
        error = values - brightness[0] * self._values[inside] - brightness[1]
        slope = along_u * by_inverse_depth[inside, 0] + along_v * by_inverse_depth[inside, 1]
        jacobian = np.column_stack(
            [slope[:, None] * self._rays[inside], -self._values[inside], -np.ones_like(error)]
        )
        # Cauchy's weights.
        noise = max(1.4826 * float(np.median(np.abs(error))), 1.0)
        weights = 1.0 / (1.0 + (error / (1.5 * noise)) ** 2) / (noise**2 * config.correlated_pixels)
        weighted = jacobian * weights[:, None]
        return weighted.T @ jacobian + np.diag([0.0, 0.0, 0.0, 1e-6, 1e-6]), weighted.T @ error

    def _project(self, inverse_depth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Pixels in the previous image (N, 2) and their derivative (N, 2) by inverse depth (N,)."""
        moved = self._rotated_rays + inverse_depth[:, None] * self._translation
        z = np.maximum(moved[:, 2:], 1e-6)
        direction = moved[:, :2] / z
        by_inverse_depth = (
            (self._translation[:2] - direction * self._translation[2]) / z * self._focal
        )
        return direction * self._focal + self._center, by_inverse_depth


def _part_around(image: np.ndarray, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Part of an image (H, W) around pixels (N, 2), and its first column and row (2,)."""
    size = np.array(image.shape[::-1])
    margin = MARGIN * size[0]
    first = np.clip(np.floor(pixels.min(axis=0) - margin), 0, size - 1).astype(int)
    last = np.clip(np.ceil(pixels.max(axis=0) + margin), first, size - 1).astype(int)
    return image[first[1] : last[1] + 1, first[0] : last[0] + 1], first


def _smoothed(image: np.ndarray) -> np.ndarray:
    """Image (H, W), uint8, blurred by 1 2 1 along both axes as in the refinement, float32."""
    kernel = np.array([0.25, 0.5, 0.25])
    return cv2.sepFilter2D(image, cv2.CV_32F, kernel, kernel)


def _sample(image: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """Bilinear values (N, C) of an image (H, W, C) at pixels (N, 2); NaN outside."""
    u, v = np.hsplit(pixels.astype(np.float32), 2)
    border = (np.nan,) * image.shape[2]
    return cv2.remap(image, u, v, cv2.INTER_LINEAR, borderValue=border)[:, 0]
