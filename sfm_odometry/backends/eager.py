"""The networks as they are, operation by operation: what all other backends are measured
against."""

import torch
from torch import Tensor

from sfm_odometry.backends.backend import Compute
from sfm_odometry.networks.stage import Stage


class Eager:
    """PyTorch in float32, on any device."""

    def __init__(self, device: torch.device) -> None:
        pass

    def prepare(self, part: Stage, examples: tuple[Tensor, ...]) -> Compute:
        """The part itself."""
        return part
