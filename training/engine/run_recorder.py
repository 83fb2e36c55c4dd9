"""Recording of a run: log, validation scores, pictures, models and states."""

import dataclasses
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any

import torch

import sfm_odometry
from training.data.batch import Batch
from training.engine.learned_cameras import LearnedCameras, write_calibrations
from training.engine.learner import Learner
from training.engine.run_folder import RunFolder
from training.engine.run_log import RunLog
from training.engine.validation import validate


class Recorder(ABC):
    """Interface of recorders, which the trainer calls."""

    @abstractmethod
    def log_training(
        self, step: int, terms: dict[str, float], metrics: dict[str, float], minutes_left: float
    ) -> None:
        """Logs the progress of training.

        terms: mean of each term since the previous call. metrics: further values, such as the
        speed. minutes_left: estimated time to the end of the run.
        """

    @abstractmethod
    def draw_pictures(self, step: int) -> None:
        """Draws the inputs and predictions of a few snippets."""

    @abstractmethod
    def validate(self, step: int) -> None:
        """Scores the validation snippets and saves the model if it is the best so far."""

    @abstractmethod
    def save_checkpoint(self, state: dict[str, Any]) -> None:
        """Saves the model and the state to resume from."""

    @abstractmethod
    def last_state(self) -> str:
        """Returns a message that names the newest state, to resume from after a failure."""


class NullRecorder(Recorder):
    """Recorder of all processes but the first; records nothing."""

    def log_training(
        self, step: int, terms: dict[str, float], metrics: dict[str, float], minutes_left: float
    ) -> None:
        """Does nothing."""

    def draw_pictures(self, step: int) -> None:
        """Does nothing."""

    def validate(self, step: int) -> None:
        """Does nothing."""

    def save_checkpoint(self, state: dict[str, Any]) -> None:
        """Does nothing."""

    def last_state(self) -> str:
        """Returns an empty message."""
        return ""


class RunRecorder(Recorder):
    """Recorder of the first process; prints, and writes into the run's folder."""

    def __init__(
        self,
        learner: Learner,
        folder: RunFolder,
        log: RunLog,
        validation: Iterable[Batch],
        examples: Batch,
        identity: dict[str, Any],
    ) -> None:
        """validation: batches of the held-out scenes; empty where no scene is held out.

        examples: snippets to draw. identity: see :mod:`training.engine.resume`.
        """
        self.learner = learner
        self.folder = folder
        self.log = log
        self.validation = validation
        self.examples = examples
        self.identity = identity
        self.min_loss = math.inf
        """Smallest validation loss so far."""
        self.duration_s = 0.0
        """Training time up to the last checkpoint."""
        self._checkpoint_at_s = time.monotonic()

    def resume(self, state: dict[str, Any]) -> None:
        """Restores a state that `save_checkpoint` wrote."""
        self.min_loss = state["best"]
        self.duration_s = state["seconds"]

    def log_training(
        self, step: int, terms: dict[str, float], metrics: dict[str, float], minutes_left: float
    ) -> None:
        """Prints one line and writes one into the log."""
        self.log.training(step, terms, metrics)
        parts = [
            f"step {step:6d} of {self.learner.config.steps}",
            f"loss {sum(terms.values()):.4f}",
            *(f"{name} {value:.4f}" for name, value in terms.items()),
            f"{metrics['samples_per_s']:.1f} samples/s",
            f"{minutes_left:.0f} min left",
        ]
        print("  ".join(parts), flush=True)

    @torch.no_grad()
    def draw_pictures(self, step: int) -> None:
        """Writes pictures/step_00001000.png."""
        # Imported late: matplotlib loads slowly, and many runs draw nothing.
        from training.engine.visualization import draw_snippets, encode_png

        batch, predictions, _ = self.learner.evaluate(self.examples.to(self.learner.device))
        title = f"{self.folder.path.resolve().name}, step {step}"
        picture = draw_snippets(
            batch, predictions, title, self.learner.config.objective.ssim_weight
        )
        self.folder.write(f"pictures/step_{step:08d}.png", encode_png(picture))
        self.log.board.picture(step, picture)

    def validate(self, step: int) -> None:
        """Prints one line, writes one into the log, and saves best.safetensors.

        The best model has the smallest validation loss.
        """
        scores = validate(self.validation, self.learner.evaluate, self.learner.device)
        if not scores:
            return
        values = "  ".join(f"{name} {value:.4f}" for name, value in scores.items())
        print(f"step {step:6d}  validation  {values}", flush=True)
        self.log.validation(step, scores)
        if scores["loss"] < self.min_loss:
            self.min_loss = scores["loss"]
            self._save_model("best", step, scores)

    def save_checkpoint(self, state: dict[str, Any]) -> None:
        """Writes latest.safetensors and the state, and cameras.json if intrinsics are learned."""
        # Add up the training time.
        now_s = time.monotonic()
        self.duration_s = self.duration_s + now_s - self._checkpoint_at_s
        self._checkpoint_at_s = now_s
        # Save the model, the cameras and the state.
        self._save_model("latest", state["step"], scores={})
        if isinstance(self.learner.cameras, LearnedCameras):
            write_calibrations(self.folder.path, self.learner.cameras)
        self.folder.save_state(
            state["step"],
            {
                **state,
                "best": self.min_loss,
                "seconds": self.duration_s,
                "identity": self.identity,
            },
        )

    def last_state(self) -> str:
        """Returns a message with the path of the newest state."""
        states = self.folder.state_paths()
        return f"the last good state is {states[-1]}" if states else "there was no state yet"

    def _save_model(self, name: str, step: int, scores: dict[str, float]) -> None:
        """Writes the model as <name>.safetensors with its provenance."""
        provenance = {
            "trained_with": f"sfm_odometry {sfm_odometry.__version__}, torch {torch.__version__}",
            "step": step,
            "hours": round(self.duration_s / 3600, 3),
            "snippets": self.identity["snippets"],
            "processes": self.identity["processes"],
            "validation": scores,
            "config": dataclasses.asdict(self.learner.config),
        }
        if isinstance(self.learner.cameras, LearnedCameras):
            provenance["cameras"] = {
                camera: dataclasses.asdict(intrinsics)
                for camera, intrinsics in self.learner.cameras.calibrations()
            }
        self.folder.save_model(name, self.learner.model, provenance)
