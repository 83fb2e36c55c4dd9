"""Depth of every frame from a depth network that runs for some of them.

The depth network is the most expensive part of a frame. Between two of its predictions, the earlier
one is moved to the newest view by the motion since.
"""

from typing import Protocol

import numpy as np

STRIDE = 2
"""Stride of rows and columns of the pixels that are moved."""
CELL = 4
"""Side of the cells of the result that have one depth, pixels. At a forward motion that enlarges
the image to twice its size, moved pixels still fall into each cell."""
MIN_SHARE = 0.05
"""Least depth of a moved pixel, as a share of the median: nearer ones are beside the camera."""


def propagate_depth(
    depth: np.ndarray, intrinsics: np.ndarray, current_from_source: np.ndarray
) -> np.ndarray:
    """Moves a depth map (H, W) of one view to another; returns (H, W) float32, NaN where unknown.

    Each pixel is back-projected, transformed and projected; the nearest one of a cell hides the
    others. intrinsics: (3, 3) of both views. current_from_source: (4, 4), in the depth's unit.
    """
    height, width = depth.shape
    # Back-project a subset of the pixels, and transform them.
    rows = np.arange(0, height, STRIDE)
    columns = np.arange(0, width, STRIDE)
    z = depth[::STRIDE, ::STRIDE].astype(np.float64)
    x = (columns - intrinsics[0, 2]) / intrinsics[0, 0] * z
    y = (rows[:, None] - intrinsics[1, 2]) / intrinsics[1, 1] * z
    source = np.stack([x.ravel(), y.ravel(), z.ravel()])
    moved = current_from_source[:3, :3] @ source + current_from_source[:3, 3:]

    # Project those in front of the camera, and find their cells.
    least = MIN_SHARE * np.nanmedian(z) if np.isfinite(z).any() else np.inf
    moved = moved[:, moved[2] > least]
    u = np.round(intrinsics[0, 0] * moved[0] / moved[2] + intrinsics[0, 2]).astype(int)
    v = np.round(intrinsics[1, 1] * moved[1] / moved[2] + intrinsics[1, 2]).astype(int)
    inside = (u >= 0) & (v >= 0) & (u < width) & (v < height)
    cells = np.full((-(-height // CELL), -(-width // CELL)), np.inf, np.float32)
    index = v[inside] // CELL * cells.shape[1] + u[inside] // CELL
    np.minimum.at(cells.reshape(-1), index, moved[2, inside].astype(np.float32))

    # Enlarge the cells to pixels.
    cells[np.isinf(cells)] = np.nan
    return cells.repeat(CELL, axis=0).repeat(CELL, axis=1)[:height, :width]


class DepthFrame(Protocol):
    """Frame whose depth is predicted when it is asked for."""

    @property
    def depth(self) -> np.ndarray:
        """Depth (H, W) along z."""

    @property
    def depth_intrinsics(self) -> np.ndarray:
        """Intrinsics (3, 3) of the depth."""


class PropagatedDepth:
    """Depth of the newest frame: predicted, or moved from the last frame with a prediction."""

    def __init__(self, max_steps: int) -> None:
        """max_steps: number of steps after which depth is predicted again."""
        self._max_steps = max_steps
        self.reset()

    def reset(self) -> None:
        """Forget the last prediction."""
        self._depth: np.ndarray | None = None
        self._newest_from_predicted = np.eye(4)
        self.steps = 0
        """Steps since the last prediction."""

    def advance(self, newest_from_previous: np.ndarray) -> None:
        """Move on by a step (4, 4), in the unit of the predicted depth."""
        self._newest_from_predicted = newest_from_previous @ self._newest_from_predicted
        self.steps += 1

    def of(self, newest: DepthFrame) -> np.ndarray:
        """Depth (H, W) of the newest frame; NaN where the prediction does not reach."""
        if self._depth is None or self.steps >= self._max_steps:
            self.reset()
            self._depth = newest.depth
        if self.steps == 0:
            return self._depth
        return propagate_depth(self._depth, newest.depth_intrinsics, self._newest_from_predicted)
