"""Tileable random fields, from which all textures are made."""

from __future__ import annotations

import cv2
import numpy as np


def fractal(
    rng: np.random.Generator,
    height: int,
    width: int,
    coarsest: int = 4,
    persistence: float = 0.6,
    octaves: int | None = None,
) -> np.ndarray:
    """(height, width) float32 field of mean 0 and deviation 1 that repeats seamlessly; sides are
    powers of two.

    The coarsest layer has about `coarsest` cells along the shorter side.
    """
    field = np.zeros((height, width), np.float32)
    cells, weight = 2 ** round(np.log2(coarsest)), 1.0
    shorter = min(height, width)
    while cells <= shorter and (octaves is None or octaves > 0):
        field += np.float32(weight) * _layer(
            rng, height, width, cells * height // shorter, cells * width // shorter
        )
        cells, weight = cells * 2, weight * persistence
        octaves = None if octaves is None else octaves - 1
    return (field - field.mean()) / max(float(field.std()), 1e-6)


def _layer(
    rng: np.random.Generator, height: int, width: int, rows: int, columns: int
) -> np.ndarray:
    """Random values on a grid, interpolated smoothly and periodically."""
    grid = rng.standard_normal((rows, columns), dtype=np.float32)
    if (rows, columns) == (height, width):
        return grid
    margin = 2
    grid = np.pad(grid, margin, mode="wrap")
    scale_x, scale_y = width // columns, height // rows
    large = cv2.resize(
        grid, (grid.shape[1] * scale_x, grid.shape[0] * scale_y), interpolation=cv2.INTER_CUBIC
    )
    return large[
        margin * scale_y : margin * scale_y + height, margin * scale_x : margin * scale_x + width
    ]


def tinted(colour: tuple[float, float, float], *fields: np.ndarray) -> np.ndarray:
    """(H, W, 3) float32: a colour (0..255) times (1 + field) for each field."""
    factor = np.ones_like(fields[0])
    for field in fields:
        factor = factor * np.maximum(1.0 + field, 0.05)
    return np.asarray(colour, np.float32) * factor[..., None]


def opaque(colour: np.ndarray) -> np.ndarray:
    """RGBA uint8 from RGB float."""
    alpha = np.full((*colour.shape[:2], 1), 255, np.uint8)
    return np.concatenate([np.clip(colour, 0, 255).astype(np.uint8), alpha], axis=2)
