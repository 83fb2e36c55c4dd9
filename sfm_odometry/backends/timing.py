"""Processor time of prepared models, compared in turns on a machine that may be busy."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sfm_odometry.backends.backend import Compute

Examples = dict[str, tuple[Tensor, ...]]
"""Example inputs of each stage by its name."""
Clock = Callable[[], float]

MIN_TURNS = 5
"""Turns in which each stage of each model is computed once, before the first look at the times."""
MAX_TURNS = 20
"""Turns after which the times are taken as they are, settled or not."""
SETTLED_RATIO = 1.1
"""Ratio of the second-shortest time of a stage to the shortest, up to which it is settled: two
calls were not disturbed."""


@dataclass(frozen=True)
class Seconds:
    """Seconds that each of several models needs to compute all stages once."""

    values: tuple[float, ...]
    settled: bool
    """Whether each of them was measured undisturbed."""


class _Shortest:
    """The two shortest of several times."""

    def __init__(self) -> None:
        self.first = math.inf
        self.second = math.inf

    def add(self, seconds: float) -> None:
        self.first, self.second, _ = sorted((self.first, self.second, seconds))

    @property
    def settled(self) -> bool:
        """Whether the shortest time was reached twice."""
        return self.second <= SETTLED_RATIO * self.first


def compare(models: Sequence[Mapping[str, Compute]], examples: Examples, clock: Clock) -> Seconds:
    """Times the stages of all models in turns, until each shortest time was reached twice.

    The shortest time of each stage counts: other programs only ever make it longer. models: stages
    by name.
    """
    shortest = [{name: _Shortest() for name in examples} for _ in models]
    for turn in range(MAX_TURNS):
        for stages, times in zip(models, shortest, strict=True):
            for name, inputs in examples.items():
                started = clock()
                stages[name](*inputs)
                times[name].add(clock() - started)
        if turn + 1 >= MIN_TURNS and _settled(shortest):
            break
    values = tuple(sum(time.first for time in times.values()) for times in shortest)
    return Seconds(values, _settled(shortest))


def _settled(shortest: Sequence[Mapping[str, _Shortest]]) -> bool:
    return all(time.settled for times in shortest for time in times.values())


def processor_clock() -> Clock:
    """Returns the clock in seconds that other programs disturb least.

    It is the calling thread's processor time where torch computes on that thread alone.
    """
    return time.thread_time if torch.get_num_threads() == 1 else time.perf_counter
