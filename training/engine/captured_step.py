"""One step of training: operation by operation, or recorded once as a CUDA graph and replayed.

A step of the papers' networks launches some two thousand kernels; at small batches a GPU waits for
Python between them. A graph is one launch. Both kinds of step are called alike and change the
weights alike, so that the trainer does not ask which it is.
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
"""Steps before the recording: libraries allocate what they work in, and Adam's moments are made,
at the first."""


class Step(Protocol):
    """One step of training."""

    def __call__(self, batch: Batch, random: SnippetRandom, number: int) -> dict[str, Tensor]:
        """Learn from a drawn batch; the objective's terms, each a scalar on the device that is
        not waited for."""


class EagerStep:
    """Operation by operation; on any device, of one process or several."""

    def __init__(self, learner: nn.Module, optimiser: Optimiser, device: torch.device) -> None:
        """learner: a :class:`training.engine.learner.Learner`, perhaps wrapped."""
        self._learner, self._optimiser, self._device = learner, optimiser, device

    def __call__(self, batch: Batch, random: SnippetRandom, number: int) -> dict[str, Tensor]:
        """As :class:`Step`."""
        terms = self._learner(batch.to(self._device), random)
        self._optimiser.descend(torch.stack(list(terms.values())).sum(), number)
        return {name: value.detach() for name, value in terms.items()}


class CapturedStep:
    """Augmentation operation by operation; networks, objective, backward pass and Adam recorded and
    replayed.

    The first steps of a run, which nothing is recorded of, are steps as any other. What the
    recording reads and writes stays where it is: weights, moments, and the inputs that each batch
    is copied into. A batch of another shape starts another recording.
    """

    def __init__(self, learner: Learner, optimiser: Optimiser, warm_ups: int = WARM_UPS) -> None:
        self._learner, self._optimiser, self._warm_ups = learner, optimiser, warm_ups
        self._batch: Batch | None = None
        self._inputs: list[Tensor] = []
        self._names: tuple[str, ...] = ()

    def __call__(self, batch: Batch, random: SnippetRandom, number: int) -> dict[str, Tensor]:
        """As :class:`Step`."""
        with torch.no_grad():
            batch, seen = self._learner.vary(batch.to(self._learner.device), random)
        self._fill(batch, seen)
        self._optimiser.set_rate(number)
        values = self._replay().clone()  # the next replay writes into the same memory
        return dict(zip(self._names, values.unbind(), strict=True))

    def _fill(self, batch: Batch, seen: Tensor) -> None:
        """Copy a varied batch, and its frames as the networks see them, to where the recording
        reads."""
        inputs = [*(getattr(batch, field.name) for field in fields(batch)), seen]
        if [own.shape for own in self._inputs] != [new.shape for new in inputs]:
            self._inputs = [new.clone() for new in inputs]
            self._batch = replace(
                batch, **dict(zip(batch.__dataclass_fields__, self._inputs, strict=False))
            )
            self._replay = GraphRecording(self._learn, self._learner.device, self._warm_ups)
            return
        for own, new in zip(self._inputs, inputs, strict=True):
            own.copy_(new)

    def _learn(self) -> Tensor:
        """What is recorded: the terms (T,) of the inputs, and one step of descent."""
        assert self._batch is not None
        terms = self._learner.learn(self._batch, self._inputs[-1])
        self._names = tuple(terms)
        values = torch.stack(list(terms.values()))
        self._optimiser.change(values.sum())
        return values.detach()


class GraphRecording:
    """Work that is recorded on a CUDA device after some calls and replayed from then on; elsewhere
    it is done at every call.

    Where it cannot be recorded, one line says so, and it is done at every call. The result lies in
    the same memory each time.
    """

    def __init__(
        self, work: Callable[[], Tensor], device: torch.device, warm_ups: int = WARM_UPS
    ) -> None:
        self._work, self._device, self._warm_ups = work, device, warm_ups
        self._wanted = device.type == "cuda"
        self._stream: torch.cuda.Stream | None = None
        self._graph: torch.cuda.CUDAGraph | None = None
        self._result = torch.empty(0)

    def __call__(self) -> Tensor:
        """Do the work."""
        if not self._wanted:
            return self._work()
        if self._warm_ups:
            self._warm_ups -= 1
            return self._beside()
        if self._graph is None and not self._record():
            return self._work()
        assert self._graph is not None
        self._graph.replay()
        return self._result

    def _beside(self) -> Tensor:
        """The work on a stream of its own, as recordings ask for."""
        now = torch.cuda.current_stream(self._device)
        self._stream = stream = self._stream or torch.cuda.Stream(
            self._device
        )  # each stream would have memory of its own
        stream.wait_stream(now)
        with torch.cuda.stream(stream):
            result = self._work()
        now.wait_stream(stream)
        result.record_stream(now)
        return result

    def _record(self) -> bool:
        """Whether it could be recorded; nothing is computed."""
        graph, now = torch.cuda.CUDAGraph(), torch.cuda.current_stream(self._device)
        try:
            # Other threads may use the device meanwhile, as those that draw batches into pinned
            # memory.
            with (
                torch.cuda.device(self._device),
                torch.cuda.graph(graph, capture_error_mode="thread_local"),
            ):
                self._result = self._work()
        except RuntimeError as error:
            torch.cuda.set_stream(
                now
            )  # a recording that fails leaves its own stream as the current one
            print(
                f"note: no CUDA graph of the training step, it goes on without: {_cause(error)}",
                flush=True,
            )
            self._wanted = False
            return False
        self._graph = graph
        return True


def _cause(error: BaseException) -> str:
    """One line about what went wrong first: the end of a failed recording fails too."""
    while error.__context__ is not None:
        error = error.__context__
    return str(error).strip().partition("\n")[0]


def is_captured(config: TrainConfig, device: torch.device, ranks: int) -> bool:
    """Whether the steps of a run are recorded. InputError where `cuda_graph: true` asks for what
    cannot be."""
    possible = ranks == 1 and not config.learn_intrinsics
    if config.cuda_graph is True and not possible:
        raise InputError(
            f"setting 'cuda_graph: true' is for one process that learns no intrinsics, got {ranks} processes, expected auto"
        )
    return possible and (
        config.cuda_graph is True or (config.cuda_graph == "auto" and device.type == "cuda")
    )


def training_step(
    config: TrainConfig, learner: Learner, wrapped: nn.Module, optimiser: Optimiser, ranks: int
) -> Step:
    """The step of a run; `wrapped` is the learner as several processes share it."""
    if is_captured(config, learner.device, ranks):
        return CapturedStep(learner, optimiser)
    return EagerStep(wrapped, optimiser, learner.device)
