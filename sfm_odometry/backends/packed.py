"""Stages optimised for the processor: packed weights, fused ReLU, one call for a whole stage.

torch reorders a convolution's weights into the kernels' own order at every call, which takes longer
than the convolution where channels are many and pixels few. A traced stage runs from its first
layer to its last without the interpreter: other threads of Python go on meanwhile.
"""

import copy
import warnings
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn

from sfm_odometry.backends.backend import Compute
from sfm_odometry.errors import InputError
from sfm_odometry.networks.convolutions import Head, UpConvolution
from sfm_odometry.networks.stage import Stage

WARM_UPS = 3
"""Calls after which torch has finished optimising a trace."""

Examples = tuple[Tensor, ...]


class Packed:
    """PyTorch in float32, packed and traced: results differ from eager's by rounding only."""

    def __init__(self, device: torch.device) -> None:
        if device.type != "cpu":
            raise InputError(f"backend packed is for processors, got device '{device}'")

    def prepare(self, stage: Stage, examples: Examples) -> Compute:
        """Returns a traced copy of the stage with packed weights."""
        return pack_and_trace(copy.deepcopy(stage), examples)


def pack_and_trace(module: nn.Module, examples: Examples) -> Compute:
    """Returns the module with packed weights, traced; the module itself may be changed.

    Either step is left out where this version of torch does not support it.
    """
    packed = _apply_if_supported(_with_packed_weights, module.eval(), examples)
    return _apply_if_supported(_trace, packed, examples)


def _apply_if_supported(
    change: Callable[[nn.Module, Examples], nn.Module], module: nn.Module, examples: Examples
) -> nn.Module:
    """Returns the changed module if it can be made and run, otherwise the module."""
    try:
        changed = change(module, examples)
        for _ in range(WARM_UPS):
            changed(*examples)
    # torch's internal operators come and go with its versions, and so does tracing.
    except (RuntimeError, AttributeError):
        return module
    return changed


def _trace(module: nn.Module, examples: Examples) -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # sizes are meant to become constants
        return torch.jit.freeze(torch.jit.trace(module, examples, check_trace=False))


def _with_packed_weights(module: nn.Module, examples: Examples) -> nn.Module:
    """Returns a copy with packed convolutions and the same heads."""
    shapes = _input_shapes(module, examples)
    changed = copy.deepcopy(module)
    for name, shape in shapes.items():
        parent_name, _, child_name = name.rpartition(".")
        parent = changed.get_submodule(parent_name)
        # Fuse the ReLU that follows in the same Sequential.
        next_name = str(int(child_name) + 1) if isinstance(parent, nn.Sequential) else ""
        relu = isinstance(getattr(parent, next_name, None), nn.ReLU)
        layer = changed.get_submodule(name)
        setattr(parent, child_name, _PackedConvolution(layer, shape, fuse_relu=relu))
        if relu:
            setattr(parent, next_name, nn.Identity())
    return changed


def _input_shapes(module: nn.Module, examples: Examples) -> dict[str, list[int]]:
    """Returns the input shape of each convolution that is not a head, by its name."""
    shapes: dict[str, list[int]] = {}
    hooks = [
        layer.register_forward_pre_hook(
            lambda _, inputs, name=name: shapes.update({name: list(inputs[0].shape)})
        )
        for name, layer in module.named_modules()
        if isinstance(layer, nn.Conv2d | UpConvolution) and not isinstance(layer, Head)
    ]
    module(*examples)
    for hook in hooks:
        hook.remove()
    return shapes


class _PackedConvolution(nn.Module):
    """A convolution, transposed or not, with an optional ReLU, by oneDNN, for one input size."""

    def __init__(self, layer: Any, input_shape: list[int], fuse_relu: bool) -> None:
        super().__init__()
        self.geometry = [list(layer.padding), list(layer.stride), list(layer.dilation)]
        if isinstance(layer, nn.ConvTranspose2d):
            self.geometry.insert(1, list(layer.output_padding))
            pack = torch.ops.mkldnn._reorder_convolution_transpose_weight
            self._compute = _scripted(_up_convolution)
        else:
            pack = torch.ops.mkldnn._reorder_convolution_weight
            self._compute = _scripted(_convolution)
        self.dtype = layer.weight.dtype
        self.activation = "relu" if fuse_relu else "none"
        # Buffers, as a trace holds no tensor in a layout of oneDNN's own as a constant.
        self.register_buffer("weight", pack(layer.weight, *self.geometry, 1, input_shape))
        self.register_buffer("bias", layer.bias.detach())

    def forward(self, input: Tensor) -> Tensor:
        """Maps (B, C, H, W) to (B, O, h, w), in the type of the weights."""
        return self._compute(
            input.to(self.dtype), self.weight, self.bias, *self.geometry, self.activation
        )


def _convolution(
    input: Tensor,
    weight: Tensor,
    bias: Tensor,
    padding: list[int],
    stride: list[int],
    dilation: list[int],
    activation: str,
) -> Tensor:
    return torch.ops.mkldnn._convolution_pointwise(
        input, weight, bias, padding, stride, dilation, 1, activation, [], ""
    )


def _up_convolution(
    input: Tensor,
    weight: Tensor,
    bias: Tensor,
    padding: list[int],
    output_padding: list[int],
    stride: list[int],
    dilation: list[int],
    activation: str,
) -> Tensor:
    return torch.ops.mkldnn._convolution_transpose_pointwise(
        input, weight, bias, padding, output_padding, stride, dilation, 1, activation, [], ""
    )


@lru_cache
def _scripted(function: Any) -> Any:
    """Returns the function as TorchScript.

    Tracing does not understand the empty list argument of the operators.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.jit.script(function)
