"""Choice of the precision of the networks' layers by measurement: bfloat16 or float32.

Processors without bfloat16 instructions emulate them, at ten times the time of float32.
"""

import dataclasses
import time
from typing import Literal

import torch

from sfm_odometry.backends.processor import describe_device
from sfm_odometry.networks.model import Model, channels_last
from training.config import TrainConfig

MIN_SPEEDUP = 1.1
"""Minimum speed of bfloat16 relative to float32; less is noise, and not worth the rounding."""
REPETITIONS = 4
MAX_SLOWDOWN = 4.0
"""Time of bfloat16 relative to float32 above which it is not measured again."""
MAX_CPU_SIZE = (128, 416)
"""Maximum rows and columns of the measured images on a CPU.

Emulated bfloat16 would take minutes for a whole batch.
"""


def resolve_precision(config: TrainConfig, device: torch.device) -> TrainConfig:
    """Returns the configuration with `precision: auto` replaced by the faster one on the device.

    Prints one line.
    """
    if config.precision != "auto":
        return config
    seconds = measure_pass_seconds(config, device)
    ratio = seconds["bfloat16"] / seconds["float32"]
    precision: Literal["bfloat16", "float32"] = "bfloat16" if ratio * MIN_SPEEDUP < 1 else "float32"
    print(
        f"precision: {precision}; bfloat16 takes {ratio:.2f} times as long as float32 "
        f"on {describe_device(device)}",
        flush=True,
    )
    return dataclasses.replace(config, precision=precision)


def measure_pass_seconds(config: TrainConfig, device: torch.device) -> dict[str, float]:
    """Measures a forward and backward pass of both networks in either precision.

    Returns the minimum of several repetitions, in seconds, by precision.
    """
    fastest = dict.fromkeys(("float32", "bfloat16"), float("inf"))
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        model = channels_last(Model(config.model), device).train()
        frames = _frames(config, device)
        for _ in range(REPETITIONS):
            for precision in fastest:
                seconds = _pass_seconds(model, frames, config, precision)
                fastest[precision] = min(fastest[precision], seconds)
            if fastest["bfloat16"] > MAX_SLOWDOWN * fastest["float32"]:
                break  # emulated: further repetitions would only take long
    return fastest


def _frames(config: TrainConfig, device: torch.device) -> torch.Tensor:
    """Returns random snippets (B, N, C, H, W).

    A whole batch on a GPU; a single snippet of limited size on a CPU.
    """
    model = config.model
    frames = model.pose.frames
    channels = model.image_channels
    if device.type == "cpu":
        height = min(model.height, MAX_CPU_SIZE[0])
        width = min(model.width, MAX_CPU_SIZE[1])
        return torch.rand(1, frames, channels, height, width, device=device)
    shape = (config.batch_size, frames, channels, model.height, model.width)
    return torch.rand(*shape, device=device)


def _pass_seconds(model: Model, frames: torch.Tensor, config: TrainConfig, precision: str) -> float:
    """Measures one forward and backward pass in seconds."""
    # Start with an idle device.
    _synchronise(frames.device)
    started_s = time.perf_counter()
    # Run both networks forward, and backward from the mean of their outputs.
    with torch.autocast(frames.device.type, dtype=torch.bfloat16, enabled=precision == "bfloat16"):
        motions, logits = model.motion_and_masks(frames, with_masks=config.objective.needs_masks)
        inverse_depth = model.inverse_depth(frames[:, frames.shape[1] // 2])
    outputs = [motions, *logits, *inverse_depth]
    torch.stack([output.float().mean() for output in outputs]).sum().backward()
    _synchronise(frames.device)
    return time.perf_counter() - started_s


def _synchronise(device: torch.device) -> None:
    """Waits until the device has finished its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
