"""Ground plane ahead of the camera, and its fit to the predicted depth.

A plane n . X = h (n: unit normal, down; h: height of the camera over it) gives the inverse depth of
a pixel with ray r (z = 1): 1 / z = a . r with a = n / h, so |a| is one over the height. All fits
are over the three numbers of `a`.
"""

from dataclasses import dataclass

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
    columns: int = 140
    """Number of columns of the image whose pixels are used, and of rows at the same distances."""
    min_points: int = 100
    """Smallest number of pixels on the plane."""
    max_tilt_deg: float = 10.0
    """Largest angle between the normal and the downward direction by the camera's mount."""
    inlier_distance: float = 0.06
    """Largest distance of an inlier from the plane, as a share of its distance to the camera."""
    min_inliers: float = 0.5
    """Smallest share of inliers in the region; cars and kerbs take the rest."""
    prior_depth: float = 0.2
    prior_tilt_deg: float = 5.0
    """Standard deviations of the plane from depth, as a prior of the images: a factor of its depth,
    and the tilt about the region."""
    correlated_pixels: float = 20.0
    """Number of pixels with a common error, which count as one."""
    min_parallax: float = 0.5
    """Smallest median shift in pixels, by the translation alone, at which two images determine the
    height."""
    max_change: float = 0.4
    """Largest logarithm of the height's change by the images that is accepted."""
    height_sigma: float = 0.015
    """Relative standard deviation of the true height over the ground ahead: bumps, slopes, load."""

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
    """Plane below the camera, a . X = 1, in the model's unit of length."""

    a: np.ndarray
    """Downward normal over the camera's height (3,), in the camera's optical frame."""
    covariance: np.ndarray
    """(3, 3) of `a`."""

    @property
    def height(self) -> float:
        """Height of the camera over the plane."""
        return 1.0 / float(np.linalg.norm(self.a))

    @property
    def normal(self) -> np.ndarray:
        """Downward unit vector (3,) in the camera's optical frame."""
        return self.a * self.height

    @property
    def relative_sigma(self) -> float:
        """Standard deviation of the height, relative to it."""
        return float(np.sqrt(self.a @ self.covariance @ self.a)) * self.height**2

    def climb(self, motion: np.ndarray) -> float:
        """Share of a motion (3,) of the camera that is along the normal, up: -1 to 1."""
        return -float(self.normal @ motion) / max(float(np.linalg.norm(motion)), 1e-9)

    def with_climb(self, motion: np.ndarray, sigma: float) -> "GroundPlane":
        """Plane after the measurement that the camera's motion (3,) is along it.

        sigma: standard deviation of the climb. The images determine the plane's height and tilt
        together: a tilt of one degree changes the height by six per cent. The direction of the
        motion of a camera that drives is a second measurement of the tilt. Kalman's update with
        the climb c = -n . t / |t| and its derivative dc/da = (-t / |t| - c n) / |a|.
        """
        climb = self.climb(motion)
        direction = motion / max(float(np.linalg.norm(motion)), 1e-9)
        by_a = (-direction - climb * self.normal) * self.height
        gain = self.covariance @ by_a / (by_a @ self.covariance @ by_a + sigma**2)
        return GroundPlane(
            self.a - gain * climb, self.covariance - np.outer(gain, by_a @ self.covariance)
        )

    def inliers(self, rays: np.ndarray, depth: np.ndarray, distance: float) -> np.ndarray:
        """Pixels (N,), bool, with rays (N, 3), z = 1, that lie on the plane by their depth (N,).

        distance: largest one from the plane, as a share of that to the camera.
        """
        known = np.isfinite(depth) & (depth > 0)
        from_plane = (rays @ self.a) * np.where(known, depth, 0.0) - 1.0
        inliers: np.ndarray = known & (np.abs(from_plane) < distance)
        return inliers


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
    stride = max(round(width / config.columns), 1)
    u, v = (
        axis.ravel()
        for axis in np.meshgrid(np.arange(0, width, stride), np.arange(0, height, stride))
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
    known_depth = depth[region.pixels[:, 1], region.pixels[:, 0]].astype(np.float64)
    points = region.rays * known_depth[:, None]
    known = np.isfinite(points).all(axis=1) & (points[:, 2] > 0)
    if known.sum() < config.min_points:
        raise NoGround(
            f"{known.sum()} pixels of ground with depth, expected at least {config.min_points}"
        )
    points[~known] = 0.0
    # Sample planes, then refine the best.
    a = _ransac_plane(points[known], region.down, config)
    for width in REWEIGHTING_WIDTHS:
        residuals = np.where(known, points @ a - 1.0, np.inf)
        a = _weighted_plane(points, residuals, width * config.inlier_distance, a)
    plane = GroundPlane(a, _depth_covariance(a, region, config))
    inliers = plane.inliers(region.rays, known_depth, config.inlier_distance)
    check_plane(plane, region, inliers, config)
    return plane


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


def _depth_covariance(a: np.ndarray, region: GroundRegion, config: GroundConfig) -> np.ndarray:
    """Covariance (3, 3) of a plane from depth.

    The depth of the region may be wrong by a factor, and the plane be tilted about the region.
    """
    center = region.rays.mean(axis=0)
    center /= np.linalg.norm(center)
    covariance: np.ndarray = config.prior_depth**2 * np.outer(a, a) + np.radians(
        config.prior_tilt_deg
    ) ** 2 * float(a @ a) * (np.eye(3) - np.outer(center, center))
    return covariance


def check_plane(
    plane: GroundPlane, region: GroundRegion, inliers: np.ndarray, config: GroundConfig
) -> None:
    """Raise NoGround for a plane that is not finite, is tilted too far or has few inliers."""
    length = float(np.linalg.norm(plane.a))
    if not 0.0 < length < np.inf:
        raise NoGround("the plane is not finite")
    tilt_deg = float(np.degrees(np.arccos(np.clip(plane.normal @ region.down, -1.0, 1.0))))
    if tilt_deg > config.max_tilt_deg:
        raise NoGround(
            f"the plane is tilted by {tilt_deg:.0f} deg, expected at most {config.max_tilt_deg:.0f}"
        )
    share = float(inliers.mean())
    if inliers.sum() < config.min_points or share < config.min_inliers:
        raise NoGround(
            f"{share:.0%} of the region lies on a plane, expected at least {config.min_inliers:.0%}"
        )
