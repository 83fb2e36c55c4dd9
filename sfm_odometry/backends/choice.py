"""Choice of the backend that computes a model: by name, or with `auto` by measurement.

`auto` takes the fastest backend that does not change depth noticeably.
"""

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
    "cudagraph": CudaGraph,
    "compiled": Compiled,
    "onnxruntime": OnnxRuntime,
    "openvino": OpenVino,
}
AUTO_CANDIDATES = ("bfloat16", "packed", "cudagraph")
"""Backends that `auto` measures against eager: prepared in a moment, and part of torch."""
EXACT = ("eager", "packed", "cudagraph")
"""Backends whose results differ by the order of summation only."""
DECISIVE_SPEED_UP = 1.6
"""Speed-up over eager at which a candidate is taken without measuring the others: no exact one
comes near, and preparing them all would take memory for good."""
MIN_SPEED_UP = 1.2
"""Speed-up over the exact backends below which another rounding is not worth it, nor sure to be
measured the same the next time."""
MAX_DEPTH_CHANGE = 0.005
"""Mean relative change of depth that `auto` accepts."""
REPETITIONS = 7
"""Timed turns of all candidates, of which the shortest counts."""

Examples = dict[str, tuple[Tensor, ...]]
"""Example inputs of each stage by its name."""


@dataclass(frozen=True)
class PreparedModel:
    """The stages of a model by name, as one backend computes them."""

    backend: str
    stages: Mapping[str, Compute]


@torch.inference_mode()
def prepare(model: Model, device: torch.device, name: str) -> PreparedModel:
    """Returns the model's stages, computed by the backend of that name.

    Raises InputError for an unknown name, and for a backend that cannot work on this device.
    """
    if name not in BACKEND_NAMES:
        raise InputError(f"backend must be one of {', '.join(BACKEND_NAMES)}, got '{name}'")
    if name == "eager":
        return PreparedModel(name, model.stages())
    examples = example_inputs(model, device)
    return (
        _fastest(model, device, examples)
        if name == "auto"
        else _prepare(model, device, name, examples)
    )


def example_inputs(model: Model, device: torch.device) -> Examples:
    """Returns inputs of every stage, from a window of smooth random texture moving sideways."""
    frames = [model.normalise(frame).to(device) for frame in moving_texture(model.config)]
    examples: Examples = {"depth": (frames[0],)}

    def recorded(name: str, stage: Compute) -> Compute:
        def compute(*inputs: Tensor) -> Tensor:
            examples[name] = inputs
            return stage(*inputs)

        return compute

    net = model.pose_net
    net.slide(
        {name: recorded(name, stage) for name, stage in net.stages().items()},
        frames,
        [{} for _ in frames],
        with_mask=True,
    )
    return examples


def moving_texture(config: ModelConfig) -> list[Tensor]:
    """Returns a window of frames (1, C, H, W) in [0, 1] that show a texture moving sideways.

    The frames are the same every time; the random numbers of the process are not touched.
    """
    count = config.pose.frames
    step = 3
    margin = step * count
    generator = torch.Generator().manual_seed(0)
    wide = torch.zeros(1, config.image_channels, config.height, config.width + margin)
    # Octaves: large shapes with small ones on them.
    for cell in (64, 16, 4):
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


def _prepare(model: Model, device: torch.device, name: str, examples: Examples) -> PreparedModel:
    backend = BACKENDS[name](device)
    stages = {key: backend.prepare(stage, examples[key]) for key, stage in model.stages().items()}
    return PreparedModel(name, stages)


def _fastest(model: Model, device: torch.device, examples: Examples) -> PreparedModel:
    """Returns the fastest candidate of `auto`.

    An inexact one is taken only if it is much faster and changes depth little.
    """
    # Prepare the candidates that work here and keep depth.
    eager = PreparedModel("eager", model.stages())
    candidates = [eager]
    for name in AUTO_CANDIDATES:
        try:
            candidate = _prepare(model, device, name, examples)
        except InputError:  # not for this device or processor
            continue
        if mean_depth_change(eager, candidate, examples) > MAX_DEPTH_CHANGE:
            continue
        eager_s, candidate_s = frame_seconds([eager, candidate], examples, device)
        if candidate_s * DECISIVE_SPEED_UP < eager_s:
            return candidate
        candidates.append(candidate)
    if len(candidates) == 1:
        return eager
    # Compare their times, with a handicap for the inexact ones.
    seconds = frame_seconds(candidates, examples, device)
    handicapped = [
        value if candidate.backend in EXACT else value * MIN_SPEED_UP
        for candidate, value in zip(candidates, seconds, strict=True)
    ]
    return candidates[min(range(len(candidates)), key=handicapped.__getitem__)]


def mean_depth_change(reference: PreparedModel, other: PreparedModel, examples: Examples) -> float:
    """Mean relative difference in depth between two prepared models."""
    expected, found = (
        prepared.stages["depth"](*examples["depth"]) for prepared in (reference, other)
    )
    return float((expected / found - 1).abs().mean())


def frame_seconds(
    candidates: list[PreparedModel], examples: Examples, device: torch.device
) -> list[float]:
    """Returns the seconds that each candidate needs to compute all stages once.

    The minimum of several turns: other programs only ever make it longer.
    """
    seconds = [float("inf")] * len(candidates)
    for _ in range(REPETITIONS):
        for index, candidate in enumerate(candidates):
            started = time.perf_counter()
            for name, inputs in examples.items():
                candidate.stages[name](*inputs)
            if device.type != "cpu":
                torch.cuda.synchronize(device)
            seconds[index] = min(seconds[index], time.perf_counter() - started)
    return seconds
