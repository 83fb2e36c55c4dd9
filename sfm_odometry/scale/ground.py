"""The ground before the camera as a plane: first from the predicted depth, then made more precise
by two images of it.

A plane n . X = h (n: unit normal, down; h: height of the camera over it) gives the inverse depth of
a pixel with ray r (z = 1): 1 / z = a . r with a = n / h, so |a| is one over the height. Both fits
are over the three numbers of `a`.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from sfm_odometry.errors import InputError

DRAWS = 60
"""Planes that are tried: with 40 % of the region on cars, a miss is once in a million frames."""
DOWN = np.array([0.0, 1.0, 0.0])
"""Down in the optical frame of a camera that looks ahead, level."""


@dataclass(frozen=True)
class GroundConfig:
    """Where the ground is looked for and when it is believed; lengths are in heights of the
    camera. Raises InputError."""

    nearest: float = 3.0
    farthest: float = 9.0
    side: float = 1.2
    """Region of interest: ground so far ahead, and so far to each side."""
    stride: int = 3
    """Every so many pixels along both axes."""
    min_points: int = 100
    """Fewer pixels on the plane are no ground."""
    max_tilt_deg: float = 10.0
    """Gate of the normal: the largest angle to where the camera's mount says that down is."""
    inlier_distance: float = 0.06
    """Share of its distance by which a point may lie off the plane."""
    min_inliers: float = 0.5
    """Least share of the region that must lie on the plane; cars and kerbs take the rest."""
    prior_height: float = 0.2
    prior_tilt_deg: float = 3.0
    """Standard deviations of the plane from depth, against the images: height as a share, and
    tilt."""
    correlated_pixels: float = 20.0
    """So many pixels err together as one."""
    min_parallax: float = 0.5
    """Median shift in pixels, by the translation alone, below which two images say nothing about
    the height."""
    max_change: float = 0.4
    """Largest logarithm of the height's change by the images that is believed."""

    def __post_init__(self) -> None:
        if not 0.0 < self.nearest < self.farthest or not self.side > 0.0:
            raise InputError(
                f"the ground's region must have 0 < nearest < farthest and side > 0, got {self}"
            )
        if not 0.0 < self.max_tilt_deg < 90.0:
            raise InputError(f"max_tilt_deg must be between 0 and 90, got {self.max_tilt_deg}")


@dataclass(frozen=True)
class GroundRegion:
    """The pixels where flat ground would be seen."""

    pixels: np.ndarray
    """(N, 2) int: u, v."""
    rays: np.ndarray
    """(N, 3) float64 with z = 1."""
    down: np.ndarray
    """(3,) unit vector: the expected normal."""


@dataclass(frozen=True)
class GroundPlane:
    """A plane below the camera: n . X = height, in the model's unit of length."""

    normal: np.ndarray
    """(3,) unit vector, downwards, in the camera's optical frame."""
    height: float
    relative_sigma: float
    """Standard deviation of the height as a share of it."""
    on_plane: np.ndarray
    """(N,) bool: which pixels of the region lie on it by their depth."""


class NoGround(Exception):
    """No plane that can be believed; the message says why."""


class NoParallax(NoGround):
    """The camera hardly moved: images cannot show how far the ground is."""


def ground_region(
    intrinsics: np.ndarray, size: tuple[int, int], down: np.ndarray, config: GroundConfig
) -> GroundRegion:
    """The region of interest of a camera with `intrinsics` (3, 3), image `size` (width, height),
    and `down` (3,) in its axes."""
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
    pixels, rays = np.stack([u, v], axis=1)[below], rays[below]
    forward = np.array([0.0, 0.0, 1.0]) - down[2] * down
    forward /= max(float(np.linalg.norm(forward)), 1e-9)
    ground = rays / (rays @ down)[:, None]  # where the rays meet ground one height below
    ahead, aside = ground @ forward, ground @ np.cross(down, forward)
    seen = (ahead > config.nearest) & (ahead < config.farthest) & (np.abs(aside) < config.side)
    return GroundRegion(pixels[seen], rays[seen], down)


