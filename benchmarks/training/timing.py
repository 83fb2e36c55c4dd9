"""Comparison of training steps in turns, so that other work of the machine disturbs all alike."""

import time

import torch

from benchmarks.training.steps import BenchmarkStep


def compare(
    steps: list[BenchmarkStep], device: torch.device, batch: int, count: int, rounds: int
) -> dict[str, dict[str, float]]:
    """Returns samples per second of each step, and their ratio to those of the first.

    Both are of the shortest of `rounds` rounds of `count` steps in a row. Other programs only ever
    make a round longer, and the steps take turns: the ratio of the shortest is the steadiest.
    """
    for step in steps:
        seconds_per_step(step, device, 2)
    times_s = [[seconds_per_step(step, device, count) for step in steps] for _ in range(rounds)]
    min_s = [min(seconds[index] for seconds in times_s) for index in range(len(steps))]
    return {
        step.name: {"samples_per_s": batch / seconds, "times_plain": min_s[0] / seconds}
        for step, seconds in zip(steps, min_s, strict=True)
    }


def seconds_per_step(step: BenchmarkStep, device: torch.device, count: int) -> float:
    """Returns the mean time of `count` steps in a row, in seconds."""
    _synchronize(device)
    started = time.perf_counter()
    for _ in range(count):
        step.run()
    _synchronize(device)
    return (time.perf_counter() - started) / count


def _synchronize(device: torch.device) -> None:
    """Wait until the device has done all work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
