"""Precision of the networks' layers in training: bfloat16 where it was measured to be faster than
float32, float32 elsewhere.

Processors without bfloat16 instructions emulate them, at ten times the time of float32.
"""

import dataclasses
import time
from typing import Literal

import torch

from sfm_odometry.backends.processor import describe_device
from sfm_odometry.networks.model import Model, channels_last
from training.config import TrainConfig

GAIN = 1.1
"""How many times as fast bfloat16 must be: less is noise, and not worth the rounding."""
REPETITIONS = 4
HOPELESS = 4.0
"""How many times as slow bfloat16 is not measured a second time."""
CPU_SIZE = (128, 416)
"""Largest image to measure with on a processor, where emulated bfloat16 would take minutes for a
whole batch."""


def resolve_precision(config: TrainConfig, device: torch.device) -> TrainConfig:
    """The configuration with `precision: auto` replaced by what is faster on the device; one
    line is printed."""
    if config.precision != "auto":
        return config
    seconds = _measure(config, device)
    ratio = seconds["bfloat16"] / seconds["float32"]
    precision: Literal["bfloat16", "float32"] = "bfloat16" if ratio * GAIN < 1 else "float32"
    print(
        f"precision: {precision}; bfloat16 takes {ratio:.2f} times as long as float32 on {describe_device(device)}",
        flush=True,
    )
    return dataclasses.replace(config, precision=precision)


def _measure(config: TrainConfig, device: torch.device) -> dict[str, float]:
    """Seconds of a forward and backward pass of both networks in either precision, the least of
    several turns."""
    least = dict.fromkeys(("float32", "bfloat16"), float("inf"))
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        model = channels_last(Model(config.model), device).train()
        frames = _frames(config, device)
        for _ in range(REPETITIONS):
            for precision in least:
                least[precision] = min(
                    least[precision], _pass_seconds(model, frames, config, precision)
                )
            if least["bfloat16"] > HOPELESS * least["float32"]:
                break  # emulated: more turns would only take long
    return least


def _frames(config: TrainConfig, device: torch.device) -> torch.Tensor:
    """Random snippets (B, N, C, H, W): a whole batch on a GPU, a single and perhaps smaller one
    on a processor."""
    model = config.model
    batch, height, width = config.batch_size, model.height, model.width
    if device.type == "cpu":
        batch, height, width = 1, min(height, CPU_SIZE[0]), min(width, CPU_SIZE[1])
    return torch.rand(batch, model.pose.frames, model.image_channels, height, width, device=device)


def _pass_seconds(model: Model, frames: torch.Tensor, config: TrainConfig, precision: str) -> float:
    """Seconds of one forward and backward pass."""
    _synchronise(frames.device)
    started = time.perf_counter()
    with torch.autocast(frames.device.type, dtype=torch.bfloat16, enabled=precision == "bfloat16"):
        motions, logits = model.motion_and_masks(frames, with_masks=config.objective.needs_masks)
        inverse_depth = model.inverse_depth(frames[:, frames.shape[1] // 2])
    outputs = [motions, *logits, *inverse_depth]
    torch.stack([output.float().mean() for output in outputs]).sum().backward()
    _synchronise(frames.device)
    return time.perf_counter() - started


def _synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
