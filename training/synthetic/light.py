"""Sun, sky, haze, and shadow maps along the sunlight."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from training.synthetic.atlas import Atlas
from training.synthetic.noise import fractal
from training.synthetic.polygons import Polygons
from training.synthetic.raster import Samples, fill, project_parallel

SHADOW_TEXEL_M = 0.14
SHADOW_REACH_M = 62.0  # half the side of a shadow map
SHADOW_STEP_M = 12.0  # distance between the centres of neighbouring maps
MAX_CACHED_MAPS = 4
# The sky's image covers all azimuths and the elevations SKY_LOW_RAD..SKY_HIGH_RAD.
SKY_WIDTH = 2048
SKY_HEIGHT = 512
SKY_LOW_RAD = -0.15
SKY_HIGH_RAD = 0.6


@dataclass(frozen=True)
class Light:
    """Light and weather of a drive. Radiance is relative: 1 is a white wall in full sun."""

    to_sun: np.ndarray  # (3,) unit vector
    sun: np.ndarray  # (3,) colour and strength
    ambient: np.ndarray  # (3,)
    haze_m: float  # distance over which 63 % of the contrast is lost
    haze: np.ndarray  # (3,)
    sky: np.ndarray  # (SKY_HEIGHT, SKY_WIDTH, 3) float32 radiance, top row highest

    def sky_towards(self, direction: np.ndarray) -> np.ndarray:
        """Returns the radiance (H, W, 3) of the sky along world directions (3, H, W)."""
        azimuth = np.arctan2(direction[1], direction[0])
        elevation = np.arctan2(direction[2], np.hypot(direction[0], direction[1]))
        x = (azimuth / (2 * np.pi) + 0.5) * SKY_WIDTH - 0.5
        y = (SKY_HIGH_RAD - elevation) / (SKY_HIGH_RAD - SKY_LOW_RAD) * SKY_HEIGHT - 0.5
        return cv2.remap(
            self.sky,
            x.astype(np.float32),
            y.astype(np.float32),
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )


def draw_light(seed: int) -> Light:
    """Draws the light of a drive from its seed."""
    # Weather and the position of the sun.
    rng = np.random.default_rng([seed, 13])
    overcast = float(rng.choice([0.0, 0.0, 0.0, 0.35, 0.9]))
    elevation = np.radians(rng.uniform(22, 55))
    azimuth = rng.uniform(0, 2 * np.pi)
    to_sun = np.array(
        [
            np.cos(elevation) * np.cos(azimuth),
            np.cos(elevation) * np.sin(azimuth),
            np.sin(elevation),
        ]
    )
    # Colours and strengths.
    sun = (1 - 0.85 * overcast) * rng.uniform(0.9, 1.2) * np.array([1.06, 1.0, 0.9])
    ambient = (rng.uniform(0.1, 0.24) + 0.5 * overcast) * np.array([0.92, 1.0, 1.1])
    haze = rng.uniform(0.7, 1.1) * np.array([0.96, 1.0, 1.05])
    return Light(
        to_sun,
        sun,
        ambient,
        float(rng.choice([350, 600, 1200])),
        haze,
        _draw_sky(rng, to_sun, overcast, haze),
    )


def _draw_sky(
    rng: np.random.Generator, to_sun: np.ndarray, overcast: float, haze: np.ndarray
) -> np.ndarray:
    """Draws the sky's radiance (SKY_HEIGHT, SKY_WIDTH, 3) float32, with clouds and hills.

    `to_sun` (3,) is a unit vector, `overcast` 0..1, `haze` (3,) the radiance of the haze.
    """
    # Clear sky: from the haze at the horizon to blue at the zenith.
    elevation = np.linspace(SKY_HIGH_RAD, SKY_LOW_RAD, SKY_HEIGHT, dtype=np.float32)[:, None]
    azimuth = np.linspace(-np.pi, np.pi, SKY_WIDTH, endpoint=False, dtype=np.float32)[None]
    zenith = np.array([0.33, 0.5, 0.8]) * rng.uniform(0.7, 1.2)
    near_horizon = np.exp(-np.maximum(elevation, 0) * 4.5)[..., None]
    sky = zenith + (haze * 1.1 - zenith) * near_horizon
    sky = sky + np.zeros((1, SKY_WIDTH, 1))
    # Clouds.
    clouds = fractal(rng, SKY_HEIGHT, SKY_WIDTH, 3, 0.65)
    cover = np.clip((clouds - rng.uniform(0.2, 2.2) + 2.5 * overcast) * 0.8, 0, 1)[..., None]
    sky += (np.array([1.05, 1.07, 1.1]) * (1.15 - 0.25 * overcast) - sky) * cover
    # The glow around the sun.
    level = np.cos(azimuth - np.arctan2(to_sun[1], to_sun[0])) * np.hypot(to_sun[0], to_sun[1])
    toward_sun = level * np.cos(elevation) + np.sin(elevation) * to_sun[2]
    sky += (1.6 * np.maximum(toward_sun, 0) ** 12)[..., None] * (1 - 0.7 * overcast)
    return _add_hills(rng, sky.astype(np.float32), elevation, haze)


def _add_hills(
    rng: np.random.Generator, sky: np.ndarray, elevation: np.ndarray, haze: np.ndarray
) -> np.ndarray:
    """Returns the sky with wooded hills and a tree line, beyond the scene that is modelled.

    `elevation` (SKY_HEIGHT, 1) are the rows' elevations in radians.
    """
    # Hills, then the nearer tree line, each veiled by haze.
    texture = fractal(rng, SKY_HEIGHT, SKY_WIDTH, 16, 0.85)
    for height, veil in ((rng.uniform(0.0, 0.09), 0.45), (rng.uniform(0.012, 0.03), 0.2)):
        ridge = (
            height * (0.6 + 0.3 * fractal(rng, 4, SKY_WIDTH, 1, 0.6)[:1])
            + 0.0025 * fractal(rng, 8, SKY_WIDTH, 8, 0.9)[:1]
        )
        tint = np.array([0.11, 0.14, 0.06]) * rng.uniform(0.8, 1.8)
        # Only the rows below the highest ridge.
        top = int(np.searchsorted(-elevation[:, 0], -ridge.max(), side="right"))
        green = tint * np.exp(0.3 * texture[top:])[..., None]
        hill = green + (haze * 0.9 - green) * veil
        np.copyto(sky[top:], hill, where=(elevation[top:] < ridge)[..., None], casting="same_kind")
    # Ground below the horizon.
    ground = np.array([0.32, 0.33, 0.22]) + (haze * 0.9 - np.array([0.32, 0.33, 0.22])) * 0.3
    sky[elevation[:, 0] < -0.004] = ground
    return sky


def shadow_bias(facing: np.ndarray, cutout: np.ndarray, ground: np.ndarray) -> np.ndarray:
    """Returns the depth bias (K,) in metres of surfaces in the shadow map.

    `facing` (K,) is the cosine between surface normal and sun: the flatter the light, the more
    depth a texel of the map spans. `cutout` and `ground` are bool (K,); the ground is not in the
    map and needs no such bias.
    """
    slope = np.sqrt(1 - np.clip(facing, 0, 1) ** 2) / np.maximum(facing, 0.05)
    return np.where(ground, 0.08, np.where(cutout, 0.3, 0.08 + 1.3 * SHADOW_TEXEL_M * slope))


class ShadowMaps:
    """Cache of shadow maps: heights towards the sun of the first surfaces that it hits.

    The maps lie on a grid fixed to the world. Each belongs to a cell of a coarser grid, whose cells
    are SHADOW_STEP_M wide: the map around the cell's centre. `axes` (3, 3) are the unit vectors of
    the map's x and y and the direction towards the sun.
    """

    def __init__(self, to_sun: np.ndarray) -> None:
        across = np.cross([0.0, 0.0, 1.0], to_sun)
        across /= np.linalg.norm(across)
        self.axes = np.stack([across, np.cross(to_sun, across), to_sun])
        self._maps: dict[tuple[int, int], tuple[np.ndarray, np.ndarray]] = {}

    def cell_for(self, center: np.ndarray, forward: np.ndarray) -> tuple[int, int]:
        """Returns the cell whose map suits a camera at `center` (2,) that looks `forward` (2,)."""
        middle = (center + forward * SHADOW_REACH_M * 0.72) / SHADOW_STEP_M
        return int(np.round(middle[0])), int(np.round(middle[1]))

    def __contains__(self, cell: tuple[int, int]) -> bool:
        return cell in self._maps

    def render(
        self, cell: tuple[int, int], polygons: Polygons, atlas: Atlas, ground_m: float
    ) -> None:
        """Renders the map of a cell and caches it; `ground_m` is the ground's height there."""
        # Make room for it.
        while len(self._maps) >= MAX_CACHED_MAPS:
            del self._maps[next(iter(self._maps))]
        # Snap its origin to the grid of texels, so shadows do not flicker from map to map.
        middle = self.axes[:2] @ np.array(
            [cell[0] * SHADOW_STEP_M, cell[1] * SHADOW_STEP_M, ground_m]
        )
        count = int(2 * SHADOW_REACH_M / SHADOW_TEXEL_M)
        first = np.round(middle / SHADOW_TEXEL_M) - count // 2
        origin = first * SHADOW_TEXEL_M
        samples = Samples(
            origin[0] + np.arange(count) * SHADOW_TEXEL_M,
            origin[1] + np.arange(count) * SHADOW_TEXEL_M,
        )
        # Render the polygons as seen from the sun.
        projected = project_parallel(polygons, self.axes, samples)
        density = np.full(len(projected.source), 8.0)
        heights, _ = fill(projected, polygons, atlas, samples, density)
        self._maps[cell] = heights, origin

    def sunlit_share(
        self, cell: tuple[int, int], points: list[np.ndarray], bias_m: np.ndarray
    ) -> np.ndarray:
        """Returns the share of sunlight 0..1 (H, W) float32 at points, by one cell's map.

        `points` are world coordinates as three (H, W) arrays. The share is 1 beyond the map. A
        point counts as lit up to `bias_m` (H, W) behind the map's surface, which may be its own as
        coarsely as the map has it.
        """
        # Coordinates of the points in the map.
        heights, origin = self._maps[cell]
        axes = self.axes.astype(np.float32)
        a, b, height = (
            axis[0] * points[0] + axis[1] * points[1] + axis[2] * points[2] for axis in axes
        )
        a, b = (
            (value - np.float32(first)) * np.float32(1 / SHADOW_TEXEL_M)
            for value, first in zip((a, b), origin, strict=True)
        )
        side = heights.shape[0]
        height = height + bias_m
        # Bilinear weights of the four texels around each point.
        beyond = (a < 1) | (b < 1) | (a > side - 2) | (b > side - 2)
        a = np.clip(a, 1, side - 2)
        b = np.clip(b, 1, side - 2)
        column = a.astype(np.int32)
        row = b.astype(np.int32)
        right = a - column
        down = b - row
        index = row * side + column
        # Percentage-closer filtering: the comparisons are interpolated, not the heights.
        share = np.zeros(height.shape, np.float32)
        for step, weight in (
            (0, (1 - right) * (1 - down)),
            (1, right * (1 - down)),
            (side, (1 - right) * down),
            (side + 1, right * down),
        ):
            share += weight * (heights.take(index + step) < height)
        return np.where(beyond, np.float32(1), share)
