"""Averages and speed between two lines of the log."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor


class Meter:
    """Averages of the terms and speed; sums on the device, without synchronisation until read."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._steps = 0
        self._waited_s = 0.0
        self._started_s = time.monotonic()

    def add(self, terms: dict[str, Tensor]) -> None:
        """Adds the terms of one step."""
        for name, value in terms.items():
            self._sums[name] = (
                self._sums[name] + value.detach() if name in self._sums else value.detach()
            )
        self._steps += 1

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Counts the time of the block as waiting for data."""
        started_s = time.monotonic()
        yield
        self._waited_s += time.monotonic() - started_s

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Excludes the time of the block from the speed."""
        started_s = time.monotonic()
        yield
        self._started_s += time.monotonic() - started_s

    def means(self) -> dict[str, float]:
        """Returns the mean of each term per step, fetched from the device in one transfer."""
        if not self._sums:
            return {}
        means = torch.stack(list(self._sums.values())) / self._steps
        return dict(zip(self._sums, means.tolist(), strict=True))

    @property
    def seconds(self) -> float:
        """Time since the meter was created, without pauses."""
        return time.monotonic() - self._started_s

    @property
    def steps_per_s(self) -> float:
        """Steps per second since the meter was created."""
        return self._steps / self.seconds

    @property
    def data_wait(self) -> float:
        """Share of the time spent waiting for data, 0 to 1."""
        return self._waited_s / self.seconds
