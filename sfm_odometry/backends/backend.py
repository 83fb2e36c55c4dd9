"""The interface of all backends."""

from collections.abc import Callable
from typing import Any, Protocol

from torch import Tensor

from sfm_odometry.networks.stage import Stage

Compute = Callable[..., Any]
"""Computes what a part computes, of tensors of the shapes and the device that it was prepared
for."""


class Backend(Protocol):
    """A way to compute parts of networks; its constructor takes the device and raises InputError
    where it cannot work."""

    def prepare(self, part: Stage, examples: tuple[Tensor, ...]) -> Compute:
        """What computes the part from now on; `examples` are inputs as it will see them."""
