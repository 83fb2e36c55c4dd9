"""Training step: eager, or captured as a CUDA graph and replayed.

A step of the papers' networks launches some two thousand kernels; with small batches a GPU waits
for Python between them. A graph is one launch. Both kinds of step have the same interface and the
same effect on the weights.
"""

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Protocol

import torch
from torch import Tensor, nn

from sfm_odometry.errors import InputError
from training.config import TrainConfig
from training.data.augment import SnippetRandom
from training.data.batch import Batch
from training.engine.learner import Learner
from training.engine.optimiser import Optimiser

WARM_UPS = 3
"""Eager steps before the capture.

In the first one, libraries allocate their workspaces, and Adam its moments.
"""


class Step(Protocol):
    """Interface of training steps."""

    def __call__(self, batch: Batch, random: SnippetRandom, number: int) -> dict[str, Tensor]:
        """Takes step `number` on a sampled batch.

        Returns the objective's terms, each a scalar on the device, without synchronisation.
        """


class EagerStep:
    """Step that runs operation by operation, on any device, in one process or several."""

    def __init__(self, learner: nn.Module, optimiser: Optimiser, device: torch.device) -> None:
        """learner: a :class:`training.engine.learner.Learner`, possibly wrapped."""
        self._learner = learner
        self._optimiser = optimiser
        self._device = device

    def __call__(self, batch: Batch, random: SnippetRandom, number: int) -> dict[str, Tensor]:
        """As :class:`Step`."""
        terms = self._learner(batch.to(self._device), random)
        self._optimiser.step(torch.stack(list(terms.values())).sum(), number)
        return {name: value.detach() for name, value in terms.items()}


class CapturedStep:
    """Step whose networks, objective, backward pass and Adam are captured and replayed.

    Augmentation runs eagerly, and so do the first steps of a run, the warm-up. Weights, moments and
    inputs keep their addresses, which the graph contains; each batch is copied into the inputs. A
    batch of another shape starts another capture.
    """

    def __init__(self, learner: Learner, optimiser: Optimiser, warm_ups: int = WARM_UPS) -> None:
        """warm_ups: number of eager steps before the capture."""
        self._learner = learner
        self._optimiser = optimiser
        self._warm_ups = warm_ups
        self._batch: Batch | None = None
        self._inputs: list[Tensor] = []
        self._names: tuple[str, ...] = ()

    def __call__(self, batch: Batch, random: SnippetRandom, number: int) -> dict[str, Tensor]:
        """As :class:`Step`."""
        with torch.no_grad():
            batch, inputs = self._learner.augment(batch.to(self._learner.device), random)
        self._copy_inputs(batch, inputs)
        self._optimiser.set_learning_rate(number)
        values = self._replay().clone()  # the next replay writes into the same memory
        return dict(zip(self._names, values.unbind(), strict=True))

    def _copy_inputs(self, batch: Batch, inputs: Tensor) -> None:
        """Copies an augmented batch and the networks' inputs to the captured addresses."""
        tensors = [*(getattr(batch, field.name) for field in fields(batch)), inputs]
        if [old.shape for old in self._inputs] != [new.shape for new in tensors]:
            self._inputs = [new.clone() for new in tensors]
            self._batch = replace(
                batch, **dict(zip(batch.__dataclass_fields__, self._inputs, strict=False))
            )
            self._replay = CapturedFunction(
                self._forward_backward_step, self._learner.device, self._warm_ups
            )
            return
        for old, new in zip(self._inputs, tensors, strict=True):
            old.copy_(new)

    def _forward_backward_step(self) -> Tensor:
        """Computes the terms (T,) of the inputs and updates the weights; this is captured."""
        assert self._batch is not None
        terms = self._learner.compute_terms(self._batch, self._inputs[-1])
        self._names = tuple(terms)
        values = torch.stack(list(terms.values()))
        self._optimiser.update(values.sum())
        return values.detach()

    @property
    def is_graph(self) -> bool:
        """Whether the step has been captured as a CUDA graph."""
        return self._replay.is_graph


class CapturedFunction:
    """Function that is captured as a CUDA graph after some calls and replayed from then on.

    On other devices every call runs the function; also where the capture fails, which is printed.
    The graph's result lies in the same memory at every call.
    """

    def __init__(
        self, function: Callable[[], Tensor], device: torch.device, warm_ups: int = WARM_UPS
    ) -> None:
        """warm_ups: number of eager calls before the capture."""
        self._function = function
        self._device = device
        self._warm_ups = warm_ups
        self._enabled = device.type == "cuda"
        self._stream: torch.cuda.Stream | None = None
        self._graph: torch.cuda.CUDAGraph | None = None
        self._result = torch.empty(0)

    @property
    def is_graph(self) -> bool:
        """Whether the function has been captured."""
        return self._graph is not None

    def __call__(self) -> Tensor:
        """Runs the function or replays it."""
        if not self._enabled:
            return self._function()
        if self._warm_ups:
            self._warm_ups -= 1
            return self._run_on_side_stream()
        if self._graph is None and not self._capture():
            return self._function()
        assert self._graph is not None
        self._graph.replay()
        return self._result

    def _run_on_side_stream(self) -> Tensor:
        """Runs the function on a separate stream, which a later capture requires."""
        current = torch.cuda.current_stream(self._device)
        # Each stream has memory of its own: create only one.
        self._stream = stream = self._stream or torch.cuda.Stream(self._device)
        stream.wait_stream(current)
        with torch.cuda.stream(stream):
            result = self._function()
        current.wait_stream(stream)
        result.record_stream(current)
        return result

    def _capture(self) -> bool:
        """Captures the function without running it; returns whether the capture succeeded."""
        graph = torch.cuda.CUDAGraph()
        current = torch.cuda.current_stream(self._device)
        try:
            # Other threads may use the device meanwhile, such as those that draw batches into
            # pinned memory.
            with (
                torch.cuda.device(self._device),
                torch.cuda.graph(graph, capture_error_mode="thread_local"),
            ):
                self._result = self._function()
        except RuntimeError as error:
            # A failed capture leaves its own stream as the current one.
            torch.cuda.set_stream(current)
            print(
                f"note: no CUDA graph of the training step, it goes on without: {_cause(error)}",
                flush=True,
            )
            self._enabled = False
            return False
        self._graph = graph
        return True


def _cause(error: BaseException) -> str:
    """Returns one line of the first error in the chain; the end of a failed capture fails too."""
    while error.__context__ is not None:
        error = error.__context__
    return str(error).strip().partition("\n")[0]


def is_captured(config: TrainConfig, device: torch.device, ranks: int) -> bool:
    """Returns whether the steps of a run are captured.

    Raises InputError where `cuda_graph: true` is set but not possible.
    """
    possible = ranks == 1 and not config.learn_intrinsics
    if config.cuda_graph is True and not possible:
        raise InputError(
            f"setting 'cuda_graph: true' is for one process that learns no intrinsics, "
            f"got {ranks} processes, expected auto"
        )
    return possible and (
        config.cuda_graph is True or (config.cuda_graph == "auto" and device.type == "cuda")
    )


def training_step(
    config: TrainConfig, learner: Learner, wrapped: nn.Module, optimiser: Optimiser, ranks: int
) -> Step:
    """Returns the step of a run; `wrapped`: the learner, wrapped for several processes."""
    if is_captured(config, learner.device, ranks):
        return CapturedStep(learner, optimiser)
    return EagerStep(wrapped, optimiser, learner.device)
