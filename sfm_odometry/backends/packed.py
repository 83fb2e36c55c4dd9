"""Stages optimised for the processor: packed weights, fused ReLU, one call for a whole stage.

torch reorders a convolution's weights into the kernels' own order at every call, which takes longer
than the convolution where channels are many and pixels few. A traced stage runs from its first
layer to its last without the interpreter: other threads of Python go on meanwhile.
"""

import copy
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from sfm_odometry.backends.backend import Compute
from sfm_odometry.errors import InputError
from sfm_odometry.networks.convolutions import Head, UpConvolution
from sfm_odometry.networks.stage import Stage

Examples = tuple[Tensor, ...]
Result = TypeVar("Result")

WARM_UPS = 2
"""Calls in which torch profiles a trace, and then optimises it."""


class Packed:
    """PyTorch in float32, packed and traced: results differ from eager's by rounding only."""

    def __init__(self, device: torch.device) -> None:
        if device.type != "cpu":
            raise InputError(f"backend packed is for processors, got device '{device}'")

    def prepare(self, stage: Stage, examples: Examples) -> Compute:
        """Returns the stage with packed weights, traced."""
        return pack_and_trace(stage, examples)


def pack_and_trace(module: nn.Module, examples: Examples) -> Compute:
    """Returns the function of a module in evaluation mode, with packed weights and traced.

    Either step is left out where this version of torch does not support it.
    """
    packed = _apply_if_supported(_with_packed_weights, module, examples)
    return _apply_if_supported(_trace, packed, examples)


def _apply_if_supported(
    change: Callable[[nn.Module, Examples], Result], module: nn.Module, examples: Examples
) -> Result | nn.Module:
    """Returns the changed module if it can be made and run, otherwise the module."""
    try:
        return change(module, examples)
    # torch's internal operators come and go with its versions, and so does tracing.
    except (RuntimeError, AttributeError):
        return module


@dataclass(frozen=True)
class Traced:
    """Function of a traced module, which takes the packed weights after the inputs."""

    function: Compute
    weights: Examples

    def __call__(self, *inputs: Tensor) -> Any:
        """Computes the module."""
        return self.function(*inputs, *self.weights)


def _trace(module: nn.Module, examples: Examples) -> Traced:
    """Returns the trace of a module, after the calls in which torch optimises it.

    It is traced as a function, as torch takes half a second more to trace a module of modules. The
    weights in a layout of oneDNN's own are arguments: a trace cannot hold them as constants.
    """
    layers = [layer for layer in module.modules() if isinstance(layer, _PackedConvolution)]
    weights = tuple(layer.weight for layer in layers)

    def function(*arguments: Tensor) -> Any:
        for layer, weight in zip(layers, arguments[len(examples) :], strict=True):
            layer.weight = weight
        return module(*arguments[: len(examples)])

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # sizes are meant to become constants
            traced = torch.jit.trace(function, (*examples, *weights), check_trace=False)
    finally:
        for layer, weight in zip(layers, weights, strict=True):
            layer.weight = weight
    result = Traced(traced, weights)
    for _ in range(WARM_UPS):
        result(*examples)
    return result


def _with_packed_weights(module: nn.Module, examples: Examples) -> nn.Module:
    """Returns a copy with packed convolutions and the same heads, after a first call."""
    shapes = _input_shapes(module, examples)
    # The copy shares the weights, of which those of convolutions are replaced.
    changed = copy.deepcopy(module, {id(weight): weight for weight in module.parameters()})
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
    changed(*examples)
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
        self.weight = pack(layer.weight, *self.geometry, 1, input_shape)
        self.bias = layer.bias.detach()

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
