"""A function of tensors that a network computes at run time: what a backend makes faster."""

from typing import Generic, TypeVar

from torch import nn

Network = TypeVar("Network", bound=nn.Module)


class Stage(nn.Module, Generic[Network]):
    """Tensors of fixed shapes to one tensor or several; the weights are those of its network."""

    allows_half = False
    """Whether its results stay good enough where the layers compute in half precision."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network
