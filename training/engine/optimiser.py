"""Adam as the papers use it, its learning rate over a run, and one step of descent."""

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from training.config import TrainConfig


class Optimiser:
    """Adam with a learning rate that depends on the step alone; nothing in it waits for the
    device."""

    def __init__(
        self,
        networks: Iterable[nn.Parameter],
        cameras: Iterable[nn.Parameter],
        config: TrainConfig,
        capturable: bool = False,
    ) -> None:
        """capturable: a CUDA graph may hold `change`: the learning rates lie on the device,
        where :meth:`set_rate` writes them."""
        self._config = config
        shares = ((networks, 1.0), (cameras, config.intrinsics_rate))
        groups = [
            ([_Stepped(parameter) for parameter in parameters], share)
            for parameters, share in shares
        ]
        self._stepped = [stepped for group, _ in groups for stepped in group]
        adam_groups = [
            {"params": [stepped.memory for stepped in group], "share": share}
            for group, share in groups
            if group
        ]
        self._adam = torch.optim.Adam(
            adam_groups,
            lr=config.learning_rate,
            betas=config.adam_betas,
            fused=True,
            capturable=capturable,
        )
        self._capturable = capturable
        if capturable:
            for group in self._adam.param_groups:
                group["lr"] = torch.tensor(config.learning_rate, device=group["params"][0].device)
            # The steps before a recording are meant to run outside of one.
            setattr(self._adam, "_warned_capturable_if_run_uncaptured", True)  # noqa: B010

    def descend(self, loss: Tensor, step: int) -> None:
        """Change the parameters by one step against the gradient of `loss` (a scalar)."""
        self.set_rate(step)
        self.change(loss)

    def set_rate(self, step: int) -> None:
        """The learning rates of a step."""
        for group in self._adam.param_groups:
            rate = group["share"] * learning_rate(self._config, step)
            if self._capturable:
                group["lr"].fill_(rate)
            else:
                group["lr"] = rate

    def change(self, loss: Tensor) -> None:
        """Change the parameters against the gradient of `loss` at the learning rates that are
        set."""
        for stepped in self._stepped:
            stepped.parameter.grad = None
        loss.backward()
        if self._config.gradient_clip:
            nn.utils.clip_grad_norm_(
                [stepped.parameter for stepped in self._stepped], self._config.gradient_clip
            )
        for stepped in self._stepped:
            stepped.take_gradient()
        self._adam.step()

    def state_dict(self) -> dict[str, Any]:
        """Adam's moments; the same whether capturable or not."""
        state = self._adam.state_dict()
        for group in state["param_groups"]:
            group.update(lr=float(group["lr"]), capturable=False)
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a `state_dict`; not once a CUDA graph holds the moments that it would
        replace."""
        rates = [group["lr"] for group in self._adam.param_groups]
        self._adam.load_state_dict(state)
        for group, rate in zip(self._adam.param_groups, rates, strict=True):
            group.update(lr=rate, capturable=self._capturable)


class _Stepped:
    """A parameter and its memory in the order in which it lies: fused Adam copies parameters,
    gradients and moments of any other order."""

    def __init__(self, parameter: nn.Parameter) -> None:
        self.parameter = parameter
        self._order = sorted(
            range(parameter.dim()), key=parameter.stride().__getitem__, reverse=True
        )
        self.memory = nn.Parameter(parameter.detach().permute(self._order))

    def take_gradient(self) -> None:
        """The parameter's gradient is its memory's."""
        gradient = self.parameter.grad
        self.memory.grad = None if gradient is None else gradient.permute(self._order)


def learning_rate(config: TrainConfig, step: int) -> float:
    """The learning rate of a step: constant, or half a cosine from the full rate down to 2 % of
    it; less while it warms up."""
    rate = config.learning_rate * min(1.0, (step + 1) / max(config.warmup_steps, 1))
    if config.schedule == "constant":
        return rate
    share = 0.5 * (1 + math.cos(math.pi * min(step / config.steps, 1.0)))
    return rate * (0.02 + 0.98 * share)
