"""The training loop: draw, augment, predict, descend, log, validate, keep."""

import contextlib
import dataclasses
import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import sfm_odometry
from sfm_odometry.checkpoint import load_model
from sfm_odometry.errors import InputError, SfmOdometryError
from sfm_odometry.estimator import choose_device
from sfm_odometry.networks.model import Model, channels_last
from training.augment import augment, vary_colour
from training.batch import Batch
from training.config import TrainConfig
from training.data import SnippetSampler
from training.meter import Meter
from training.objective import Predictions, objective
from training.run_folder import RunFolder
from training.validation import validate


class DivergedError(SfmOdometryError):
    """The loss is not finite any more."""


class Trainer:
    """One run: model, optimiser and the step they are at."""

    def __init__(self, config: TrainConfig, sampler: SnippetSampler, validation: list[Batch], folder: RunFolder) -> None:
        self.config, self.sampler, self.validation, self.folder = config, sampler, validation, folder
        self.device = choose_device(config.device)
        torch.manual_seed(config.seed)
        self.model = channels_last(_initial_model(config), self.device).train()
        self.optimiser = torch.optim.Adam(self.model.parameters(), lr=config.learning_rate, betas=config.adam_betas, fused=True)
        self.step, self.best, self.seconds = 0, math.inf, 0.0

    def resume(self) -> None:
        """Go on from the folder's newest state, if it has one."""
        state = self.folder.load_newest_state()
        if state is None:
            return
        self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.step, self.best, self.seconds = state["step"], state["best"], state["seconds"]

    def run(self) -> None:
        """Train to the configured number of steps; an interrupt keeps the state first."""
        parameters = sum(parameter.numel() for parameter in self.model.parameters())
        print(f"{len(self.sampler)} snippets to learn from, {parameters:,} parameters, on {self.device}")
        try:
            self._loop()
        except KeyboardInterrupt:
            self._keep()
            print(f"interrupted at step {self.step}; --resume goes on from there")
            raise

    def _loop(self) -> None:
        meter = Meter()
        while self.step < self.config.steps:
            terms = self._train_step(self.sampler.batch(self.step))
            meter.add(terms)
            self.step += 1
            last = self.step == self.config.steps
            if self.step % self.config.log_every == 0 or last:
                self.seconds += meter.seconds
                self._report(meter)
                meter = Meter()
            if self.step % self.config.checkpoint_every == 0 or last:
                self._check_finite(sum(float(value.detach()) for value in terms.values()))
                self._validate()
                self._keep()

    def _train_step(self, batch: Batch) -> dict[str, Tensor]:
        generator = torch.Generator(self.device).manual_seed(self.config.seed * 1_000_003 + self.step)
        batch = augment(batch.to(self.device), self.config.augment, generator)
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate(self.config, self.step)
        frames = vary_colour(batch.frames, self.config.augment, generator)
        terms = objective(batch, self.predict(batch, frames), self.config.objective)
        self.optimiser.zero_grad(set_to_none=True)
        torch.stack(list(terms.values())).sum().backward()
        self.optimiser.step()
        return terms

    def predict(self, batch: Batch, frames: Tensor) -> Predictions:
        """Run the networks on `frames`, the batch's own or recoloured ones, in the configured precision."""
        with self._autocast():
            inverse_depth = self.model.inverse_depth(frames[:, batch.target]) if self.config.objective.needs_depth else []
            source_from_target, mask_logits = self.model.motion_and_masks(frames, with_masks=self.config.objective.needs_masks)
        return Predictions(inverse_depth, source_from_target, mask_logits)

    def _autocast(self) -> contextlib.AbstractContextManager:
        if self.config.precision == "float32":
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, dtype=torch.bfloat16)

    def _report(self, meter: Meter) -> None:
        means = meter.means()
        total = sum(means.values())
        self._check_finite(total)
        terms = "  ".join(f"{name} {value:.4f}" for name, value in means.items())
        samples_per_s = meter.steps_per_s * self.config.batch_size
        left_min = (self.config.steps - self.step) / meter.steps_per_s / 60
        progress = f"step {self.step:6d} of {self.config.steps}"
        print(f"{progress}  loss {total:.4f}  {terms}  {samples_per_s:.1f} samples/s  {left_min:.0f} min left", flush=True)
        self.folder.log({"step": self.step, "loss": total, **means, "samples_per_s": samples_per_s})

    def _check_finite(self, loss: float) -> None:
        finite = math.isfinite(loss) and all(bool(torch.isfinite(parameter).all()) for parameter in self.model.parameters())
        if not finite:
            raise DivergedError(
                f"training diverged by step {self.step} (the loss is {loss}); the last good state is in {self.folder.states}"
            )

    def _validate(self) -> None:
        if not self.validation:
            return
        self.model.eval()
        scores = validate(self.validation, self._predict_terms, self.device)
        self.model.train()
        print(f"step {self.step:6d}  validation  " + "  ".join(f"{name} {value:.4f}" for name, value in scores.items()), flush=True)
        self.folder.log({"step": self.step, "validation": scores})
        if scores["loss"] < self.best:
            self.best = scores["loss"]
            self.folder.save_model("best", self.model, self._provenance(scores))

    def _predict_terms(self, batch: Batch) -> tuple[dict[str, Tensor], Tensor]:
        predictions = self.predict(batch, batch.frames)
        return objective(batch, predictions, self.config.objective), predictions.source_from_target

    def _keep(self) -> None:
        self.folder.save_model("latest", self.model, self._provenance({}))
        state = {"model": self.model.state_dict(), "optimiser": self.optimiser.state_dict(), "best": self.best, "seconds": self.seconds}
        self.folder.save_state(self.step, state)

    def _provenance(self, scores: dict[str, float]) -> dict[str, Any]:
        return {
            "trained_with": f"sfm_odometry {sfm_odometry.__version__}, torch {torch.__version__}",
            "step": self.step,
            "hours": round(self.seconds / 3600, 3),
            "snippets": len(self.sampler),
            "validation": scores,
            "config": dataclasses.asdict(self.config),
        }


def learning_rate(config: TrainConfig, step: int) -> float:
    """The learning rate of a step: constant, or half a cosine from the full rate down to 2 % of it."""
    if config.schedule == "constant":
        return config.learning_rate
    share = 0.5 * (1 + math.cos(math.pi * min(step / config.steps, 1.0)))
    return config.learning_rate * (0.02 + 0.98 * share)


def _initial_model(config: TrainConfig) -> Model:
    if config.init_from is None:
        return Model(config.model)
    model = load_model(Path(config.init_from)).requires_grad_(True)
    if model.config != config.model:
        raise InputError(f"{config.init_from}: its networks differ from the configuration's; take the same 'model' settings")
    return model
