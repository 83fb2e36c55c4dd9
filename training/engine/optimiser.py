"""Adam with the papers' settings, and its learning rate schedule."""

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from training.config import TrainConfig

FINAL_RATE = 0.02
"""Learning rate at the end of the cosine schedule, as a share of the full rate."""


class Optimiser:
    """Adam whose learning rate depends on the step alone; never synchronises with the device."""

    def __init__(
        self,
        networks: Iterable[nn.Parameter],
        cameras: Iterable[nn.Parameter],
        config: TrainConfig,
        capturable: bool = False,
    ) -> None:
        """networks, cameras: parameters to optimise, each group at its own learning rate.

        capturable: whether a CUDA graph may capture :meth:`update`. The learning rates then lie on
        the device, where :meth:`set_learning_rate` writes them.
        """
        self._config = config
        # Group the parameters by their share of the learning rate.
        shares = ((networks, 1.0), (cameras, config.intrinsics_rate))
        groups = [
            ([_DenseParameter(parameter) for parameter in parameters], share)
            for parameters, share in shares
        ]
        self._parameters = [parameter for group, _ in groups for parameter in group]
        adam_groups = [
            {"params": [parameter.dense for parameter in group], "share": share}
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
        # Move the learning rates to the device.
        self._capturable = capturable
        if capturable:
            for group in self._adam.param_groups:
                group["lr"] = torch.tensor(config.learning_rate, device=group["params"][0].device)
            # The steps before a capture run outside of one on purpose: no warning.
            setattr(self._adam, "_warned_capturable_if_run_uncaptured", True)  # noqa: B010

    def step(self, loss: Tensor, number: int) -> None:
        """Takes one step against the gradient of `loss`, a scalar.

        number: index of the step, which determines the learning rate.
        """
        self.set_learning_rate(number)
        self.update(loss)

    def set_learning_rate(self, number: int) -> None:
        """Sets the learning rates of the step with this index."""
        for group in self._adam.param_groups:
            rate = group["share"] * learning_rate(self._config, number)
            if self._capturable:
                group["lr"].fill_(rate)
            else:
                group["lr"] = rate

    def update(self, loss: Tensor) -> None:
        """Updates the parameters by the gradient of `loss` at the current learning rates."""
        for parameter in self._parameters:
            parameter.original.grad = None
        loss.backward()
        if self._config.gradient_clip:
            nn.utils.clip_grad_norm_(
                [parameter.original for parameter in self._parameters], self._config.gradient_clip
            )
        for parameter in self._parameters:
            parameter.take_gradient()
        self._adam.step()

    def state_dict(self) -> dict[str, Any]:
        """Returns Adam's moments; the same whether capturable or not."""
        state = self._adam.state_dict()
        for group in state["param_groups"]:
            group.update(lr=float(group["lr"]), capturable=False)
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores a `state_dict`.

        Call it before a CUDA graph is captured: the graph would keep the moments that it replaces.
        """
        rates = [group["lr"] for group in self._adam.param_groups]
        self._adam.load_state_dict(state)
        for group, rate in zip(self._adam.param_groups, rates, strict=True):
            group.update(lr=rate, capturable=self._capturable)


class _DenseParameter:
    """Parameter with a view of its memory whose dimensions are in storage order.

    Fused Adam copies parameters, gradients and moments in any other order.
    """

    def __init__(self, parameter: nn.Parameter) -> None:
        self.original = parameter
        self._order = sorted(
            range(parameter.dim()), key=parameter.stride().__getitem__, reverse=True
        )
        self.dense = nn.Parameter(parameter.detach().permute(self._order))

    def take_gradient(self) -> None:
        """Passes the gradient of the original parameter on to the view."""
        gradient = self.original.grad
        self.dense.grad = None if gradient is None else gradient.permute(self._order)


def learning_rate(config: TrainConfig, step: int) -> float:
    """Returns the learning rate of a step, lower during the warm-up.

    It is constant, or falls by half a cosine from the full rate to 2 % of it.
    """
    rate = config.learning_rate * min(1.0, (step + 1) / max(config.warmup_steps, 1))
    if config.schedule == "constant":
        return rate
    share = 0.5 * (1 + math.cos(math.pi * min(step / config.steps, 1.0)))
    return rate * (FINAL_RATE + (1 - FINAL_RATE) * share)
