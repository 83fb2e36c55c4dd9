"""The painted ground: road surfaces, markings, pavements, grass, as one endless picture drawn
tile by tile when it is first seen."""

from __future__ import annotations

from collections import OrderedDict

import cv2
import numpy as np

from training.synthetic.noise import fractal

TEXEL_M = 0.05
TILE_TEXELS = 512
TILE_M = TEXEL_M * TILE_TEXELS
LEVELS = 6
TILES_ACROSS = (3, 5, 8, 8, 8, 8)  # tiles that each level of the picture spans around the car
SUBPIXEL_BITS = 4
KEPT_TILES = 160
KEPT_PICTURES = 3
HARD = 255  # asphalt, slabs; 0 is grass and soil
MEADOWS = ((70, 84, 38), (86, 92, 46), (110, 104, 62), (150, 140, 88), (62, 70, 34))

Colour = tuple[float, float, float]


class Paint:
    """Lines and areas in world metres, drawn in order of their layer."""

    def __init__(self) -> None:
        self._items: list[tuple] = []
        self._boxes: list[tuple[float, float, float, float]] = []

    def line(
        self, layer: int, points: np.ndarray, width_m: float, colour: Colour, hardness: int = HARD
    ) -> None:
        """A thick polyline; long ones are cut so that tiles draw only what they need."""
        for start in range(0, max(len(points) - 1, 1), 12):
            self._add(layer, points[start : start + 13], width_m, colour, hardness)

    def area(self, layer: int, points: np.ndarray, colour: Colour, hardness: int = HARD) -> None:
        self._add(layer, points, 0.0, colour, hardness)

    def _add(
        self, layer: int, points: np.ndarray, width_m: float, colour: Colour, hardness: int
    ) -> None:
        points = np.asarray(points, dtype=np.float64)
        low, high = points.min(axis=0) - width_m, points.max(axis=0) + width_m
        self._items.append((layer, len(self._items), points, width_m, (*colour, hardness)))
        self._boxes.append((low[0], low[1], high[0], high[1]))

    def draw(self, image: np.ndarray, origin: np.ndarray) -> None:
        """Draw onto a tile (rows along y) whose first texel's corner is at `origin`."""
        boxes = np.array(self._boxes).reshape(-1, 4)
        side = TILE_M
        hit = (
            (boxes[:, 0] < origin[0] + side)
            & (boxes[:, 2] > origin[0])
            & (boxes[:, 1] < origin[1] + side)
            & (boxes[:, 3] > origin[1])
        )
        for _, _, points, width, colour in sorted(
            (self._items[i] for i in np.flatnonzero(hit)), key=lambda item: item[:2]
        ):
            texels = np.round(((points - origin) / TEXEL_M - 0.5) * 2**SUBPIXEL_BITS).astype(
                np.int32
            )
            if width:
                thickness = max(round(width / TEXEL_M), 1)
                cv2.polylines(image, [texels], False, colour, thickness, cv2.LINE_AA, SUBPIXEL_BITS)
            else:
                cv2.fillPoly(image, [texels], colour, cv2.LINE_AA, SUBPIXEL_BITS)


