"""Detection of two values that alternate, such as those of two cameras on one topic."""

from collections import deque
from typing import Generic, TypeVar

ValueT = TypeVar("ValueT")

MIN_RETURNS = 3
"""Number of returns to the value before the last that are no accident."""


class Alternation(Generic[ValueT]):
    """Watches a sequence of values for two that alternate again and again."""

    def __init__(self, length: int = 16) -> None:
        """length: number of newest values that count."""
        self._values: deque[ValueT] = deque(maxlen=length)

    def add(self, value: ValueT) -> None:
        """Add the newest value."""
        self._values.append(value)

    @property
    def pair(self) -> tuple[ValueT, ValueT] | None:
        """The two values that alternate, the newest first; None where none do."""
        runs: list[ValueT] = []
        for value in reversed(self._values):
            if not runs or value != runs[-1]:
                runs.append(value)
        returns = 0
        for index in range(2, len(runs)):
            if runs[index] != runs[index - 2]:
                break
            returns += 1
        return (runs[0], runs[1]) if returns >= MIN_RETURNS else None
