"""Pictures of dead leaves (Matheron 1968; Lee, Mumford and Huang 2001): with the edges, the
areas and the contrast of real images."""

import cv2
import numpy as np
import torch
from torch import Tensor

LEAVES = 160
SMALLEST, LARGEST = 3.0, 120.0
"""Sides of the leaves in pixels; there are the fewer, the larger they are."""
BLUR = 0.6


def dead_leaves(height: int, width: int, seed: int) -> Tensor:
    """A grey picture (1, 1, H, W) in [0, 1]: rectangles one upon the other, some with grain, and
    a bright sky."""
    random = np.random.default_rng(seed)
    picture = np.full((height, width), random.uniform(0.2, 0.7), np.float32)
    for _ in range(LEAVES):
        side = np.clip(SMALLEST * (random.pareto(1.2) + 1), SMALLEST, LARGEST)
        stretch = np.sqrt(random.uniform(0.3, 3.0))
        top, left = (int(random.uniform(-side / 2, size)) for size in (height, width))
        leaf = picture[
            max(top, 0) : max(top + int(side * stretch), 1),
            max(left, 0) : max(left + int(side / stretch), 1),
        ]
        leaf[:] = np.clip(random.normal(0.35, 0.3), 0, 1) + random.uniform(0, 0.25) * (
            random.random(leaf.shape, np.float32) - 0.5
        )
    picture[
        : int(height * random.uniform(0.15, 0.4)),
        int(width * random.uniform(0, 0.5)) : int(width * random.uniform(0.5, 1)),
    ] = 1.0
    return torch.from_numpy(cv2.GaussianBlur(picture.clip(0, 1), (0, 0), BLUR))[None, None]
