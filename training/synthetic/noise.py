"""Tileable random fields, the base of all textures."""

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
    """Returns fractal noise (height, width) float32 of mean 0 and deviation 1, tileable.

    Sides are powers of two. The coarsest octave has about `coarsest` cells along the shorter side;
    each finer one has twice as many and `persistence` times the amplitude. `octaves` None goes down
    to single texels.
    """
    field = np.zeros((height, width), np.float32)
    cells = 2 ** round(np.log2(coarsest))
    amplitude = 1.0
    shorter = min(height, width)
    # Sum the octaves from coarse to fine.
    while cells <= shorter and (octaves is None or octaves > 0):
        field += np.float32(amplitude) * _octave(
            rng, height, width, cells * height // shorter, cells * width // shorter
        )
        cells *= 2
        amplitude *= persistence
        octaves = None if octaves is None else octaves - 1
    # Normalise mean and deviation.
    return (field - field.mean()) / max(float(field.std()), 1e-6)


def _octave(
    rng: np.random.Generator, height: int, width: int, rows: int, columns: int
) -> np.ndarray:
    """Returns random values (height, width) on a grid, interpolated smoothly and periodically."""
    grid = rng.standard_normal((rows, columns), dtype=np.float32)
    if (rows, columns) == (height, width):
        return grid
    margin = 2
    grid = np.pad(grid, margin, mode="wrap")
    scale_x = width // columns
    scale_y = height // rows
    large = cv2.resize(
        grid, (grid.shape[1] * scale_x, grid.shape[0] * scale_y), interpolation=cv2.INTER_CUBIC
    )
    return large[
        margin * scale_y : margin * scale_y + height, margin * scale_x : margin * scale_x + width
    ]


def tinted(colour: tuple[float, float, float], *fields: np.ndarray) -> np.ndarray:
    """Returns a colour (0..255) times (1 + field) for each field (H, W), (H, W, 3) float32."""
    factor = np.ones_like(fields[0])
    for field in fields:
        factor = factor * np.maximum(1.0 + field, 0.05)
    return np.asarray(colour, np.float32) * factor[..., None]


def opaque(colour: np.ndarray) -> np.ndarray:
    """Returns RGBA uint8 from RGB float (H, W, 3), 0..255, with full opacity."""
    alpha = np.full((*colour.shape[:2], 1), 255, np.uint8)
    return np.concatenate([np.clip(colour, 0, 255).astype(np.uint8), alpha], axis=2)