class GroundPicture:
    """Samples the painted ground at any point near the car, from levels of falling resolution."""

    def __init__(self, seed: int, paint: Paint) -> None:
        rng = np.random.default_rng([seed, 6])
        self._paint = paint
        self._tiles: OrderedDict[tuple[int, int], list[np.ndarray]] = OrderedDict()
        self._meadow = np.array(MEADOWS[int(rng.integers(len(MEADOWS)))]) * rng.uniform(0.8, 1.15)
        self._soft_grain = 0.22 * fractal(rng, TILE_TEXELS, TILE_TEXELS, 16, 0.9)
        self._hard_grain = 0.035 * fractal(rng, TILE_TEXELS, TILE_TEXELS, 8, 0.95)
        self._broad = fractal(rng, TILE_TEXELS, TILE_TEXELS, 6, 0.75, octaves=6)
        self._dry = fractal(rng, TILE_TEXELS, TILE_TEXELS, 8, 0.8, octaves=6)
        self._contrast = rng.uniform(0.04, 0.11)
        self._pictures: OrderedDict[tuple[int, ...], list[tuple[np.ndarray, np.ndarray]]] = (
            OrderedDict()
        )
        self._levels: list[tuple[np.ndarray, np.ndarray]] = []

    def look_from(self, center: np.ndarray, forward: np.ndarray) -> None:
        """Prepare the picture for a camera at `center` (2,) that looks along `forward` (2,)."""
        firsts = []
        for level, across in enumerate(TILES_ACROSS):
            middle = center + forward * TILE_M * (0.45 * across - 0.6) * (
                0.55 if level < 2 else 0.8
            )
            firsts.append(np.round(middle / TILE_M - across / 2).astype(int))
        key = tuple(int(v) for first in firsts for v in first)
        if key not in self._pictures:
            while len(self._pictures) >= KEPT_PICTURES:
                self._pictures.popitem(last=False)
            self._pictures[key] = [
                self._assembled(level, first, TILES_ACROSS[level])
                for level, first in enumerate(firsts)
            ]
        self._levels = self._pictures[key]

    def sample(self, x: np.ndarray, y: np.ndarray, level: np.ndarray) -> np.ndarray:
        """(3, H, W) float32 colours at world points; `level` 0 is the finest, fractions blend."""
        x32, y32 = x.astype(np.float32, copy=False), y.astype(np.float32, copy=False)
        colour = np.zeros((3, *x32.shape), np.float32)
        for index in range(LEVELS - 1, -1, -1):
            image, origin = self._levels[index]
            needed = (level < index + 1).any(axis=1)
            rows = np.flatnonzero(needed) if index < LEVELS - 1 else np.arange(len(x32))
            if len(rows) == 0:
                continue
            span = slice(rows[0], rows[-1] + 1)
            scale = np.float32(1 / (TEXEL_M * 2**index))
            map_x = x32[span] * scale - np.float32(origin[0] * scale + 0.5)
            map_y = y32[span] * scale - np.float32(origin[1] * scale + 0.5)
            finer = cv2.remap(
                image, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
            )
            share = (
                np.clip(index + 1 - level[span], 0, 1) * _within(map_x, map_y, image.shape[0])
                if index < LEVELS - 1
                else 1.0
            )
            for channel in range(3):
                plane = colour[channel, span]
                plane += (
                    (finer[..., channel] - plane) * share
                    if index < LEVELS - 1
                    else finer[..., channel] - plane
                )
        return colour

    def _assembled(
        self, level: int, first: np.ndarray, across: int
    ) -> tuple[np.ndarray, np.ndarray]:
        i, j = (int(v) for v in first)
        rows = [
            [self._tile(i + column, j + row)[level] for column in range(across)]
            for row in range(across)
        ]
        return np.concatenate([np.concatenate(row, axis=1) for row in rows], axis=0), first * TILE_M

    def _tile(self, i: int, j: int) -> list[np.ndarray]:
        if (i, j) in self._tiles:
            self._tiles.move_to_end((i, j))
            return self._tiles[i, j]
        while len(self._tiles) >= KEPT_TILES:
            self._tiles.popitem(last=False)
        levels = [self._painted(i, j)]
        for _ in range(LEVELS - 1):
            levels.append(
                cv2.resize(levels[-1], None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
            )
        self._tiles[i, j] = levels
        return levels

    def _painted(self, i: int, j: int) -> np.ndarray:
        broad, dry = _patch(self._broad, i, j), _patch(self._dry, j, i + 3)
        image = np.zeros((TILE_TEXELS, TILE_TEXELS, 4), np.uint8)
        image[..., :3] = np.clip(self._meadow, 0, 255).astype(np.uint8)
        self._paint.draw(image, np.array([i, j]) * TILE_M)
        hard = image[..., 3].astype(np.float32) / 255
        grain = self._soft_grain + (self._hard_grain - self._soft_grain) * hard
        factor = 1 + grain + broad * (0.16 + (self._contrast - 0.16) * hard)
        np.clip(factor, 0.2, 2.0, out=factor)
        colour = image[..., :3].astype(np.float32) * factor[..., None]
        colour[..., 0] *= 1 + 0.12 * dry * (1 - hard)
        return np.clip(colour, 0, 255).astype(np.uint8)


def _within(map_x: np.ndarray, map_y: np.ndarray, side: int) -> np.ndarray:
    """1 inside a picture, falling to 0 at its border."""
    half = np.float32(side / 2)
    border = half - np.maximum(np.abs(map_x - half), np.abs(map_y - half))
    return np.clip(border * np.float32(1 / (0.06 * side)), 0, 1)


def _patch(field: np.ndarray, i: int, j: int) -> np.ndarray:
    """One tile's part of a field that repeats every 8 tiles, enlarged without seams."""
    across, margin = TILE_TEXELS // 8, 2
    rows = np.arange(-margin, across + margin) + j % 8 * across
    columns = np.arange(-margin, across + margin) + i % 8 * across
    part = field.take(rows, axis=0, mode="wrap").take(columns, axis=1, mode="wrap")
    large = cv2.resize(part, None, fx=8, fy=8, interpolation=cv2.INTER_LINEAR)
    return large[8 * margin : -8 * margin, 8 * margin : -8 * margin]
