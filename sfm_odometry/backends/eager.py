"""Eager backend: the networks operation by operation, the reference for all other backends."""

import torch
from torch import Tensor

from sfm_odometry.backends.backend import Compute
from sfm_odometry.networks.stage import Stage


class Eager:
    """PyTorch in float32, on any device."""

    def __init__(self, device: torch.device) -> None:
        pass

    def prepare(self, stage: Stage, examples: tuple[Tensor, ...]) -> Compute:
        """Returns the stage itself."""
        return stage