def fit_ground(depth: np.ndarray, region: GroundRegion, config: GroundConfig) -> GroundPlane:
    """The plane through the predicted depth (H, W) of the region; raises NoGround.

    Iteratively reweighted least squares of a . X = 1 with Tukey's weights, started from the best of
    the planes through three points.
    """
    points = region.rays * depth[region.pixels[:, 1], region.pixels[:, 0]][:, None].astype(
        np.float64
    )
    known = np.isfinite(points).all(axis=1) & (points[:, 2] > 0)
    if known.sum() < config.min_points:
        raise NoGround(
            f"{known.sum()} pixels of ground with depth, expected at least {config.min_points}"
        )
    points[~known] = 0.0
    plane = _sampled_plane(points[known], region.down, config)
    for width in (2.0, 1.5, 1.0):
        plane = _weighted_plane(
            points,
            np.where(known, points @ plane - 1.0, np.inf),
            width * config.inlier_distance,
            plane,
        )
    on_plane = known & (np.abs(points @ plane - 1.0) < config.inlier_distance)
    _check_plane(plane, region, on_plane, config)
    height = 1.0 / float(np.linalg.norm(plane))
    return GroundPlane(plane * height, height, config.prior_height, on_plane)


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
    """The plane that makes the ground of the previous image (H, W) look as in the current one,
    given the motion; raises NoGround.

    Gauss-Newton over `a`, gain and offset of the brightness, with Cauchy's weights and the plane
    from depth as prior. So the height comes out in the unit of the motion, also where the depth of
    the road is off as a whole. NoParallax where the camera hardly moved.
    """
    view = _GroundView(
        previous, current, previous_from_current, intrinsics, region, depth_plane.on_plane
    )
    plane = start = depth_plane.normal / depth_plane.height
    parallax = view.parallax(plane)
    if parallax < config.min_parallax:
        raise NoParallax(
            f"the ground moved by {parallax:.1f} pixels, expected at least {config.min_parallax:.1f}"
        )
    prior = _prior(start, config)
    brightness = np.array([1.0, 0.0])
    for _ in range(iterations):
        information, gradient = view.normal_equations(plane, brightness, config)
        information[:3, :3] += prior
        gradient[:3] += prior @ (plane - start)
        change = -np.linalg.solve(information, gradient)
        plane, brightness = plane + change[:3], brightness + change[3:]
    height = 1.0 / float(np.linalg.norm(plane))
    _check_plane(plane, region, depth_plane.on_plane, config)
    if abs(np.log(height / depth_plane.height)) > config.max_change:
        raise NoGround(
            f"images and depth disagree about the height of the camera by a factor of {height / depth_plane.height:.2f}"
        )
    covariance = np.linalg.inv(information)[:3, :3]
    sigma = float(np.sqrt(plane @ covariance @ plane)) * height**2
    return GroundPlane(plane * height, height, sigma, depth_plane.on_plane)


