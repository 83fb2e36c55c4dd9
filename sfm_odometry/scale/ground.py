"""Ground plane ahead of the camera, from the predicted depth and refined on two images.

A plane n . X = h (n: unit normal, down; h: height of the camera over it) gives the inverse depth of
a pixel with ray r (z = 1): 1 / z = a . r with a = n / h, so |a| is one over the height. Both fits
are over the three numbers of `a`.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from sfm_odometry.errors import InputError

RANSAC_SAMPLES = 60
"""Planes that are tried: with 40 % of the region on cars, all miss once in a million frames."""
DOWN = np.array([0.0, 1.0, 0.0])
"""Downward direction in the optical frame of a level camera that looks ahead."""
REWEIGHTING_WIDTHS = (2.0, 1.5, 1.0)
"""Widths of Tukey's weights in the iterations of the fit, in inlier distances."""


@dataclass(frozen=True)
class GroundConfig:
    """Region of the ground and criteria of its plane; raises InputError.

    Lengths are in heights of the camera.
    """

    nearest: float = 3.0
    farthest: float = 9.0
    side: float = 1.2
    """Region of interest: the nearest and farthest ground ahead, and its extent to each side."""
    stride: int = 3
    """Distance of the pixels that are used, along both axes."""
    min_points: int = 100
    """Smallest number of pixels on the plane."""
    max_tilt_deg: float = 10.0
    """Largest angle between the normal and the downward direction by the camera's mount."""
    inlier_distance: float = 0.06
    """Largest distance of an inlier from the plane, as a share of its distance to the camera."""
    min_inliers: float = 0.5
    """Smallest share of inliers in the region; cars and kerbs take the rest."""
    prior_height: float = 0.2
    prior_tilt_deg: float = 3.0
    """Standard deviations of the plane from depth, as a prior of the images: relative height, and
    tilt."""
    correlated_pixels: float = 20.0
    """Number of pixels with a common error, which count as one."""
    min_parallax: float = 0.5
    """Smallest median shift in pixels, by the translation alone, at which two images determine the
    height."""
    max_change: float = 0.4
    """Largest logarithm of the height's change by the images that is accepted."""

    def __post_init__(self) -> None:
        if not 0.0 < self.nearest < self.farthest or not self.side > 0.0:
            raise InputError(
                f"the ground's region must have 0 < nearest < farthest and side > 0, got {self}"
            )
        if not 0.0 < self.max_tilt_deg < 90.0:
            raise InputError(f"max_tilt_deg must be between 0 and 90, got {self.max_tilt_deg}")


@dataclass(frozen=True)
class GroundRegion:
    """Pixels that show flat ground within the region of interest."""

    pixels: np.ndarray
    """u, v (N, 2), int."""
    rays: np.ndarray
    """Rays with z = 1 (N, 3), float64."""
    down: np.ndarray
    """Expected normal, unit vector (3,)."""


@dataclass(frozen=True)
class GroundPlane:
    """Plane below the camera: n . X = height, in the model's unit of length."""

    normal: np.ndarray
    """Downward unit vector (3,) in the camera's optical frame."""
    height: float
    relative_sigma: float
    """Standard deviation of the height, relative to it."""
    inliers: np.ndarray
    """Pixels of the region that lie on the plane by their depth (N,), bool."""


class NoGround(Exception):
    """No plane was found; the message gives the reason."""


class NoParallax(NoGround):
    """The camera hardly moved: the images do not determine the distance of the ground."""


def ground_region(
    intrinsics: np.ndarray, size: tuple[int, int], down: np.ndarray, config: GroundConfig
) -> GroundRegion:
    """Region of interest of a camera.

    intrinsics: (3, 3); size: width and height of the image; down: (3,) in the camera's axes.
    """
    # Rays of the pixels below the horizon.
    width, height = size
    u, v = (
        axis.ravel()
        for axis in np.meshgrid(
            np.arange(0, width, config.stride), np.arange(0, height, config.stride)
        )
    )
    rays = np.stack(
        [
            (u - intrinsics[0, 2]) / intrinsics[0, 0],
            (v - intrinsics[1, 2]) / intrinsics[1, 1],
            np.ones(u.size),
        ],
        axis=1,
    )
    below = rays @ down > 1e-6
    pixels = np.stack([u, v], axis=1)[below]
    rays = rays[below]
    # Their intersections with ground one height below, ahead and to the side.
    forward = np.array([0.0, 0.0, 1.0]) - down[2] * down
    forward /= max(float(np.linalg.norm(forward)), 1e-9)
    ground = rays / (rays @ down)[:, None]
    ahead = ground @ forward
    aside = ground @ np.cross(down, forward)
    inside = (ahead > config.nearest) & (ahead < config.farthest) & (np.abs(aside) < config.side)
    return GroundRegion(pixels[inside], rays[inside], down)


