"""Which backend computes a model: the one that was named, or with `auto` the fastest that
changes nothing of importance."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from sfm_odometry.backends.backend import Backend, Compute
from sfm_odometry.backends.bfloat16 import Bfloat16
from sfm_odometry.backends.compiled import Compiled
from sfm_odometry.backends.cuda_graph import CudaGraph
from sfm_odometry.backends.eager import Eager
from sfm_odometry.backends.int8 import Int8
from sfm_odometry.backends.names import BACKEND_NAMES
from sfm_odometry.backends.onnx_runtime import OnnxRuntime
from sfm_odometry.backends.open_vino import OpenVino
from sfm_odometry.backends.packed import Packed
from sfm_odometry.errors import InputError
from sfm_odometry.networks.model import Model, ModelConfig

BACKENDS: dict[str, Callable[[torch.device], Backend]] = {
    "eager": Eager,
    "packed": Packed,
    "bfloat16": Bfloat16,
    "int8": Int8,
    "cudagraph": CudaGraph,
    "compiled": Compiled,
    "onnxruntime": OnnxRuntime,
    "openvino": OpenVino,
}
AUTOMATIC = ("bfloat16", "packed", "cudagraph")
"""What `auto` tries beside eager: ready in a moment, and of torch alone."""
PLENTY = 1.6
"""What is so many times as fast as eager is taken at once: no exact one comes near, and to
prepare them all would take memory for good."""
EXACT = ("eager", "packed", "cudagraph")
"""They differ by the order of summing only."""
SPEED_UP = 1.2
"""Less than so many times as fast as the exact ones is not worth another rounding, nor sure to
be measured the same the next time."""
DEPTH_CHANGE = 0.005
"""Mean relative change of depth that `auto` accepts."""
REPETITIONS = 7

Examples = dict[str, tuple[Tensor, ...]]


@dataclass(frozen=True)
class Prepared:
    """The parts of a model by name, as one backend computes them."""

    backend: str
    run: Mapping[str, Compute]


@torch.inference_mode()
def prepare(model: Model, device: torch.device, name: str) -> Prepared:
    """The model's parts, computed by the backend of that name; InputError where there is none,
    or it cannot work on this device."""
    if name not in BACKEND_NAMES:
        raise InputError(f"backend must be one of {', '.join(BACKEND_NAMES)}, got '{name}'")
    if name == "eager":
        return Prepared(name, model.parts())
    examples = examples_of(model, device)
    return (
        _fastest(model, device, examples)
        if name == "auto"
        else _prepare(model, device, name, examples)
    )


def examples_of(model: Model, device: torch.device) -> Examples:
    """Inputs of every part, as a window of smooth random texture that moves sideways brings
    them."""
    frames = [model.normalise(frame).to(device) for frame in texture(model.config)]
    examples: Examples = {"depth": (frames[0],)}

    def recorded(name: str, part: Compute) -> Compute:
        def compute(*inputs: Tensor) -> Tensor:
            examples[name] = inputs
            return part(*inputs)

        return compute

    net = model.pose_net
    net.slide(
        {name: recorded(name, part) for name, part in net.parts().items()},
        frames,
        [{} for _ in frames],
        with_mask=True,
    )
    return examples


def texture(config: ModelConfig) -> list[Tensor]:
    """A window of frames (1, C, H, W) in [0, 1]; made without the random numbers of the process,
    and the same every time."""
    count, step = config.pose.frames, 3
    margin = step * count
    generator = torch.Generator().manual_seed(0)
    wide = torch.zeros(1, config.image_channels, config.height, config.width + margin)
    for cell in (64, 16, 4):  # octaves: large shapes, small ones on them
        coarse = torch.rand(
            1,
            config.image_channels,
            config.height // cell + 2,
            wide.shape[-1] // cell + 2,
            generator=generator,
        )
        wide += (
            F.interpolate(coarse, size=wide.shape[-2:], mode="bilinear", align_corners=False) / 3
        )
    return [
        wide[..., step * index : step * index + config.width].contiguous() for index in range(count)
    ]


def _prepare(model: Model, device: torch.device, name: str, examples: Examples) -> Prepared:
    backend = BACKENDS[name](device)
    return Prepared(
        name, {key: backend.prepare(part, examples[key]) for key, part in model.parts().items()}
    )


def _fastest(model: Model, device: torch.device, examples: Examples) -> Prepared:
    """The fastest of what `auto` tries, an exact one where none is much faster or depth would
    change too much."""
    eager = Prepared("eager", model.parts())
    candidates = [eager]
    for name in AUTOMATIC:
        try:
            candidate = _prepare(model, device, name, examples)
        except InputError:  # not for this device or processor
            continue
        if depth_change(eager, candidate, examples) > DEPTH_CHANGE:
            continue
        slow, fast = _frame_seconds([eager, candidate], examples, device)
        if fast * PLENTY < slow:
            return candidate
        candidates.append(candidate)
    if len(candidates) == 1:
        return eager
    seconds = _frame_seconds(candidates, examples, device)
    weighed = [
        value if one.backend in EXACT else value * SPEED_UP
        for one, value in zip(candidates, seconds, strict=True)
    ]
    return candidates[min(range(len(candidates)), key=weighed.__getitem__)]


def depth_change(reference: Prepared, other: Prepared, examples: Examples) -> float:
    """Mean relative difference in depth."""
    expected, found = (prepared.run["depth"](*examples["depth"]) for prepared in (reference, other))
    return float((expected / found - 1).abs().mean())


def _frame_seconds(
    candidates: list[Prepared], examples: Examples, device: torch.device
) -> list[float]:
    """Seconds that each needs to compute all parts once, the least of several turns: other
    programs only ever make it longer."""
    seconds = [float("inf")] * len(candidates)
    for _ in range(REPETITIONS):
        for index, candidate in enumerate(candidates):
            started = time.perf_counter()
            for name, inputs in examples.items():
                candidate.run[name](*inputs)
            if device.type != "cpu":
                torch.cuda.synchronize(device)
            seconds[index] = min(seconds[index], time.perf_counter() - started)
    return seconds
