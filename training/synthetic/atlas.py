"""Texture atlas: all textures of a drive, with mipmap levels, in one image.

One remap then colours a whole frame.
"""

from __future__ import annotations

import cv2
import numpy as np

ATLAS_WIDTH = 4096  # texels
PADDING = 2  # texels around each tile, filled by repeating it
MIN_LEVEL_SIDE = 4  # texels; the coarsest level of a texture has this shorter side


class Atlas:
    """Tileable RGBA textures with box-filtered mipmap levels.

    Textures are uint8 (h, w, 4), their sides powers of two and at most 1024.

    `levels` (textures * depth, 4) float32 holds for each texture and level: x, y of its first
    texel, width, height. Textures with fewer levels than `depth` repeat their coarsest. `sizes`
    (textures, 2) float64 holds width and height of the finest levels.
    """

    def __init__(self, textures: list[np.ndarray]) -> None:
        # Compute the levels of all textures, as tiles of falling height.
        self.sizes = np.array([t.shape[1::-1] for t in textures], dtype=np.float64)
        pyramids = [_pyramid(texture) for texture in textures]
        self.depth = max(len(p) for p in pyramids)
        tiles = [
            (t, level, image)
            for t, pyramid in enumerate(pyramids)
            for level, image in enumerate(pyramid)
        ]
        tiles.sort(key=lambda tile: -tile[2].shape[0])
        # Copy the tiles into one image.
        levels = np.zeros((len(textures), self.depth, 4), np.float32)
        positions, height = _pack_shelves([tile[2].shape for tile in tiles])
        atlas = np.zeros((height, ATLAS_WIDTH, 4), np.uint8)
        for (t, level, image), (x, y) in zip(tiles, positions, strict=True):
            padded = np.pad(image, ((PADDING, PADDING), (PADDING, PADDING), (0, 0)), mode="wrap")
            atlas[y : y + padded.shape[0], x : x + padded.shape[1]] = padded
            levels[t, level:] = x + PADDING, y + PADDING, image.shape[1], image.shape[0]
        # Keep contiguous columns for fast lookup; x and y point to pixel centres there.
        self.levels = levels.reshape(-1, 4)
        self._columns = [
            np.ascontiguousarray(self.levels[:, i] - (0.5 if i < 2 else 0.0)) for i in range(4)
        ]
        self.colour = np.ascontiguousarray(atlas[..., :3])
        self.opacity = np.ascontiguousarray(atlas[..., 3])

    def level_rows(self, textures: np.ndarray, texels_per_sample: np.ndarray) -> np.ndarray:
        """Returns the rows of `levels` (K,) that suit textures (K,) at a sampling density.

        `texels_per_sample` (K,) counts texels of the finest level.
        """
        level = np.clip(np.round(np.log2(np.maximum(texels_per_sample, 1e-6))), 0, self.depth - 1)
        return textures * self.depth + level.astype(np.int64)

    def alpha(self, row: int, u: np.ndarray, v: np.ndarray) -> np.ndarray:
        """Returns opacity 0..255 at repeating texture coordinates u, v, from one level."""
        x, y, width, height = (float(value) for value in self.levels[row])
        map_x = (u - np.floor(u)) * np.float32(width) + np.float32(x - 0.5)
        map_y = (v - np.floor(v)) * np.float32(height) + np.float32(y - 0.5)
        return cv2.remap(self.opacity, map_x, map_y, cv2.INTER_LINEAR)

    def alpha_under_homography(
        self, row: int, texture_from_sample: np.ndarray, shape: tuple[int, ...]
    ) -> np.ndarray:
        """Returns opacity 0..255 of `shape` (rows, columns), from one level, not repeated.

        `texture_from_sample` (3, 3) leads to texture coordinates 0..1; opacity is 0 beyond them.
        """
        x, y, width, height = self.levels[row].astype(int).tolist()
        texels = texture_from_sample * ((width,), (height,), (1.0,))
        texels[:2] -= 0.5 * texels[2]
        source = self.opacity[y : y + height, x : x + width]
        return cv2.warpPerspective(
            source, texels, shape[::-1], flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        )

    def sample(
        self, texture: np.ndarray, u: np.ndarray, v: np.ndarray, level: np.ndarray
    ) -> np.ndarray:
        """Returns trilinearly interpolated colours (3, H, W) float32, 0..255.

        `texture` is int (H, W), `u` and `v` are repeating texture coordinates (H, W), `level` is
        float (H, W) from 0, the finest.
        """
        level = np.clip(level, 0.0, self.depth - 1.001)
        lower = level.astype(np.int32)
        weight = level - lower
        u = u - np.floor(u)
        v = v - np.floor(v)
        row = texture * self.depth + lower
        fine = self._level_colours(row, u, v)
        coarse = self._level_colours(row + 1, u, v)
        return blend(fine, coarse, weight)

    def _level_colours(self, row: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
        """Returns colours (H, W, 3) uint8 at u, v in 0..1, from rows (H, W) of `levels`."""
        x, y, width, height = (column.take(row) for column in self._columns)
        return cv2.remap(self.colour, u * width + x, v * height + y, cv2.INTER_LINEAR)


def blend(first: np.ndarray, second: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Returns the blend of two uint8 images (H, W, 3) as float32 planes (3, H, W).

    `weight` (H, W) is the second image's. The result has colour planes because numpy is fast on
    long rows.
    """
    planes = np.empty((3, *weight.shape), np.float32)
    for channel in range(3):
        low = first[..., channel].astype(np.float32)
        planes[channel] = low + (second[..., channel] - low) * weight
    return planes


def _pyramid(texture: np.ndarray) -> list[np.ndarray]:
    """Returns a texture and its halved levels, down to a side of MIN_LEVEL_SIDE."""
    levels = [texture]
    while min(levels[-1].shape[:2]) > MIN_LEVEL_SIDE:
        height, width = levels[-1].shape[:2]
        levels.append(
            cv2.resize(levels[-1], (width // 2, height // 2), interpolation=cv2.INTER_AREA)
        )
    return levels


def _pack_shelves(shapes: list[tuple[int, ...]]) -> tuple[list[tuple[int, int]], int]:
    """Packs tiles of falling height on shelves; returns positions (x, y) and the total height."""
    positions: list[tuple[int, int]] = []
    x = 0
    y = 0
    shelf_height = 0
    for height, width, _ in shapes:
        if x + width + 2 * PADDING > ATLAS_WIDTH:
            x = 0
            y += shelf_height
            shelf_height = 0
        positions.append((x, y))
        x += width + 2 * PADDING
        shelf_height = max(shelf_height, height + 2 * PADDING)
    return positions, y + shelf_height
