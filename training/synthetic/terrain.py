"""Gentle hills: a smooth height over the whole world, drawn as flat triangles between the nodes
of a regular grid."""

from __future__ import annotations

import numpy as np

CELL_M = 16.0


class Terrain:
    """height(x, y): a few long waves, never steeper than about 6 %."""

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
        """(...,) heights under points (..., 2 or 3)."""
        return np.sin(points[..., :2] @ self._wave.T + self._phase) @ self._amplitude

    def slope(self, points: np.ndarray) -> np.ndarray:
        """(..., 2) rise per metre along x and y."""
        return (np.cos(points[..., :2] @ self._wave.T + self._phase) * self._amplitude) @ self._wave

    def height(self, points: np.ndarray) -> np.ndarray:
        """(...,) heights of the triangles that are drawn: what stands on the ground stands on
        these."""
        cell = np.floor(points[..., :2] / CELL_M)
        share = points[..., :2] / CELL_M - cell
        node = [
            self.smooth_height((cell + step) * CELL_M) for step in ((0, 0), (1, 0), (1, 1), (0, 1))
        ]
        x, y = share[..., 0], share[..., 1]
        below = node[0] + (node[1] - node[0]) * x + (node[2] - node[1]) * y
        above = node[0] + (node[2] - node[3]) * x + (node[3] - node[0]) * y
        return np.where(x >= y, below, above)

    def triangles(self, center: np.ndarray, forward: np.ndarray, reach_m: float) -> np.ndarray:
        """(T, 4, 3) triangles, last corner repeated, of the cells ahead of `center` (2,) that a
        wide view along `forward` (2,) can see."""
        first = np.floor((center - reach_m) / CELL_M).astype(int)
        last = np.ceil((center + reach_m) / CELL_M).astype(int)
        i, j = (
            grid.ravel()
            for grid in np.meshgrid(
                np.arange(first[0], last[0]), np.arange(first[1], last[1]), indexing="ij"
            )
        )
        to_cell = (np.stack([i, j], axis=1) + 0.5) * CELL_M - center
        ahead = to_cell @ forward
        beside = np.abs(to_cell @ np.array([-forward[1], forward[0]]))
        seen = (ahead > -1.5 * CELL_M) & (ahead < reach_m) & (beside < 1.05 * ahead + 3 * CELL_M)
        corners = np.stack([i, j], axis=1)[seen, None] + np.array([[0, 0], [1, 0], [1, 1], [0, 1]])
        points = corners * CELL_M
        points = np.concatenate([points, self.smooth_height(points)[..., None]], axis=-1)
        return np.concatenate([points[:, [0, 1, 2, 2]], points[:, [0, 2, 3, 3]]])