def fit_ground(depth: np.ndarray, region: GroundRegion, config: GroundConfig) -> GroundPlane:
    """Plane through the predicted depth (H, W) of the region; raises NoGround.

    Iteratively reweighted least squares of a . X = 1 with Tukey's weights, started from the best of
    the planes through three points.
    """
    # Points of the region.
    points = region.rays * depth[region.pixels[:, 1], region.pixels[:, 0]][:, None].astype(
        np.float64
    )
    known = np.isfinite(points).all(axis=1) & (points[:, 2] > 0)
    if known.sum() < config.min_points:
        raise NoGround(
            f"{known.sum()} pixels of ground with depth, expected at least {config.min_points}"
        )
    points[~known] = 0.0
    # Sample planes, then refine the best.
    plane = _ransac_plane(points[known], region.down, config)
    for width in REWEIGHTING_WIDTHS:
        residuals = np.where(known, points @ plane - 1.0, np.inf)
        plane = _weighted_plane(points, residuals, width * config.inlier_distance, plane)
    inliers = known & (np.abs(points @ plane - 1.0) < config.inlier_distance)
    _check_plane(plane, region, inliers, config)
    height = 1.0 / float(np.linalg.norm(plane))
    return GroundPlane(plane * height, height, config.prior_height, inliers)


def align_ground(
    previous: np.ndarray,
    current: np.ndarray,
    previous_from_current: np.ndarray,
    intrinsics: np.ndarray,
    region: GroundRegion,
    depth_plane: GroundPlane,
    config: GroundConfig,
    iterations: int = 3,
) -> GroundPlane:
    """Plane that aligns the ground in two images (H, W), given the motion (4, 4).

    Gauss-Newton over `a`, gain and offset of the brightness, with Cauchy's weights and the plane
    from depth as prior. The height is in the unit of the motion, even where the depth of the road
    is wrong as a whole. Raises NoGround, and NoParallax where the camera hardly moved.
    """
    alignment = _GroundAlignment(
        previous, current, previous_from_current, intrinsics, region, depth_plane.inliers
    )
    plane = start = depth_plane.normal / depth_plane.height
    parallax = alignment.parallax(plane)
    if parallax < config.min_parallax:
        raise NoParallax(
            f"the ground moved by {parallax:.1f} pixels, "
            f"expected at least {config.min_parallax:.1f}"
        )
    # Minimise the photometric error and the distance from the prior.
    prior = _prior(start, config)
    brightness = np.array([1.0, 0.0])
    for _ in range(iterations):
        information, gradient = alignment.normal_equations(plane, brightness, config)
        information[:3, :3] += prior
        gradient[:3] += prior @ (plane - start)
        change = -np.linalg.solve(information, gradient)
        plane = plane + change[:3]
        brightness = brightness + change[3:]
    return _aligned_plane(plane, information, region, depth_plane, config)


def _aligned_plane(
    plane: np.ndarray,
    information: np.ndarray,
    region: GroundRegion,
    depth_plane: GroundPlane,
    config: GroundConfig,
) -> GroundPlane:
    """Checks the aligned plane `a` (3,) and propagates its uncertainty; raises NoGround."""
    height = 1.0 / float(np.linalg.norm(plane))
    _check_plane(plane, region, depth_plane.inliers, config)
    ratio = height / depth_plane.height
    if abs(np.log(ratio)) > config.max_change:
        raise NoGround(
            f"images and depth disagree about the height of the camera by a factor of {ratio:.2f}"
        )
    covariance = np.linalg.inv(information)[:3, :3]
    sigma = float(np.sqrt(plane @ covariance @ plane)) * height**2
    return GroundPlane(plane * height, height, sigma, depth_plane.inliers)


class _GroundAlignment:
    """Photometric error of the ground's pixels between the current and the previous image."""

    def __init__(
        self,
        previous: np.ndarray,
        current: np.ndarray,
        previous_from_current: np.ndarray,
        intrinsics: np.ndarray,
        region: GroundRegion,
        selected: np.ndarray,
    ) -> None:
        """selected: pixels of the region that are used (N,), bool."""
        # Values of the current image.
        pixels = region.pixels[selected]
        self._rays = region.rays[selected]
        self._values = _smoothed(current)[pixels[:, 1], pixels[:, 0]].astype(np.float64)
        # The previous image and its gradients.
        image = _smoothed(previous)
        self._previous = cv2.merge(
            [
                image,
                cv2.Sobel(image, -1, 1, 0, ksize=1, scale=0.5),
                cv2.Sobel(image, -1, 0, 1, ksize=1, scale=0.5),
            ]
        )
        # The motion.
        self._rotated_rays = self._rays @ previous_from_current[:3, :3].T
        self._translation = previous_from_current[:3, 3]
        self._focal = intrinsics[[0, 1], [0, 1]]
        self._center = intrinsics[:2, 2]

    def parallax(self, plane: np.ndarray) -> float:
        """Median shift of the ground by the translation, in pixels."""
        moved, _ = self._project(self._rays @ plane)
        rotated, _ = self._project(np.zeros(len(self._rays)))
        return float(np.median(np.linalg.norm(moved - rotated, axis=1)))

    def normal_equations(
        self, plane: np.ndarray, brightness: np.ndarray, config: GroundConfig
    ) -> tuple[np.ndarray, np.ndarray]:
        """Information (5, 5) and gradient (5,) of the error I_previous - gain I_current - offset.

        They are by plane, gain and offset. Raises NoGround for too few pixels in both images.
        """
        # Sample the previous image.
        pixels, by_inverse_depth = self._project(self._rays @ plane)
        sampled = _sample(self._previous, pixels)
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


