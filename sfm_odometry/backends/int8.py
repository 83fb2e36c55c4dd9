"""8-bit integers in the convolutions of the depth network, on processors that multiply them in
hardware; all else as in `bfloat16`.

What flows between the layers is counted in steps, 0 to 255, of a size of its own in each channel.
Convolutions and ReLU are homogeneous, so these sizes are multiplied into the weights, and no layer
has to know of them. They follow from the largest values that the channels take on pictures of dead
leaves.
"""

import copy
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sfm_odometry.backends.backend import Compute
from sfm_odometry.backends.bfloat16 import Bfloat16
from sfm_odometry.backends.dead_leaves import dead_leaves
from sfm_odometry.backends.packed import ready, scripted
from sfm_odometry.backends.processor import cpu_flags
from sfm_odometry.errors import InputError
from sfm_odometry.networks.blocks import match_size
from sfm_odometry.networks.depth_net import DepthNet, FinestDepth, inverse_depth
from sfm_odometry.networks.stage import Stage

CPU_FLAGS = {"avx512_vnni", "avx_vnni", "amx_int8"}
"""As /proc/cpuinfo names them."""
STEPS = 255
LEAST = 1e-3
"""Of the largest value of a layer: smaller and silent channels have the steps of a channel that
reaches so far."""
PICTURES = 10

Largest = dict[nn.Module, Tensor]
"""Largest value of each channel of what a module computes."""


class Int8:
    """Depth in 8 bits, masks in bfloat16, motion in float32."""

    def __init__(self, device: torch.device) -> None:
        self._others = Bfloat16(device)
        if not cpu_flags() & CPU_FLAGS:
            raise InputError(
                f"backend int8 needs a processor with one of {', '.join(sorted(CPU_FLAGS))}: this one has none of them"
            )

    def prepare(self, part: Stage, examples: tuple[Tensor, ...]) -> Compute:
        """The depth network with rounded weights; other parts as `bfloat16` has them. Raises
        InputError where torch lacks the operators."""
        if not isinstance(part, FinestDepth):
            return self._others.prepare(part, examples)
        if part.network.config.batch_norm:
            raise InputError(
                "backend int8 does not know batch normalisation: take another backend for this model"
            )
        try:
            network = _Int8Depth(part.network, _largest_values(part, examples[0]))
            network(*examples)
        except (
            RuntimeError,
            AttributeError,
        ) as error:  # operators of torch's own use come and go with its versions
            first_line = str(error).strip().partition("\n")[0]
            raise InputError(
                f"backend int8 does not work with torch {torch.__version__}: {first_line}"
            ) from error
        return ready(network, examples)


class _Int8Depth(nn.Module):
    """A normalised image (1, C, H, W) to its finest inverse depth (1, 1, h, w), as DepthNet
    computes it.

    Bytes from layer to layer of the encoder and into the merging layers; bfloat16 into the
    transposed convolutions and the heads.
    """

    def __init__(self, network: DepthNet, largest: Largest) -> None:
        super().__init__()
        self.config = network.config
        layers = _encoder_layers(network)
        steps = {layer: _step_sizes(largest[layer], largest[layer].max()) for layer in layers}
        self.first = _counting(layers[0], steps[layers[0]])
        self.encoder = nn.ModuleList(
            _Int8Convolution(layer, [steps[before]], None if layer is layers[-1] else steps[layer])
            for before, layer in pairwise(layers)
        )
        self.up, self.merge = nn.ModuleList(), nn.ModuleList()
        self.heads = copy.deepcopy(network.heads)
        self.first_head = len(network.up) - len(network.heads)
        self.coarser_step: list[float] = []
        skips = layers[-3::-2]
        for stage, (up, merge) in enumerate(zip(network.up, network.merge, strict=True)):
            skip = skips[stage : stage + 1]
            made = [
                up,
                *([network.heads[stage - self.first_head - 1]] if stage > self.first_head else []),
            ]
            overall = torch.stack([largest[module].max() for module in (*made, *skip)]).max()
            up_steps, *coarser_step = (_step_sizes(largest[module], overall) for module in made)
            self.up.append(_counting(up, up_steps))
            self.merge.append(
                _Int8Convolution(
                    merge, [up_steps, *(steps[layer] for layer in skip), *coarser_step], None
                )
            )
            self.coarser_step += [float(step) for step in coarser_step]

    def forward(self, image: Tensor) -> Tensor:
        x = _bytes(self.first(image.to(torch.bfloat16)))
        ends = []  # of the encoder's pairs
        for index, layer in enumerate(self.encoder):
            x = layer(x)
            if index % 2 == 0:
                ends.append(x)
        skips = ends[-2::-1]
        predictions: list[Tensor] = []
        for stage, (up, merge) in enumerate(zip(self.up, self.merge, strict=True)):
            skip = skips[stage : stage + 1]
            finer = match_size(up(x), skip[0] if skip else image)
            parts = [_bytes(finer), *skip]
            if predictions:
                coarser = F.interpolate(
                    predictions[-1], size=finer.shape[-2:], mode="bilinear", align_corners=False
                )
                parts.append(_bytes(coarser / self.coarser_step[len(predictions) - 1]))
            x = merge(torch.cat(parts, dim=1))
            if stage >= self.first_head:
                predictions.append(inverse_depth(self.heads[len(predictions)](x), self.config))
        return predictions[-1]


