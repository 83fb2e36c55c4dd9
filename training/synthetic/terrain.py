"""Terrain of gentle hills.

A smooth height over the whole world, drawn as flat triangles between the nodes of a regular grid.
"""

from __future__ import annotations

import numpy as np

CELL_M = 16.0  # side of a grid cell


class Terrain:
    """Height over x and y: a sum of a few long waves, never steeper than about 6 %."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng([seed, 2])
        wavelength = rng.uniform(110, 500, 5)
        angle = rng.uniform(0, 2 * np.pi, 5)
        steepness = rng.uniform(0.1, 1.0) * 0.014
        self._wave = (
            2 * np.pi / wavelength[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
        )
        self._phase = rng.uniform(0, 2 * np.pi, 5)
        self._amplitude = steepness * wavelength / (2 * np.pi)

    def smooth_height(self, points: np.ndarray) -> np.ndarray:
        """Returns the heights (...,) of the waves at points (..., 2 or 3), in metres."""
        return np.sin(points[..., :2] @ self._wave.T + self._phase) @ self._amplitude

    def slope(self, points: np.ndarray) -> np.ndarray:
        """Returns the rise per metre along x and y at points, (..., 2)."""
        return (np.cos(points[..., :2] @ self._wave.T + self._phase) * self._amplitude) @ self._wave

    def height(self, points: np.ndarray) -> np.ndarray:
        """Returns the heights (...,) of the drawn triangles at points, in metres.

        Objects on the ground stand on the triangles, not on the smooth waves.
        """
        cell = np.floor(points[..., :2] / CELL_M)
        share = points[..., :2] / CELL_M - cell
        node = [
            self.smooth_height((cell + step) * CELL_M) for step in ((0, 0), (1, 0), (1, 1), (0, 1))
        ]
        x = share[..., 0]
        y = share[..., 1]
        below = node[0] + (node[1] - node[0]) * x + (node[2] - node[1]) * y
        above = node[0] + (node[2] - node[3]) * x + (node[3] - node[0]) * y
        return np.where(x >= y, below, above)

    def triangles(self, center: np.ndarray, forward: np.ndarray, reach_m: float) -> np.ndarray:
        """Returns the triangles (T, 4, 3) that a wide view along `forward` (2,) can see.

        The last corner is repeated. The triangles are of the cells ahead of `center` (2,), within
        `reach_m`.
        """
        # Cells of the square around the camera.
        first = np.floor((center - reach_m) / CELL_M).astype(int)
        last = np.ceil((center + reach_m) / CELL_M).astype(int)
        i, j = (
            grid.ravel()
            for grid in np.meshgrid(
                np.arange(first[0], last[0]), np.arange(first[1], last[1]), indexing="ij"
            )
        )
        # Cells in the field of view, with a margin.
        to_cell = (np.stack([i, j], axis=1) + 0.5) * CELL_M - center
        ahead = to_cell @ forward
        sideways = np.abs(to_cell @ np.array([-forward[1], forward[0]]))
        visible = (ahead > -1.5 * CELL_M) & (ahead < reach_m)
        visible &= sideways < 1.05 * ahead + 3 * CELL_M
        # Two triangles for each.
        cells = np.stack([i, j], axis=1)[visible, None]
        corners = cells + np.array([[0, 0], [1, 0], [1, 1], [0, 1]])
        points = corners * CELL_M
        points = np.concatenate([points, self.smooth_height(points)[..., None]], axis=-1)
        return np.concatenate([points[:, [0, 1, 2, 2]], points[:, [0, 2, 3, 3]]])
