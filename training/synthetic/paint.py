"""Painted ground: road surfaces, markings, pavements and grass.

The ground is one endless image, drawn tile by tile when a tile is first visible.
"""

from __future__ import annotations

from collections import OrderedDict

import cv2
import numpy as np

from training.synthetic.noise import fractal

TEXEL_M = 0.05  # side of a texel of the finest level
TILE_TEXELS = 512
TILE_M = TEXEL_M * TILE_TEXELS
LEVELS = 6
TILES_ACROSS = (3, 5, 8, 8, 8, 8)  # tiles that each level of the clipmap spans around the car
SUBPIXEL_BITS = 4
MAX_CACHED_TILES = 160
MAX_CACHED_CLIPMAPS = 3
HARD = 255  # hardness of asphalt and slabs; 0 is grass and soil
MEADOWS = ((70, 84, 38), (86, 92, 46), (110, 104, 62), (150, 140, 88), (62, 70, 34))

Colour = tuple[float, float, float]


class Paint:
    """Lines and areas on the ground in world metres, drawn in order of their layer.

    Colours are RGB 0..255; hardness is kept as a fourth channel.
    """

    def __init__(self) -> None:
        self._items: list[tuple] = []
        self._boxes: list[tuple[float, float, float, float]] = []

    def line(
        self, layer: int, points: np.ndarray, width_m: float, colour: Colour, hardness: int = HARD
    ) -> None:
        """Adds a thick polyline (P, 2).

        Long ones are cut, to draw only the necessary parts on a tile.
        """
        for start in range(0, max(len(points) - 1, 1), 12):
            self._add(layer, points[start : start + 13], width_m, colour, hardness)

    def area(self, layer: int, points: np.ndarray, colour: Colour, hardness: int = HARD) -> None:
        """Adds a filled polygon (P, 2)."""
        self._add(layer, points, 0.0, colour, hardness)

    def _add(
        self, layer: int, points: np.ndarray, width_m: float, colour: Colour, hardness: int
    ) -> None:
        """Adds a polyline, or a filled polygon for width 0, and its bounding box."""
        points = np.asarray(points, dtype=np.float64)
        low = points.min(axis=0) - width_m
        high = points.max(axis=0) + width_m
        self._items.append((layer, len(self._items), points, width_m, (*colour, hardness)))
        self._boxes.append((low[0], low[1], high[0], high[1]))

    def draw(self, image: np.ndarray, origin: np.ndarray) -> None:
        """Draws onto a tile (TILE_TEXELS, TILE_TEXELS, 4) uint8, rows along y.

        `origin` (2,) is the corner of its first texel in world metres.
        """
        # Find the items that touch the tile.
        boxes = np.array(self._boxes).reshape(-1, 4)
        side = TILE_M
        hit = (
            (boxes[:, 0] < origin[0] + side)
            & (boxes[:, 2] > origin[0])
            & (boxes[:, 1] < origin[1] + side)
            & (boxes[:, 3] > origin[1])
        )
        items = (self._items[i] for i in np.flatnonzero(hit))
        # Draw them by layer, and within a layer in the order of their addition.
        for _, _, points, width, colour in sorted(items, key=lambda item: item[:2]):
            texels = np.round(((points - origin) / TEXEL_M - 0.5) * 2**SUBPIXEL_BITS).astype(
                np.int32
            )
            if width:
                thickness = max(round(width / TEXEL_M), 1)
                cv2.polylines(
                    image,
                    [texels],
                    isClosed=False,
                    color=colour,
                    thickness=thickness,
                    lineType=cv2.LINE_AA,
                    shift=SUBPIXEL_BITS,
                )
            else:
                cv2.fillPoly(image, [texels], colour, cv2.LINE_AA, SUBPIXEL_BITS)