def _smoothed(image: np.ndarray) -> np.ndarray:
    """Image (H, W), uint8, blurred by 1 2 1 along both axes as in the refinement, float32."""
    kernel = np.array([0.25, 0.5, 0.25])
    return cv2.sepFilter2D(image, cv2.CV_32F, kernel, kernel)


def _sample(image: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """Bilinear values (N, C) of an image (H, W, C) at pixels (N, 2); NaN outside."""
    u, v = np.hsplit(pixels.astype(np.float32), 2)
    border = (np.nan,) * image.shape[2]
    return cv2.remap(image, u, v, cv2.INTER_LINEAR, borderValue=border)[:, 0]


def _ransac_plane(points: np.ndarray, down: np.ndarray, config: GroundConfig) -> np.ndarray:
    """Best plane `a` (3,) of those through three random points (N, 3), by RANSAC.

    It is within the largest tilt and has the smallest sum of truncated distances. The samples are
    the same every time, which makes the scale reproducible. The level plane at the median distance
    is tried, too.
    """
    # Planes through three points each, and the level one.
    samples = points[np.random.default_rng(0).integers(0, len(points), (RANSAC_SAMPLES, 3))]
    samples = samples[np.abs(np.linalg.det(samples)) > 1e-9]
    planes = np.concatenate(
        [
            np.linalg.solve(samples, np.ones((len(samples), 3, 1)))[..., 0],
            [down / np.median(points @ down)],
        ]
    )
    # Discard tilted ones.
    level = planes @ down > np.cos(np.radians(config.max_tilt_deg)) * np.linalg.norm(planes, axis=1)
    level[-1] = True
    planes = planes[level]
    # Choose the best.
    distances = np.minimum(np.abs(points @ planes.T - 1.0), config.inlier_distance)
    best: np.ndarray = planes[int(np.argmin(distances.sum(axis=0)))]
    return best


def _weighted_plane(
    points: np.ndarray, residuals: np.ndarray, width: float, plane: np.ndarray
) -> np.ndarray:
    """Least squares of a . X = 1 over the points (N, 3) with Tukey's weights of a width.

    A weak prior at `plane` (3,) determines what the points do not.
    """
    weights = np.clip(1.0 - np.minimum(np.abs(residuals) / width, 1.0) ** 2, 0.0, None) ** 2
    weighted = points * weights[:, None]
    weak = 1e-6 * max(float(np.einsum("ij,ij->", weighted, points)), 1e-12)
    solution: np.ndarray = np.linalg.solve(
        weighted.T @ points + weak * np.eye(3), weighted.sum(axis=0) + weak * plane
    )
    return solution


def _prior(plane: np.ndarray, config: GroundConfig) -> np.ndarray:
    """Information (3, 3) of the plane from depth: along it for the height, across for the tilt."""
    squared = float(plane @ plane)
    along = np.outer(plane, plane) / squared
    information: np.ndarray = (
        along / config.prior_height**2
        + (np.eye(3) - along) / np.radians(config.prior_tilt_deg) ** 2
    )
    return information / squared


def _check_plane(
    plane: np.ndarray, region: GroundRegion, inliers: np.ndarray, config: GroundConfig
) -> None:
    """Raises NoGround for a plane that is not finite, is tilted too far or has few inliers."""
    length = float(np.linalg.norm(plane))
    if not 0.0 < length < np.inf:
        raise NoGround("the plane is not finite")
    tilt_deg = float(np.degrees(np.arccos(np.clip(plane @ region.down / length, -1.0, 1.0))))
    if tilt_deg > config.max_tilt_deg:
        raise NoGround(
            f"the plane is tilted by {tilt_deg:.0f} deg, expected at most {config.max_tilt_deg:.0f}"
        )
    share = float(inliers.mean())
    if inliers.sum() < config.min_points or share < config.min_inliers:
        raise NoGround(
            f"{share:.0%} of the region lies on a plane, expected at least {config.min_inliers:.0%}"
        )
