"""Sun, sky and what they cast: shadow maps along the sunlight, the sky's picture, haze."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from training.synthetic.atlas import Atlas
from training.synthetic.noise import fractal
from training.synthetic.polygons import Polygons
from training.synthetic.raster import Samples, fill, project_parallel

SHADOW_TEXEL_M = 0.14
SHADOW_REACH_M = 62.0
SHADOW_STEP_M = 12.0
KEPT_MAPS = 4
SKY_WIDTH, SKY_HEIGHT = 2048, 512  # all azimuths; elevations SKY_LOW_RAD..SKY_HIGH_RAD
SKY_LOW_RAD, SKY_HIGH_RAD = -0.15, 0.6


@dataclass(frozen=True)
class Light:
    """The drive's weather. Radiance is relative: 1 is a white wall in full sun."""

    to_sun: np.ndarray  # (3,) unit vector
    sun: np.ndarray  # (3,) colour and strength
    ambient: np.ndarray  # (3,)
    haze_m: float  # distance over which 63 % of the contrast is lost
    haze: np.ndarray  # (3,)
    sky: np.ndarray  # (SKY_HEIGHT, SKY_WIDTH, 3) float32 radiance, top row highest

    def sky_towards(self, direction: np.ndarray) -> np.ndarray:
        """(H, W, 3) radiance of the sky along world directions (3, H, W)."""
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
    rng = np.random.default_rng([seed, 13])
    overcast = float(rng.choice([0.0, 0.0, 0.0, 0.35, 0.9]))
    elevation, azimuth = np.radians(rng.uniform(22, 55)), rng.uniform(0, 2 * np.pi)
    to_sun = np.array(
        [
            np.cos(elevation) * np.cos(azimuth),
            np.cos(elevation) * np.sin(azimuth),
            np.sin(elevation),
        ]
    )
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
    elevation = np.linspace(SKY_HIGH_RAD, SKY_LOW_RAD, SKY_HEIGHT, dtype=np.float32)[:, None]
    azimuth = np.linspace(-np.pi, np.pi, SKY_WIDTH, endpoint=False, dtype=np.float32)[None]
    zenith = np.array([0.33, 0.5, 0.8]) * rng.uniform(0.7, 1.2)
    near_horizon = np.exp(-np.maximum(elevation, 0) * 4.5)[..., None]
    sky = zenith + (haze * 1.1 - zenith) * near_horizon
    sky = sky + np.zeros((1, SKY_WIDTH, 1))
    clouds = fractal(rng, SKY_HEIGHT, SKY_WIDTH, 3, 0.65)
    cover = np.clip((clouds - rng.uniform(0.2, 2.2) + 2.5 * overcast) * 0.8, 0, 1)[..., None]
    sky += (np.array([1.05, 1.07, 1.1]) * (1.15 - 0.25 * overcast) - sky) * cover
    level = np.cos(azimuth - np.arctan2(to_sun[1], to_sun[0])) * np.hypot(to_sun[0], to_sun[1])
    toward_sun = level * np.cos(elevation) + np.sin(elevation) * to_sun[2]
    sky += (1.6 * np.maximum(toward_sun, 0) ** 12)[..., None] * (1 - 0.7 * overcast)
    return _with_hills(rng, sky.astype(np.float32), elevation, haze)


def _with_hills(
    rng: np.random.Generator, sky: np.ndarray, elevation: np.ndarray, haze: np.ndarray
) -> np.ndarray:
    """Wooded hills and a tree line beyond what is modelled."""
    texture = fractal(rng, SKY_HEIGHT, SKY_WIDTH, 16, 0.85)
    for height, veil in ((rng.uniform(0.0, 0.09), 0.45), (rng.uniform(0.012, 0.03), 0.2)):
        ridge = (
            height * (0.6 + 0.3 * fractal(rng, 4, SKY_WIDTH, 1, 0.6)[:1])
            + 0.0025 * fractal(rng, 8, SKY_WIDTH, 8, 0.9)[:1]
        )
        green = (
            np.array([0.11, 0.14, 0.06]) * rng.uniform(0.8, 1.8) * np.exp(0.3 * texture)[..., None]
        )
        hill = green + (haze * 0.9 - green) * veil
        sky = np.where((elevation < ridge)[..., None], hill, sky)
    ground = np.array([0.32, 0.33, 0.22]) + (haze * 0.9 - np.array([0.32, 0.33, 0.22])) * 0.3
    return np.where((elevation < -0.004)[..., None], ground, sky).astype(np.float32)


