"""Parts made ready for the processor: weights in the kernels' own order, ReLU within the
convolution, one call for the whole part.

torch reorders a convolution's weights at every call, which takes longer than the convolution where
channels are many and pixels few. A part that was traced runs from its first layer to its last
without the interpreter: other threads of Python go on meanwhile.
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
"""Calls after which torch has made of a trace all that it makes of it."""

Examples = tuple[Tensor, ...]


class Packed:
    """PyTorch in float32, made ready: what the parts compute differs from eager's by rounding
    only."""

    def __init__(self, device: torch.device) -> None:
        if device.type != "cpu":
            raise InputError(f"backend packed is for processors, got device '{device}'")

    def prepare(self, part: Stage, examples: Examples) -> Compute:
        """A copy of the part, with packed weights, and traced."""
        return ready(copy.deepcopy(part), examples)


def ready(module: nn.Module, examples: Examples) -> Compute:
    """The module, changed, with packed weights, and traced; without the one or the other where
    this version of torch cannot do it."""
    return _tried(_trace, _tried(_with_packed_weights, module.eval(), examples), examples)


def _tried(
    change: Callable[[nn.Module, Examples], nn.Module], module: nn.Module, examples: Examples
) -> nn.Module:
    """What the change makes of the module where that can be made and run, else the module."""
    try:
        changed = change(module, examples)
        for _ in range(WARM_UPS):
            changed(*examples)
    except (
        RuntimeError,
        AttributeError,
    ):  # operators of torch's own use come and go with its versions, and so does tracing
        return module
    return changed


def _trace(module: nn.Module, examples: Examples) -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that sizes become constants is what is wanted
        return torch.jit.freeze(torch.jit.trace(module, examples, check_trace=False))


def _with_packed_weights(module: nn.Module, examples: Examples) -> nn.Module:
    """A copy with other convolutions, but the same heads."""
    shapes = _input_shapes(module, examples)
    changed = copy.deepcopy(module)
    for name, shape in shapes.items():
        parent_name, _, own_name = name.rpartition(".")
        parent = changed.get_submodule(parent_name)
        follower = str(int(own_name) + 1) if isinstance(parent, nn.Sequential) else ""
        relu = isinstance(getattr(parent, follower, None), nn.ReLU)
        setattr(parent, own_name, _PackedConvolution(changed.get_submodule(name), shape, relu))
        if relu:
            setattr(parent, follower, nn.Identity())
    return changed


def _input_shapes(module: nn.Module, examples: Examples) -> dict[str, list[int]]:
    """What goes into each convolution that is not a head, by the convolution's name."""
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
    """A convolution, transposed or not, and ReLU where one follows, by oneDNN, for inputs of one
    size."""

    def __init__(self, layer: Any, input_shape: list[int], relu: bool) -> None:
        super().__init__()
        self.geometry = [list(layer.padding), list(layer.stride), list(layer.dilation)]
        if isinstance(layer, nn.ConvTranspose2d):
            self.geometry.insert(1, list(layer.output_padding))
            pack, self._compute = (
                torch.ops.mkldnn._reorder_convolution_transpose_weight,
                scripted(_up_convolution),
            )
        else:
            pack, self._compute = (
                torch.ops.mkldnn._reorder_convolution_weight,
                scripted(_convolution),
            )
        self.dtype = layer.weight.dtype
        self.then = "relu" if relu else "none"
        # Buffers, as a trace holds no tensor in a layout of oneDNN's own as a constant.
        self.register_buffer("weight", pack(layer.weight, *self.geometry, 1, input_shape))
        self.register_buffer("bias", layer.bias.detach())

    def forward(self, input: Tensor) -> Tensor:
        """(B, C, H, W) to (B, O, h, w), in the type of the weights."""
        return self._compute(
            input.to(self.dtype), self.weight, self.bias, *self.geometry, self.then
        )


def _convolution(
    input: Tensor,
    weight: Tensor,
    bias: Tensor,
    padding: list[int],
    stride: list[int],
    dilation: list[int],
    then: str,
) -> Tensor:
    return torch.ops.mkldnn._convolution_pointwise(
        input, weight, bias, padding, stride, dilation, 1, then, [], ""
    )


def _up_convolution(
    input: Tensor,
    weight: Tensor,
    bias: Tensor,
    padding: list[int],
    output_padding: list[int],
    stride: list[int],
    dilation: list[int],
    then: str,
) -> Tensor:
    return torch.ops.mkldnn._convolution_transpose_pointwise(
        input, weight, bias, padding, output_padding, stride, dilation, 1, then, [], ""
    )


@lru_cache
def scripted(function: Any) -> Any:
    """The function in the language of traces: tracing does not understand the empty list of the
    operators."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.jit.script(function)
