"""Choice of the backend that computes a model: by name, or with `auto` by measurement.

`auto` takes the fastest backend that does not change depth noticeably, or the one that was measured
at an earlier start.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

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
from sfm_odometry.backends.timing import Examples, Seconds, compare, processor_clock
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
AUTO_CANDIDATES = ("bfloat16", "packed")
"""Backends that `auto` measures against eager, on a processor: prepared in a moment, and part of
torch."""
EXACT = ("eager", "packed", "cudagraph")
"""Backends whose results differ by the order of summation only."""
SAFE = "packed"
"""Exact backend that `auto` takes where other programs disturb the measurement all the time: on no
processor so far was it slower than eager."""
DECISIVE_SPEED_UP = 1.6
"""Speed-up over eager at which a candidate is taken without measuring the others: no exact one
comes near, and preparing them all would take memory for good."""
MIN_SPEED_UP = 1.2
"""Speed-up over the exact backends below which another rounding is not worth it, nor sure to be
measured the same the next time."""
EAGER_HANDICAP = 1.05
"""Factor on the time of eager, which waits for the interpreter a hundred times a frame while other
threads need it."""
MAX_DEPTH_CHANGE = 0.005
"""Mean relative change of depth that `auto` accepts."""


@dataclass(frozen=True)
class PreparedModel:
    """The stages of a model by name, as one backend computes them."""

    backend: str
    stages: Mapping[str, Compute]
    reason: str = ""
    """Why `auto` took this backend, in words; empty for a backend that was named."""


class Memory(Protocol):
    """Store of the choice of `auto`, from one start to the next."""

    def recall(self) -> str:
        """Name of the backend that was chosen before; empty where none is known."""

    def remember(self, backend: str) -> str:
        """Keeps the choice; returns why that is not possible, empty if it was."""

    @property
    def place(self) -> str:
        """Name of the place, for people."""


@torch.inference_mode()
def prepare(
    model: Model, device: torch.device, name: str, memory: Memory | None = None
) -> PreparedModel:
    """Returns the model's stages, computed by the backend of that name.

    memory: of the choices of `auto` for this model on this machine; None to measure. Raises
    InputError for an unknown name, and for a backend that cannot work on this device.
    """
    if name not in BACKEND_NAMES:
        raise InputError(f"backend must be one of {', '.join(BACKEND_NAMES)}, got '{name}'")
    if name == "eager":
        return PreparedModel(name, model.stages())
    if name == "auto" and device.type != "cpu":
        return PreparedModel("eager", model.stages(), "the only one that was tried on a GPU")
    examples = example_inputs(model, device)
    if name != "auto":
        return _prepare(model, device, name, examples)
    return _recalled(model, device, examples, memory) or _fastest(model, device, examples, memory)


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


def _recalled(
    model: Model, device: torch.device, examples: Examples, memory: Memory | None
) -> PreparedModel | None:
    """Returns the backend that was chosen at an earlier start; None where none is known.

    One that `auto` would not take, or that does not work any more, is not known.
    """
    name = memory.recall() if memory is not None else ""
    if name not in ("eager", *AUTO_CANDIDATES):
        return None
    try:
        prepared = _prepare(model, device, name, examples)
    except InputError:
        return None
    assert memory is not None
    return replace(prepared, reason=f"measured at an earlier start: {memory.place}")


def _fastest(
    model: Model, device: torch.device, examples: Examples, memory: Memory | None
) -> PreparedModel:
    """Returns the fastest candidate of `auto`, and remembers it.

    An inexact one is taken only if it is much faster and changes depth little.
    """
    eager = PreparedModel("eager", model.stages())
    candidates = [eager]
    for name in AUTO_CANDIDATES:
        # Prepare the candidate, if it works here and keeps depth.
        try:
            candidate = _prepare(model, device, name, examples)
        except InputError:  # not for this processor
            continue
        if mean_depth_change(eager, candidate, examples) > MAX_DEPTH_CHANGE:
            continue
        candidates.append(candidate)
        # Measure it, and stop at one that no other can beat.
        seconds = model_seconds(candidates, examples)
        if seconds.settled and seconds.values[-1] * DECISIVE_SPEED_UP < seconds.values[0]:
            return _remembered(candidate, candidates, seconds, memory)
    if len(candidates) == 1:
        return replace(eager, reason="no other backend works here")
    if not seconds.settled:
        safe = next((each for each in candidates if each.backend == SAFE), eager)
        return replace(safe, reason="the machine is too busy to measure")
    return _remembered(candidates[_best(candidates, seconds)], candidates, seconds, memory)


def _best(candidates: Sequence[PreparedModel], seconds: Seconds) -> int:
    """Index of the fastest candidate, with a handicap for the inexact ones and for eager."""
    handicapped = [
        value * _handicap(candidate.backend)
        for candidate, value in zip(candidates, seconds.values, strict=True)
    ]
    return min(range(len(candidates)), key=handicapped.__getitem__)


def _handicap(backend: str) -> float:
    if backend == "eager":
        return EAGER_HANDICAP
    return 1.0 if backend in EXACT else MIN_SPEED_UP


def _remembered(
    chosen: PreparedModel,
    candidates: Sequence[PreparedModel],
    seconds: Seconds,
    memory: Memory | None,
) -> PreparedModel:
    """Remembers the choice; returns it with the times of all candidates as its reason."""
    problem = memory.remember(chosen.backend) if memory is not None else ""
    times = (
        f"{candidate.backend} {value * 1e3:.1f} ms"
        for candidate, value in zip(candidates, seconds.values, strict=True)
    )
    unkept = f"; not remembered: {problem}" if problem else ""
    return replace(chosen, reason=f"measured: {', '.join(times)}{unkept}")


def mean_depth_change(reference: PreparedModel, other: PreparedModel, examples: Examples) -> float:
    """Mean relative difference in depth between two prepared models."""
    expected, found = (
        prepared.stages["depth"](*examples["depth"]) for prepared in (reference, other)
    )
    return float((expected / found - 1).abs().mean())


def model_seconds(candidates: Sequence[PreparedModel], examples: Examples) -> Seconds:
    """Returns the seconds that each candidate needs to compute all stages once on the processor."""
    return compare([candidate.stages for candidate in candidates], examples, processor_clock())
