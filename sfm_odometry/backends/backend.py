"""Interface of all inference backends."""

from collections.abc import Callable
from typing import Any, Protocol

from torch import Tensor

from sfm_odometry.networks.stage import Stage

Compute = Callable[..., Any]
"""Computes a stage on tensors of the shapes and on the device that it was prepared for."""


class Backend(Protocol):
    """A way to compute stages of networks.

    The constructor takes the device and raises InputError where the backend cannot work.
    """

    def prepare(self, stage: Stage, examples: tuple[Tensor, ...]) -> Compute:
        """Returns the function that computes `stage`.

        examples: inputs of the shapes that it will be called with.
        """
