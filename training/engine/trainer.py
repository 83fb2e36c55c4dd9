"""The training loop: draw, learn, report, keep."""

import contextlib
import math
from collections.abc import Generator
from typing import Any

import torch

from sfm_odometry.errors import SfmOdometryError
from training.config import TrainConfig
from training.data.augment import SnippetRandom
from training.data.batch import Batch
from training.data.device_data import device_sampler
from training.data.prefetch import Prefetcher
from training.data.sampler import SnippetSampler
from training.engine.captured_step import is_captured, training_step
from training.engine.distributed import Processes
from training.engine.learner import Learner
from training.engine.meter import Meter
from training.engine.optimiser import Optimiser, learning_rate
from training.engine.run_recorder import NullRecorder
from training.engine.signals import Interruption


class DivergedError(SfmOdometryError):
    """The loss or the weights are not finite any more."""


class Trainer:
    """One run: what learns, its optimiser, and the step they are at; of several processes each
    has one."""

    def __init__(
        self,
        config: TrainConfig,
        learner: Learner,
        sampler: SnippetSampler,
        keeper: NullRecorder,
        processes: Processes,
    ) -> None:
        self.config, self.learner, self.sampler, self.keeper, self.processes = (
            config,
            learner.train(),
            sampler,
            keeper,
            processes,
        )
        capturable = learner.device.type == "cuda" and is_captured(
            config, learner.device, processes.ranks
        )
        self.optimiser = Optimiser(
            learner.model.parameters(), learner.cameras.parameters(), config, capturable
        )
        self.step = 0

    def state(self) -> dict[str, Any]:
        """All that the next step depends on, but for the data and the configuration."""
        return {
            "step": self.step,
            "learner": self.learner.state_dict(),
            "optimiser": self.optimiser.state_dict(),
        }

    def resume(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
        self.step = state["step"]
        self.learner.load_state_dict(state["learner"])
        self.optimiser.load_state_dict(state["optimiser"])

    def run(self, interruption: Interruption) -> None:
        """Train to the configured number of steps; an interruption keeps the state and is a
        KeyboardInterrupt."""
        learn = training_step(
            self.config,
            self.learner,
            self.processes.wrap(self.learner),
            self.optimiser,
            self.processes.ranks,
        )
        meter = Meter()
        with contextlib.closing(self._draw_ahead()) as batches:
            while self.step < self.config.steps:
                with meter.waiting():
                    batch = next(batches)
                meter.add(learn(batch, self._random(), self.step))
                self.step += 1
                interrupted = (
                    self.processes.any(interruption.requested) and self.step < self.config.steps
                )
                if self._due(self.config.log_every):
                    self._report(meter)
                    meter = Meter()
                with meter.paused():
                    self._look_after(interrupted)
                if interrupted:
                    print(
                        f"interrupted at step {self.step}; --resume goes on from there", flush=True
                    )
                    raise KeyboardInterrupt

    def _draw_ahead(self) -> Generator[Batch, None, None]:
        """The batches from this step on."""
        steps, ranks = (self.step, self.config.steps), (self.processes.rank, self.processes.ranks)
        on_device = device_sampler(self.sampler, self.config, self.learner.device)
        if on_device is None and self.config.prefetch:
            return (
                batch
                for _, batch in Prefetcher(self.sampler, *steps, *ranks, ahead=self.config.prefetch)
            )
        sampler = on_device or self.sampler
        return (sampler.batch(step, *ranks) for step in range(*steps))

    def _random(self) -> SnippetRandom:
        """What varies this step's snippets: a matter of the seed and the step alone."""
        generator = torch.Generator(self.learner.device).manual_seed(
            self.config.seed * 1_000_003 + self.step
        )
        return SnippetRandom(generator, self.processes.rank, self.processes.ranks)

    def _due(self, every: int) -> bool:
        return every > 0 and (self.step % every == 0 or self.step == self.config.steps)

    def _report(self, meter: Meter) -> None:
        terms = self.processes.mean(meter.means())
        self._check_finite(terms)
        figures = {
            "learning_rate": learning_rate(self.config, self.step - 1),
            "samples_per_s": meter.steps_per_s * self.config.batch_size * self.processes.ranks,
            "data_wait": meter.data_wait,
        }
        with self.processes.together():
            self.keeper.report(
                self.step, terms, figures, (self.config.steps - self.step) / meter.steps_per_s / 60
            )

    def _look_after(self, interrupted: bool) -> None:
        """What is done every so many steps, by the first process: the others wait for it."""
        if self._due(self.config.pictures_every):
            with self.processes.together():
                self.keeper.draw(self.step)
        if self._due(self.config.checkpoint_every) or interrupted:
            self._check_finite({})
            with self.processes.together():
                if not interrupted:
                    self.keeper.validate(self.step)
                self.keeper.keep(self.state())

    def _check_finite(self, terms: dict[str, float]) -> None:
        """DivergedError when one of the terms or of the weights is not finite; the device is
        waited for once."""
        wrong = [name for name, value in terms.items() if not math.isfinite(value)]
        names, parameters = zip(*self.learner.named_parameters(), strict=True)
        finite = torch.stack([torch.isfinite(parameter).all() for parameter in parameters]).tolist()
        wrong += [name for name, is_finite in zip(names, finite, strict=True) if not is_finite]
        with self.processes.together():
            if wrong:
                raise DivergedError(
                    f"training diverged by step {self.step}: {wrong[0]} is not finite; {self.keeper.last_good()}"
                )