def shadow_bias(facing: np.ndarray, cutout: np.ndarray, ground: np.ndarray) -> np.ndarray:
    """(K,) metres for surfaces that face the sun by a cosine `facing`: the flatter the light,
    the more a map's texel spans in depth."""
    slope = np.sqrt(1 - np.clip(facing, 0, 1) ** 2) / np.maximum(facing, 0.05)
    return np.where(
        ground, 0.08, np.where(cutout, 0.3, 0.08 + 1.3 * SHADOW_TEXEL_M * slope)
    )  # the ground is not in the map


class ShadowMap:
    """Heights towards the sun of what it hits first, on a grid fixed to the world, around a
    place that moves in steps."""

    def __init__(self, to_sun: np.ndarray) -> None:
        across = np.cross([0.0, 0.0, 1.0], to_sun)
        across /= np.linalg.norm(across)
        self.axes = np.stack([across, np.cross(to_sun, across), to_sun])
        self._maps: dict[tuple[int, int], tuple[np.ndarray, np.ndarray]] = {}

    def place_for(self, center: np.ndarray, forward: np.ndarray) -> tuple[int, int]:
        middle = (center + forward * SHADOW_REACH_M * 0.72) / SHADOW_STEP_M
        return int(np.round(middle[0])), int(np.round(middle[1]))

    def has(self, place: tuple[int, int]) -> bool:
        return place in self._maps

    def add(self, place: tuple[int, int], polygons: Polygons, atlas: Atlas, height: float) -> None:
        """Render the map around `place` and keep it; `height` is the ground's there."""
        while len(self._maps) >= KEPT_MAPS:
            del self._maps[next(iter(self._maps))]
        middle = self.axes[:2] @ np.array(
            [place[0] * SHADOW_STEP_M, place[1] * SHADOW_STEP_M, height]
        )
        count = int(2 * SHADOW_REACH_M / SHADOW_TEXEL_M)
        first = np.round(middle / SHADOW_TEXEL_M) - count // 2
        origin = first * SHADOW_TEXEL_M
        samples = Samples(
            origin[0] + np.arange(count) * SHADOW_TEXEL_M,
            origin[1] + np.arange(count) * SHADOW_TEXEL_M,
        )
        projected = project_parallel(polygons, self.axes, samples)
        density = np.full(len(projected.source), 8.0)
        heights, _ = fill(projected, polygons, atlas, samples, density)
        self._maps[place] = heights, origin

    def lit(
        self, place: tuple[int, int], points: list[np.ndarray], bias_m: np.ndarray
    ) -> np.ndarray:
        """(H, W) float32 share of sunlight, 0..1, at world points given as three (H, W) arrays, by
        one place's map; 1 beyond it.

        A point counts as lit up to `bias_m` (H, W) behind what the map holds: its own surface, as
        coarsely as the map has it.
        """
        heights, origin = self._maps[place]
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
        total = np.zeros(height.shape, np.float32)
        beyond = (a < 1) | (b < 1) | (a > side - 2) | (b > side - 2)
        a, b = np.clip(a, 1, side - 2), np.clip(b, 1, side - 2)
        column, row = a.astype(np.int32), b.astype(np.int32)
        right, down = a - column, b - row
        index = row * side + column
        for step, weight in (
            (0, (1 - right) * (1 - down)),
            (1, right * (1 - down)),
            (side, (1 - right) * down),
            (side + 1, right * down),
        ):
            total += weight * (heights.take(index + step) < height)
        return np.where(beyond, np.float32(1), total)
