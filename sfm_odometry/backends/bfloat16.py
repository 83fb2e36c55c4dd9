"""Half precision on processors that multiply bfloat16 in hardware.

Convolutions take half the time.
"""

import copy

import torch
from torch import Tensor, nn

from sfm_odometry.backends.backend import Compute
from sfm_odometry.backends.packed import pack_and_trace
from sfm_odometry.backends.processor import BFLOAT16_FLAGS, cpu_flags
from sfm_odometry.errors import InputError
from sfm_odometry.networks.convolutions import Convolution, UpConvolution
from sfm_odometry.networks.stage import Stage


class Bfloat16:
    """PyTorch with bfloat16 in the layers of the stages that allow it; results are float32."""

    def __init__(self, device: torch.device) -> None:
        if device.type != "cpu":
            raise InputError(f"backend bfloat16 is for processors, got device '{device}'")
        if not cpu_flags() & BFLOAT16_FLAGS:
            flags = ", ".join(sorted(BFLOAT16_FLAGS))
            raise InputError(
                f"backend bfloat16 needs a processor with one of {flags}: this one has none of them"
            )

    def prepare(self, stage: Stage, examples: tuple[Tensor, ...]) -> Compute:
        """Returns a packed and traced copy of the stage, with rounded weights if it allows them."""
        stage = copy.deepcopy(stage)
        return pack_and_trace(_HalfPrecision(stage) if stage.allows_half else stage, examples)


class _HalfPrecision(nn.Module):
    """A stage in half precision, with its heads and results in float32."""

    def __init__(self, stage: Stage) -> None:
        super().__init__()
        self.stage = stage
        for layer in stage.modules():
            # Heads stay in float32: their outputs are results.
            if isinstance(layer, Convolution | UpConvolution):
                layer.to(torch.bfloat16)

    def forward(self, *inputs: Tensor) -> Tensor:
        # Without autocast's cache: a trace must not hold tensors of it.
        with torch.autocast("cpu", torch.bfloat16, cache_enabled=False):
            return self.stage(*inputs).float()
