"""Adam as the papers use it, its learning rate over a run, and one step of descent."""

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from training.config import TrainConfig


class Optimiser:
    """Adam with a learning rate that depends on the step alone; nothing in it waits for the device."""

    def __init__(self, networks: Iterable[nn.Parameter], cameras: Iterable[nn.Parameter], config: TrainConfig) -> None:
        self._config = config
        groups = [{"params": list(networks), "share": 1.0}, {"params": list(cameras), "share": config.intrinsics_rate}]
        groups = [group for group in groups if group["params"]]
        self._adam = torch.optim.Adam(groups, lr=config.learning_rate, betas=config.adam_betas, fused=True)

    def descend(self, loss: Tensor, step: int) -> None:
        """Change the parameters by one step against the gradient of `loss` (a scalar)."""
        for group in self._adam.param_groups:
            group["lr"] = group["share"] * learning_rate(self._config, step)
        self._adam.zero_grad(set_to_none=True)
        loss.backward()
        if self._config.gradient_clip:
            parameters = [parameter for group in self._adam.param_groups for parameter in group["params"]]
            nn.utils.clip_grad_norm_(parameters, self._config.gradient_clip)
        self._adam.step()

    def state_dict(self) -> dict[str, Any]:
        """Adam's moments."""
        return self._adam.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a `state_dict`."""
        self._adam.load_state_dict(state)


def learning_rate(config: TrainConfig, step: int) -> float:
    """The learning rate of a step: constant, or half a cosine from the full rate down to 2 % of it."""
    if config.schedule == "constant":
        return config.learning_rate
    share = 0.5 * (1 + math.cos(math.pi * min(step / config.steps, 1.0)))
    return config.learning_rate * (0.02 + 0.98 * share)
