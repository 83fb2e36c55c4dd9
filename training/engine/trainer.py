"""Training loop: sample, step, log, validate, save."""

import contextlib
import math
import sys
from collections.abc import Generator
from typing import Any, NoReturn

import torch

from sfm_odometry.errors import SfmOdometryError
from training.config import TrainConfig
from training.data.augment import SnippetRandom
from training.data.batch import Batch
from training.data.device_data import device_sampler
from training.data.prefetch import Prefetcher
from training.data.sampler import SnippetSampler
from training.engine.captured_step import is_captured, training_step
from training.engine.distributed import ProcessGroup
from training.engine.learner import Learner
from training.engine.meter import Meter
from training.engine.optimiser import Optimiser, learning_rate
from training.engine.output import ReaderLeftError
from training.engine.run_recorder import Recorder
from training.engine.signals import InterruptHandler


class DivergedError(SfmOdometryError):
    """The loss or the weights are no longer finite."""


class Trainer:
    """Training loop of a run in this process; with several processes each has its own."""

    def __init__(
        self,
        config: TrainConfig,
        learner: Learner,
        sampler: SnippetSampler,
        recorder: Recorder,
        processes: ProcessGroup,
    ) -> None:
        """sampler: of the training scenes. recorder: writes log, pictures, models and states."""
        self.config = config
        self.learner = learner.train()
        self.sampler = sampler
        self.recorder = recorder
        self.processes = processes
        capturable = learner.device.type == "cuda" and is_captured(
            config, learner.device, processes.ranks
        )
        self.optimiser = Optimiser(
            learner.model.parameters(), learner.cameras.parameters(), config, capturable
        )
        self.step = 0
        """Number of steps taken."""

    def state(self) -> dict[str, Any]:
        """Returns everything that the next step depends on, except data and configuration."""
        return {
            "step": self.step,
            "learner": self.learner.state_dict(),
            "optimiser": self.optimiser.state_dict(),
        }

    def resume(self, state: dict[str, Any]) -> None:
        """Restores the result of `state`."""
        self.step = state["step"]
        self.learner.load_state_dict(state["learner"])
        self.optimiser.load_state_dict(state["optimiser"])

    def run(self, interrupt: InterruptHandler) -> None:
        """Trains up to the configured number of steps.

        On an interrupt, saves a checkpoint and raises KeyboardInterrupt, in all processes; where
        the reader of the output has gone, its child ReaderLeftError.
        """
        take_step = training_step(
            self.config,
            self.learner,
            self.processes.wrap(self.learner),
            self.optimiser,
            self.processes.ranks,
        )
        meter = Meter()
        with contextlib.closing(self._batches()) as batches:
            while self.step < self.config.steps:
                # Sample a batch and take a step.
                with meter.waiting():
                    batch = next(batches)
                meter.add(take_step(batch, self._random(), self.step))
                self.step += 1
                interrupted = (
                    self.processes.any(interrupt.requested) and self.step < self.config.steps
                )
                # Log the progress.
                if self._is_due(self.config.log_every):
                    self._log(meter)
                    meter = Meter()
                # Draw, validate and save.
                with meter.paused():
                    self._record(interrupted)
                if interrupted:
                    self._end_interrupted(interrupt)

    def _end_interrupted(self, interrupt: InterruptHandler) -> NoReturn:
        """Says where the run ended; raises KeyboardInterrupt or ReaderLeftError."""
        end = f"at step {self.step}; --resume goes on from there"
        if not self.processes.any(interrupt.reader_left):
            print(f"interrupted {end}", flush=True)
            raise KeyboardInterrupt
        if self.processes.is_first:
            with contextlib.suppress(BrokenPipeError):
                print(f"the reader of the output has gone: ended {end}", file=sys.stderr)
        raise ReaderLeftError

    def _batches(self) -> Generator[Batch, None, None]:
        """Returns the batches of the remaining steps, sampled ahead where configured."""
        rank = self.processes.rank
        ranks = self.processes.ranks
        on_device = device_sampler(self.sampler, self.config, self.learner.device)
        if on_device is None and self.config.prefetch:
            prefetcher = Prefetcher(
                self.sampler,
                first_step=self.step,
                stop_step=self.config.steps,
                rank=rank,
                ranks=ranks,
                ahead=self.config.prefetch,
            )
            return (batch for _, batch in prefetcher)
        sampler = on_device or self.sampler
        return (sampler.batch(step, rank, ranks) for step in range(self.step, self.config.steps))

    def _random(self) -> SnippetRandom:
        """Returns the random numbers of this step's augmentation; they depend on seed and step."""
        generator = torch.Generator(self.learner.device).manual_seed(
            self.config.seed * 1_000_003 + self.step
        )
        return SnippetRandom(generator, self.processes.rank, self.processes.ranks)

    def _is_due(self, every: int) -> bool:
        """Returns whether this step is a multiple of `every` or the last one; 0: never."""
        return every > 0 and (self.step % every == 0 or self.step == self.config.steps)

    def _log(self, meter: Meter) -> None:
        """Logs the means since the last line; raises DivergedError."""
        terms = self.processes.mean(meter.means())
        self._check_finite(terms)
        metrics = {
            "learning_rate": learning_rate(self.config, self.step - 1),
            "samples_per_s": meter.steps_per_s * self.config.batch_size * self.processes.ranks,
            "data_wait": meter.data_wait,
        }
        minutes_left = (self.config.steps - self.step) / meter.steps_per_s / 60
        with self.processes.barrier():
            self.recorder.log_training(self.step, terms, metrics, minutes_left)

    def _record(self, interrupted: bool) -> None:
        """Draws, validates and saves when due, in the first process; the others wait."""
        if self._is_due(self.config.pictures_every):
            with self.processes.barrier():
                self.recorder.draw_pictures(self.step)
        if self._is_due(self.config.checkpoint_every) or interrupted:
            self._check_finite({})
            with self.processes.barrier():
                if not interrupted:
                    self.recorder.validate(self.step)
                self.recorder.save_checkpoint(self.state())

    def _check_finite(self, terms: dict[str, float]) -> None:
        """Raises DivergedError when a term or a weight is not finite; synchronises once."""
        wrong = [name for name, value in terms.items() if not math.isfinite(value)]
        names, parameters = zip(*self.learner.named_parameters(), strict=True)
        finite = torch.stack([torch.isfinite(parameter).all() for parameter in parameters]).tolist()
        wrong += [name for name, is_finite in zip(names, finite, strict=True) if not is_finite]
        with self.processes.barrier():
            if wrong:
                raise DivergedError(
                    f"training diverged by step {self.step}: {wrong[0]} is not finite; "
                    f"{self.recorder.last_state()}"
                )