class _GroundView:
    """The ground's pixels of the current image and the previous image, in which they are sought."""

    def __init__(
        self,
        previous: np.ndarray,
        current: np.ndarray,
        previous_from_current: np.ndarray,
        intrinsics: np.ndarray,
        region: GroundRegion,
        chosen: np.ndarray,
    ) -> None:
        pixels = region.pixels[chosen]
        self._rays = region.rays[chosen]
        self._values = _smoothed(current)[pixels[:, 1], pixels[:, 0]].astype(np.float64)
        image = _smoothed(previous)
        self._previous = cv2.merge(
            [
                image,
                cv2.Sobel(image, -1, 1, 0, ksize=1, scale=0.5),
                cv2.Sobel(image, -1, 0, 1, ksize=1, scale=0.5),
            ]
        )
        self._turned = self._rays @ previous_from_current[:3, :3].T
        self._translation = previous_from_current[:3, 3]
        self._focal = intrinsics[[0, 1], [0, 1]]
        self._center = intrinsics[:2, 2]

    def parallax(self, plane: np.ndarray) -> float:
        """Median shift (pixels) of the ground by the translation."""
        with_step = self._project(self._rays @ plane)[0]
        return float(
            np.median(
                np.linalg.norm(with_step - self._project(np.zeros(len(self._rays)))[0], axis=1)
            )
        )

    def normal_equations(
        self, plane: np.ndarray, brightness: np.ndarray, config: GroundConfig
    ) -> tuple[np.ndarray, np.ndarray]:
        """Information (5, 5) and gradient (5,) of the error I_previous - gain I_current - offset
        by plane, gain and offset."""
        pixels, by_inverse_depth = self._project(self._rays @ plane)
        sampled = _sample(self._previous, pixels)
        inside = np.isfinite(sampled).all(axis=1)
        if inside.sum() < config.min_points:
            raise NoGround(
                f"{inside.sum()} pixels of ground in both images, expected at least {config.min_points}"
            )
        values, along_u, along_v = sampled[inside].T.astype(np.float64)
        error = values - brightness[0] * self._values[inside] - brightness[1]
        slope = along_u * by_inverse_depth[inside, 0] + along_v * by_inverse_depth[inside, 1]
        jacobian = np.column_stack(
            [slope[:, None] * self._rays[inside], -self._values[inside], -np.ones_like(error)]
        )
        noise = max(1.4826 * float(np.median(np.abs(error))), 1.0)
        weights = 1.0 / (1.0 + (error / (1.5 * noise)) ** 2) / (noise**2 * config.correlated_pixels)
        weighted = jacobian * weights[:, None]
        return weighted.T @ jacobian + np.diag([0.0, 0.0, 0.0, 1e-6, 1e-6]), weighted.T @ error

    def _project(self, inverse_depth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where the pixels are in the previous image (N, 2), and the derivative (N, 2) of that
        by their inverse depth (N,)."""
        moved = self._turned + inverse_depth[:, None] * self._translation
        z = np.maximum(moved[:, 2:], 1e-6)
        direction = moved[:, :2] / z
        return direction * self._focal + self._center, (
            self._translation[:2] - direction * self._translation[2]
        ) / z * self._focal


def _smoothed(image: np.ndarray) -> np.ndarray:
    """(H, W) uint8 to float32, blurred by 1 2 1 along both axes, as the refinement does."""
    kernel = np.array([0.25, 0.5, 0.25])
    return cv2.sepFilter2D(image, cv2.CV_32F, kernel, kernel)


def _sample(image: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """Bilinear values (N, C) of an image (H, W, C) at pixels (N, 2); NaN outside."""
    places = pixels.astype(np.float32)
    nothing = (np.nan,) * image.shape[2]
    return cv2.remap(image, places[:, :1], places[:, 1:], cv2.INTER_LINEAR, borderValue=nothing)[
        :, 0
    ]


def _sampled_plane(points: np.ndarray, down: np.ndarray, config: GroundConfig) -> np.ndarray:
    """RANSAC: of the planes `a` (3,) through three of the points (N, 3) each, within the gate of
    the normal, the one nearest to most.

    The draws are the same every time, so that the same frames give the same scale. The level plane
    at the median takes part too.
    """
    draws = points[np.random.default_rng(0).integers(0, len(points), (DRAWS, 3))]
    draws = draws[np.abs(np.linalg.det(draws)) > 1e-9]
    planes = np.concatenate(
        [
            np.linalg.solve(draws, np.ones((len(draws), 3, 1)))[..., 0],
            [down / np.median(points @ down)],
        ]
    )
    level = planes @ down > np.cos(np.radians(config.max_tilt_deg)) * np.linalg.norm(planes, axis=1)
    level[-1] = True
    planes = planes[level]
    distances = np.minimum(np.abs(points @ planes.T - 1.0), config.inlier_distance)
    best: np.ndarray = planes[int(np.argmin(distances.sum(axis=0)))]
    return best


def _weighted_plane(
    points: np.ndarray, residuals: np.ndarray, width: float, plane: np.ndarray
) -> np.ndarray:
    """Least squares of a . X = 1 over the points (N, 3) with Tukey's weights; held weakly at
    `plane` where they determine too little."""
    weights = np.clip(1.0 - np.minimum(np.abs(residuals) / width, 1.0) ** 2, 0.0, None) ** 2
    weighted = points * weights[:, None]
    weak = 1e-6 * max(float(np.einsum("ij,ij->", weighted, points)), 1e-12)
    solution: np.ndarray = np.linalg.solve(
        weighted.T @ points + weak * np.eye(3), weighted.sum(axis=0) + weak * plane
    )
    return solution


def _prior(plane: np.ndarray, config: GroundConfig) -> np.ndarray:
    """Information (3, 3) of the plane from depth: along it for the height, across it for the
    tilt."""
    squared = float(plane @ plane)
    along = np.outer(plane, plane) / squared
    information: np.ndarray = (
        along / config.prior_height**2
        + (np.eye(3) - along) / np.radians(config.prior_tilt_deg) ** 2
    )
    return information / squared


def _check_plane(
    plane: np.ndarray, region: GroundRegion, on_plane: np.ndarray, config: GroundConfig
) -> None:
    """Raises NoGround for a plane that is not finite, tilted too far or without enough pixels on
    it."""
    length = float(np.linalg.norm(plane))
    if not 0.0 < length < np.inf:
        raise NoGround("the plane is not finite")
    tilt_deg = float(np.degrees(np.arccos(np.clip(plane @ region.down / length, -1.0, 1.0))))
    if tilt_deg > config.max_tilt_deg:
        raise NoGround(
            f"the plane is tilted by {tilt_deg:.0f} deg, expected at most {config.max_tilt_deg:.0f}"
        )
    share = float(on_plane.mean())
    if on_plane.sum() < config.min_points or share < config.min_inliers:
        raise NoGround(
            f"{share:.0%} of the region lies on a plane, expected at least {config.min_inliers:.0%}"
        )