class _Int8Convolution(nn.Module):
    """A convolution and ReLU of bytes (B, C, H, W), to bytes where the result has steps, else to
    bfloat16."""

    def __init__(
        self, block: Any, input_steps: Sequence[Tensor], output_steps: Tensor | None
    ) -> None:
        super().__init__()
        layer = block[0]
        unit = torch.ones(layer.out_channels) if output_steps is None else output_steps
        weight = (
            layer.weight
            * torch.cat([steps.flatten() for steps in input_steps])[:, None, None]
            / unit[:, None, None, None]
        )
        sizes = weight.abs().amax(dim=(1, 2, 3)).clamp_min(1e-12) / 127
        whole = (weight / sizes[:, None, None, None]).round().to(torch.int8)
        self.geometry = [list(layer.stride), list(layer.padding), list(layer.dilation)]
        self.to_bytes = output_steps is not None
        self.register_buffer(
            "weight", torch.ops.onednn.qconv_prepack(whole, sizes, 1.0, 0, *self.geometry, 1, None)
        )
        self.register_buffer("sizes", sizes)
        self.register_buffer("zeros", torch.zeros(layer.out_channels, dtype=torch.int32))
        self.register_buffer("bias", layer.bias / unit)

    def __deepcopy__(self, _: Any) -> "_Int8Convolution":
        return self  # nothing of it ever changes, and tensors in a layout of oneDNN's own cannot be copied

    def forward(self, input: Tensor) -> Tensor:
        convolution = scripted(_int8_convolution)
        return convolution(
            input, self.weight, self.sizes, self.zeros, self.bias, *self.geometry, self.to_bytes
        )


def _int8_convolution(
    input: Tensor,
    weight: Tensor,
    sizes: Tensor,
    zeros: Tensor,
    bias: Tensor,
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    to_bytes: bool,
) -> Tensor:
    dtype = torch.uint8 if to_bytes else torch.bfloat16
    return torch.ops.onednn.qconv_pointwise(
        input,
        1.0,
        0,
        weight,
        sizes,
        zeros,
        bias,
        stride,
        padding,
        dilation,
        1,
        1.0,
        0,
        dtype,
        "relu",
        [],
        "",
    )


def _encoder_layers(network: DepthNet) -> list[nn.Module]:
    """Convolutions with their ReLU, two a level."""
    return [layer for pair in network.encoder for layer in pair]  # type: ignore[attr-defined]


def _counting(layer: Any, steps: Tensor) -> nn.Module:
    """A convolution, transposed or not, and its ReLU, in bfloat16, whose results are in steps."""
    layer = copy.deepcopy(layer)
    convolution = layer[0]
    shape = (1, -1, 1, 1) if isinstance(convolution, nn.ConvTranspose2d) else (-1, 1, 1, 1)
    convolution.weight.data = convolution.weight / steps.view(shape)
    convolution.bias.data = convolution.bias / steps
    return layer.to(torch.bfloat16)


def _bytes(steps: Tensor) -> Tensor:
    # One channel fits every memory format; said to be channels-last, it lets the result of cat be
    # so too. By way of int16, as torch converts to and from it many at a time, but to bytes one by
    # one.
    return (
        steps.clamp_max(STEPS)
        .round()
        .to(torch.int16)
        .to(torch.uint8, memory_format=torch.channels_last)
    )


def _step_sizes(largest: Tensor, overall: Tensor) -> Tensor:
    """Sizes of the steps of channels that reach so far (C), the furthest channel of a convolution's
    input to `overall`.

    Between one size for all, which is coarse for the small channels, and each channel's own, which
    makes the weights of the small ones small and so coarse: the geometric mean has the least error
    in depth.
    """
    overall = overall.clamp_min(1e-6)
    return (largest.clamp_min(LEAST * overall) * overall).sqrt() / STEPS


def _largest_values(part: FinestDepth, example: Tensor) -> Largest:
    """On pictures of the size of the example."""
    network, largest = part.network, Largest()
    heads = set(network.heads)

    def record(module: nn.Module, _: Any, output: Tensor) -> None:
        values = inverse_depth(output, network.config) if module in heads else output
        largest[module] = torch.maximum(
            largest.get(module, torch.zeros(())), values.amax(dim=(0, 2, 3))
        )

    hooks = [
        module.register_forward_hook(record)
        for module in (*_encoder_layers(network), *network.up, *network.heads)
    ]
    for seed in range(PICTURES):
        picture = dead_leaves(example.shape[-2], example.shape[-1], seed).expand(
            1, example.shape[1], -1, -1
        )
        part(part.black + picture * (part.white - part.black))
    for hook in hooks:
        hook.remove()
    return largest
