"""Contenders timed in turns, so that whatever else the machine does disturbs all of them alike."""

import time

import torch

from benchmarks.training.contenders import Contender


def compare(
    contenders: list[Contender], device: torch.device, batch: int, steps: int, rounds: int
) -> dict[str, dict[str, float]]:
    """Of each contender the samples a second, and how many times the first one's that is, from the
    least time of its rounds.

    Other programs only ever make a round longer, and the rounds of all contenders take turns: the
    ratio of the least is the steadiest.
    """
    for contender in contenders:
        seconds_a_step(contender, device, 2)
    times = [
        [seconds_a_step(contender, device, steps) for contender in contenders]
        for _ in range(rounds)
    ]
    least = [min(seconds[index] for seconds in times) for index in range(len(contenders))]
    return {
        contender.name: {"samples_per_s": batch / seconds, "times_plain": least[0] / seconds}
        for contender, seconds in zip(contenders, least, strict=True)
    }


def seconds_a_step(contender: Contender, device: torch.device, steps: int) -> float:
    """Mean time of so many steps in a row."""
    _wait_for(device)
    started = time.perf_counter()
    for _ in range(steps):
        contender.step()
    _wait_for(device)
    return (time.perf_counter() - started) / steps


def _wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