class GroundClipmap:
    """Samples the painted ground near the car, from levels of falling resolution.

    Call `move_to` before `sample`. Tiles and the levels' images are cached.
    """

    def __init__(self, seed: int, paint: Paint) -> None:
        rng = np.random.default_rng([seed, 6])
        self._paint = paint
        self._tiles: OrderedDict[tuple[int, int], list[np.ndarray]] = OrderedDict()
        self._meadow = np.array(MEADOWS[int(rng.integers(len(MEADOWS)))]) * rng.uniform(0.8, 1.15)
        # Fields of brightness that repeat every tile, and larger ones that repeat every 8 tiles.
        self._soft_grain = 0.22 * fractal(rng, TILE_TEXELS, TILE_TEXELS, 16, 0.9)
        self._hard_grain = 0.035 * fractal(rng, TILE_TEXELS, TILE_TEXELS, 8, 0.95)
        self._brightness = fractal(rng, TILE_TEXELS, TILE_TEXELS, 6, 0.75, octaves=6)
        self._dryness = fractal(rng, TILE_TEXELS, TILE_TEXELS, 8, 0.8, octaves=6)
        self._hard_contrast = rng.uniform(0.04, 0.11)
        # Image and origin (2,) of each level, by the first tiles of all levels.
        self._clipmaps: OrderedDict[tuple[int, ...], list[tuple[np.ndarray, np.ndarray]]] = (
            OrderedDict()
        )
        self._levels: list[tuple[np.ndarray, np.ndarray]] = []

    def move_to(self, center: np.ndarray, forward: np.ndarray) -> None:
        """Selects the tiles for a camera at `center` (2,) that looks along `forward` (2,)."""
        # The coarser a level, the further it reaches ahead.
        first_tiles = []
        for level, across in enumerate(TILES_ACROSS):
            middle = center + forward * TILE_M * (0.45 * across - 0.6) * (
                0.55 if level < 2 else 0.8
            )
            first_tiles.append(np.round(middle / TILE_M - across / 2).astype(int))
        # Assemble the levels' images unless they are cached.
        key = tuple(int(v) for first in first_tiles for v in first)
        if key not in self._clipmaps:
            while len(self._clipmaps) >= MAX_CACHED_CLIPMAPS:
                self._clipmaps.popitem(last=False)
            self._clipmaps[key] = [
                self._assemble_level(level, first, TILES_ACROSS[level])
                for level, first in enumerate(first_tiles)
            ]
        self._levels = self._clipmaps[key]

    def sample(self, x: np.ndarray, y: np.ndarray, level: np.ndarray) -> np.ndarray:
        """Returns colours (3, H, W) float32, 0..255, at world points x, y (H, W).

        `level` (H, W) 0 is the finest; fractions blend two levels.
        """
        x32 = x.astype(np.float32, copy=False)
        y32 = y.astype(np.float32, copy=False)
        colour = np.zeros((3, *x32.shape), np.float32)
        # Blend each finer level over the coarser ones.
        for index in range(LEVELS - 1, -1, -1):
            image, origin = self._levels[index]
            is_coarsest = index == LEVELS - 1
            # Restrict the work to the rows that need this level.
            needed = (level < index + 1).any(axis=1)
            rows = np.arange(len(x32)) if is_coarsest else np.flatnonzero(needed)
            if len(rows) == 0:
                continue
            span = slice(rows[0], rows[-1] + 1)
            # Sample the level's image.
            scale = np.float32(1 / (TEXEL_M * 2**index))
            map_x = x32[span] * scale - np.float32(origin[0] * scale + 0.5)
            map_y = y32[span] * scale - np.float32(origin[1] * scale + 0.5)
            finer = cv2.remap(
                image, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
            )
            # Blend it in, less and less towards its border.
            if not is_coarsest:
                weight = np.clip(index + 1 - level[span], 0, 1)
                weight = weight * _border_weight(map_x, map_y, image.shape[0])
            for channel in range(3):
                plane = colour[channel, span]
                difference = finer[..., channel] - plane
                plane += difference if is_coarsest else difference * weight
        return colour

    def _assemble_level(
        self, level: int, first: np.ndarray, across: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Returns a level's image of `across` x `across` tiles and its origin (2,) in metres."""
        i, j = (int(v) for v in first)
        rows = [
            [self._tile(i + column, j + row)[level] for column in range(across)]
            for row in range(across)
        ]
        return np.concatenate([np.concatenate(row, axis=1) for row in rows], axis=0), first * TILE_M

    def _tile(self, i: int, j: int) -> list[np.ndarray]:
        """Returns all levels of tile (i, j) along x and y, RGB uint8, from the cache if cached."""
        if (i, j) in self._tiles:
            self._tiles.move_to_end((i, j))
            return self._tiles[i, j]
        while len(self._tiles) >= MAX_CACHED_TILES:
            self._tiles.popitem(last=False)
        levels = [self._paint_tile(i, j)]
        for _ in range(LEVELS - 1):
            levels.append(
                cv2.resize(levels[-1], None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
            )
        self._tiles[i, j] = levels
        return levels

    def _paint_tile(self, i: int, j: int) -> np.ndarray:
        """Paints tile (i, j) at the finest level, RGB uint8: meadow, then paint, then grain."""
        brightness = _tile_of_field(self._brightness, i, j)
        dryness = _tile_of_field(self._dryness, j, i + 3)
        image = np.zeros((TILE_TEXELS, TILE_TEXELS, 4), np.uint8)
        image[..., :3] = np.clip(self._meadow, 0, 255).astype(np.uint8)
        self._paint.draw(image, np.array([i, j]) * TILE_M)
        # Planes, because numpy is fast on long rows.
        *colours, hardness = cv2.split(image)
        hard = hardness.astype(np.float32)
        hard /= 255
        # Grain and brightness.
        factor = self._hard_grain - self._soft_grain
        factor *= hard
        factor += self._soft_grain
        factor += 1
        factor += brightness * (0.16 + (self._hard_contrast - 0.16) * hard)
        np.clip(factor, 0.2, 2.0, out=factor)
        # Dry grass is redder.
        redness = 1 + 0.12 * dryness * (1 - hard)
        planes = [plane * factor for plane in colours]
        planes[0] *= redness
        return cv2.merge([np.clip(plane, 0, 255).astype(np.uint8) for plane in planes])


def _border_weight(map_x: np.ndarray, map_y: np.ndarray, side: int) -> np.ndarray:
    """Returns 1 inside an image of `side` texels, falling to 0 at its border."""
    half = np.float32(side / 2)
    border = half - np.maximum(np.abs(map_x - half), np.abs(map_y - half))
    return np.clip(border * np.float32(1 / (0.06 * side)), 0, 1)


def _tile_of_field(field: np.ndarray, i: int, j: int) -> np.ndarray:
    """Returns the part of tile (i, j) of a field that repeats every 8 tiles, without seams."""
    across = TILE_TEXELS // 8
    margin = 2
    rows = np.arange(-margin, across + margin) + j % 8 * across
    columns = np.arange(-margin, across + margin) + i % 8 * across
    part = field.take(rows, axis=0, mode="wrap").take(columns, axis=1, mode="wrap")
    large = cv2.resize(part, None, fx=8, fy=8, interpolation=cv2.INTER_LINEAR)
    return large[8 * margin : -8 * margin, 8 * margin : -8 * margin]
