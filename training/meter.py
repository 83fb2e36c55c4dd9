"""Averages and speed between two lines of the log."""

import time

from torch import Tensor


class Meter:
    """Sums on the device: nothing waits for a value until the averages are read."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._steps = 0
        self._started = time.monotonic()

    def add(self, terms: dict[str, Tensor]) -> None:
        """Count the terms of one step."""
        for name, value in terms.items():
            self._sums[name] = self._sums[name] + value.detach() if name in self._sums else value.detach()
        self._steps += 1

    def means(self) -> dict[str, float]:
        """Mean of each term a step."""
        return {name: float(value) / self._steps for name, value in self._sums.items()}

    @property
    def seconds(self) -> float:
        """Since the meter was made."""
        return time.monotonic() - self._started

    @property
    def steps_per_s(self) -> float:
        """Speed since the meter was made."""
        return self._steps / self.seconds
