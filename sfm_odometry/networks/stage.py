"""Stage: a function of tensors that a network computes at run time, the unit of a backend."""

from typing import Generic, TypeVar

from torch import nn

Network = TypeVar("Network", bound=nn.Module)


class Stage(nn.Module, Generic[Network]):
    """Maps tensors of fixed shapes to one tensor or several, with the weights of its network."""

    allows_half = False
    """Whether the results stay accurate enough when the layers compute in half precision."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network
