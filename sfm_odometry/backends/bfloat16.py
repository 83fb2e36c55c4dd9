"""Half precision on processors that multiply bfloat16 in hardware: convolutions take half the
time."""

import copy

import torch
from torch import Tensor, nn

from sfm_odometry.backends.backend import Compute
from sfm_odometry.backends.packed import ready
from sfm_odometry.backends.processor import BFLOAT16_FLAGS, cpu_flags
from sfm_odometry.errors import InputError
from sfm_odometry.networks.convolutions import Convolution, UpConvolution
from sfm_odometry.networks.stage import Stage


class Bfloat16:
    """PyTorch, with bfloat16 in the layers of the parts that allow it; what leaves a part is
    float32 again."""

    def __init__(self, device: torch.device) -> None:
        if device.type != "cpu":
            raise InputError(f"backend bfloat16 is for processors, got device '{device}'")
        if not cpu_flags() & BFLOAT16_FLAGS:
            raise InputError(
                f"backend bfloat16 needs a processor with one of {', '.join(sorted(BFLOAT16_FLAGS))}: this one has none of them"
            )

    def prepare(self, part: Stage, examples: tuple[Tensor, ...]) -> Compute:
        """A copy of the part, with rounded weights where it allows that, made ready."""
        part = copy.deepcopy(part)
        return ready(_Half(part) if part.allows_half else part, examples)


class _Half(nn.Module):
    """A part in half precision, its heads and results in float32."""

    def __init__(self, part: Stage) -> None:
        super().__init__()
        self.part = part
        for layer in part.modules():
            if isinstance(
                layer, Convolution | UpConvolution
            ):  # not the heads: what they say is a result
                layer.to(torch.bfloat16)

    def forward(self, *inputs: Tensor) -> Tensor:
        with torch.autocast(
            "cpu", torch.bfloat16, cache_enabled=False
        ):  # a trace must not hold what is in the cache
            return self.part(*inputs).float()
