"""Averages and speed between two lines of the log."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor


class Meter:
    """Sums on the device: nothing waits for a value until the averages are read."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._steps = 0
        self._waited_s = 0.0
        self._started = time.monotonic()

    def add(self, terms: dict[str, Tensor]) -> None:
        """Count the terms of one step."""
        for name, value in terms.items():
            self._sums[name] = (
                self._sums[name] + value.detach() if name in self._sums else value.detach()
            )
        self._steps += 1

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Count the time inside as waiting for data."""
        started = time.monotonic()
        yield
        self._waited_s += time.monotonic() - started

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Leave the time inside out of account."""
        started = time.monotonic()
        yield
        self._started += time.monotonic() - started

    def means(self) -> dict[str, float]:
        """Mean of each term a step, fetched from the device at once."""
        if not self._sums:
            return {}
        return dict(
            zip(
                self._sums,
                (torch.stack(list(self._sums.values())) / self._steps).tolist(),
                strict=True,
            )
        )

    @property
    def seconds(self) -> float:
        """Since the meter was made."""
        return time.monotonic() - self._started

    @property
    def steps_per_s(self) -> float:
        """Speed since the meter was made."""
        return self._steps / self.seconds

    @property
    def data_wait(self) -> float:
        """Share of the time since the meter was made that was spent waiting for data."""
        return self._waited_s / self.seconds
