"""All textures of a drive in one image with their coarser levels, so that one remap colours a
whole frame."""

from __future__ import annotations

import cv2
import numpy as np

ATLAS_WIDTH = 4096
PADDING = 2
SMALLEST = 4


class Atlas:
    """Tileable RGBA textures (uint8, sides powers of two, at most 1024) with box-filtered levels.

    `levels` (textures * depth, 4) float32 holds for each texture and level: x, y of its first
    texel, width, height.
    """

    def __init__(self, textures: list[np.ndarray]) -> None:
        self.sizes = np.array([t.shape[1::-1] for t in textures], dtype=np.float64)  # width, height
        pyramids = [_pyramid(texture) for texture in textures]
        self.depth = max(len(p) for p in pyramids)
        tiles = [
            (t, level, image)
            for t, pyramid in enumerate(pyramids)
            for level, image in enumerate(pyramid)
        ]
        tiles.sort(key=lambda tile: -tile[2].shape[0])
        levels = np.zeros((len(textures), self.depth, 4), np.float32)
        places, height = _shelves([tile[2].shape for tile in tiles])
        image_of_all = np.zeros((height, ATLAS_WIDTH, 4), np.uint8)
        for (t, level, image), (x, y) in zip(tiles, places, strict=True):
            padded = np.pad(image, ((PADDING, PADDING), (PADDING, PADDING), (0, 0)), mode="wrap")
            image_of_all[y : y + padded.shape[0], x : x + padded.shape[1]] = padded
            levels[t, level:] = x + PADDING, y + PADDING, image.shape[1], image.shape[0]
        self.levels = levels.reshape(-1, 4)
        self._columns = [
            np.ascontiguousarray(self.levels[:, i] - (0.5 if i < 2 else 0.0)) for i in range(4)
        ]
        self.colour = np.ascontiguousarray(image_of_all[..., :3])
        self.opacity = np.ascontiguousarray(image_of_all[..., 3])

    def level_rows(self, textures: np.ndarray, texels_per_sample: np.ndarray) -> np.ndarray:
        """(K,) rows of `levels` for textures (K,) whose finest level has so many texels per
        sample."""
        level = np.clip(np.round(np.log2(np.maximum(texels_per_sample, 1e-6))), 0, self.depth - 1)
        return textures * self.depth + level.astype(np.int64)

    def alpha(self, row: int, u: np.ndarray, v: np.ndarray) -> np.ndarray:
        """Opacity 0..255 at texture coordinates u, v, repeated, from one level."""
        x, y, width, height = (float(value) for value in self.levels[row])
        map_x = (u - np.floor(u)) * np.float32(width) + np.float32(x - 0.5)
        map_y = (v - np.floor(v)) * np.float32(height) + np.float32(y - 0.5)
        return cv2.remap(self.opacity, map_x, map_y, cv2.INTER_LINEAR)

    def alpha_once(
        self, row: int, texture_from_sample: np.ndarray, shape: tuple[int, ...]
    ) -> np.ndarray:
        """Opacity 0..255 of `shape` (rows, columns) under a homography to texture coordinates
        0..1; nothing beyond them."""
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
        """Trilinear colours (3, H, W) float32 0..255; `texture` int (H, W), `level` float (H, W)
        from 0, the finest."""
        level = np.clip(level, 0.0, self.depth - 1.001)
        lower = level.astype(np.int32)
        share = level - lower
        u, v = u - np.floor(u), v - np.floor(v)
        row = texture * self.depth + lower
        fine = self._level_colours(row, u, v)
        coarse = self._level_colours(row + 1, u, v)
        return blended(fine, coarse, share)

    def _level_colours(self, row: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
        x, y, width, height = (column.take(row) for column in self._columns)
        return cv2.remap(self.colour, u * width + x, v * height + y, cv2.INTER_LINEAR)


def blended(first: np.ndarray, second: np.ndarray, share: np.ndarray) -> np.ndarray:
    """(3, H, W) float32 from two uint8 images (H, W, 3): colour planes, because numpy is quick
    on long rows."""
    planes = np.empty((3, *share.shape), np.float32)
    for channel in range(3):
        low = first[..., channel].astype(np.float32)
        planes[channel] = low + (second[..., channel] - low) * share
    return planes


def _pyramid(texture: np.ndarray) -> list[np.ndarray]:
    levels = [texture]
    while min(levels[-1].shape[:2]) > SMALLEST:
        height, width = levels[-1].shape[:2]
        levels.append(
            cv2.resize(levels[-1], (width // 2, height // 2), interpolation=cv2.INTER_AREA)
        )
    return levels


def _shelves(shapes: list[tuple[int, ...]]) -> tuple[list[tuple[int, int]], int]:
    """Places on shelves of falling height, and the total height."""
    places, x, y, shelf = [], 0, 0, 0
    for height, width, _ in shapes:
        if x + width + 2 * PADDING > ATLAS_WIDTH:
            x, y, shelf = 0, y + shelf, 0
        places.append((x, y))
        x += width + 2 * PADDING
        shelf = max(shelf, height + 2 * PADDING)
    return places, y + shelf
