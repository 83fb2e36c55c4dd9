"""Smooth corrections of a predicted depth map: what a depth network gets wrong, it gets wrong over
whole regions.

Errors of neighbouring pixels are alike, so that no number of pixels averages them out: a wood that
is predicted too near looks like a camera that turned. Here log depth may change by sigma(D) sum_k
c_k phi_k(u, v), with the bilinear functions phi_k of a coarse grid over the image and a coefficient
c_k ~ N(0, 1) of each of its nodes. The alignment estimates the coefficients with the motion; they
are worth little by themselves, but the motion and its covariance no longer lean on the depth more
than it deserves.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sfm_odometry.tracking.photometric import TargetPoints

LARGEST_CORRECTION = 3.0
"""Standard deviations of log depth beyond which far points are all as good as infinitely far."""


@dataclass(frozen=True)
class DepthCorrection:
    """The corrections that a depth map may need; `grid` of (0, 0) nodes: none."""

    grid: tuple[int, int]
    """Rows and columns of nodes; the outermost lie on the image's border."""
    near: float
    """Standard deviation of log depth close to the camera."""
    far: float
    """The same at the depth `typical_depth`, growing in proportion to the depth: beyond the
    stereo of training, depth is a guess."""
    typical_depth: float

    @property
    def count(self) -> int:
        """Number of coefficients K."""
        return self.grid[0] * self.grid[1]

    def sigma(self, depth: Tensor) -> Tensor:
        """Standard deviation of the log of each depth."""
        return torch.hypot(
            torch.full_like(depth, self.near), self.far / self.typical_depth * depth
        ).clamp_max(LARGEST_CORRECTION)

    def basis(self, target: TargetPoints) -> Tensor:
        """(K, N): the change of the log depth of N points by each coefficient."""
        depth = target.points[2]
        if not self.count:
            return depth.new_zeros(0, depth.numel())
        rows, columns = (
            _tents(target.places[axis], nodes)
            for axis, nodes in zip((1, 0), self.grid, strict=True)
        )
        return (rows[:, None] * columns[None]).flatten(0, 1) * self.sigma(depth)

    def corrected(self, depth: np.ndarray, coefficients: np.ndarray) -> np.ndarray:
        """A whole depth map (H, W) after the correction (K,), float32."""
        if not self.count:
            return depth
        height, width = depth.shape
        v, u = (torch.linspace(0.0, 1.0, size) for size in (height, width))
        nodes = torch.from_numpy(coefficients).float().view(self.grid)
        change = _tents(v, self.grid[0]).T @ nodes @ _tents(u, self.grid[1])
        values = torch.from_numpy(depth)
        corrected: np.ndarray = (values * torch.exp(change * self.sigma(values))).numpy()
        return corrected


def _tents(places: Tensor, nodes: int) -> Tensor:
    """(nodes, N): linear B-splines over places (N,) from 0 to 1."""
    if nodes == 1:
        return torch.ones_like(places)[None]
    centres = torch.arange(nodes, device=places.device, dtype=places.dtype)[:, None]
    return (1.0 - (places * (nodes - 1) - centres).abs()).clamp_min(0.0)
