"""Smooth corrections of a predicted depth map.

A depth network errs over whole regions: errors of neighbouring pixels are alike, and no number of
pixels averages them out. A wood that is predicted too near looks like a camera that turned. Here
log depth may change by sigma(D) sum_k c_k phi_k(u, v), with the bilinear functions phi_k of a
coarse grid over the image and a coefficient c_k ~ N(0, 1) for each of its nodes. The alignment
estimates the coefficients with the motion; they are worth little by themselves, but they keep the
motion and its covariance from relying on the depth more than its accuracy allows.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sfm_odometry.tracking.photometric import TargetPoints

MAX_LOG_DEPTH_SIGMA = 3.0
"""Greatest standard deviation of log depth; at this value a point may be infinitely far."""


@dataclass(frozen=True)
class DepthCorrection:
    """Model of the corrections of one depth map; a `grid` of (0, 0) nodes makes none."""

    grid: tuple[int, int]
    """Rows and columns of nodes; the outermost lie on the image's border."""
    near_sigma: float
    """Standard deviation of log depth close to the camera."""
    far_sigma: float
    """Standard deviation of log depth, on top of `near_sigma` in squares, at `typical_depth`; it
    grows in proportion to the depth: beyond the stereo of training, depth is a guess."""
    typical_depth: float

    @property
    def count(self) -> int:
        """Number of coefficients K."""
        return self.grid[0] * self.grid[1]

    def sigma(self, depth: Tensor) -> Tensor:
        """Standard deviation of the log of each depth."""
        return torch.hypot(
            torch.full_like(depth, self.near_sigma), self.far_sigma / self.typical_depth * depth
        ).clamp_max(MAX_LOG_DEPTH_SIGMA)

    def basis(self, target: TargetPoints) -> Tensor:
        """Change (K, N) of the log depth of N points by each coefficient."""
        depth = target.points[2]
        if not self.count:
            return depth.new_zeros(0, depth.numel())
        rows = _linear_bsplines(target.relative_pixels[1], self.grid[0])
        columns = _linear_bsplines(target.relative_pixels[0], self.grid[1])
        return (rows[:, None] * columns[None]).flatten(0, 1) * self.sigma(depth)

    def corrected(self, depth: np.ndarray, coefficients: np.ndarray) -> np.ndarray:
        """Apply coefficients (K,) to a whole depth map (H, W); returns float32."""
        if not self.count:
            return depth
        height, width = depth.shape
        rows = _linear_bsplines(torch.linspace(0.0, 1.0, height), self.grid[0])
        columns = _linear_bsplines(torch.linspace(0.0, 1.0, width), self.grid[1])
        nodes = torch.from_numpy(coefficients).float().view(self.grid)
        change = rows.T @ nodes @ columns
        values = torch.from_numpy(depth)
        corrected: np.ndarray = (values * torch.exp(change * self.sigma(values))).numpy()
        return corrected


def _linear_bsplines(positions: Tensor, nodes: int) -> Tensor:
    """Linear B-splines (nodes, N) at positions (N,) from 0 to 1."""
    if nodes == 1:
        return torch.ones_like(positions)[None]
    centres = torch.arange(nodes, device=positions.device, dtype=positions.dtype)[:, None]
    return (1.0 - (positions * (nodes - 1) - centres).abs()).clamp_min(0.0)
