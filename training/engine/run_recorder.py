"""What is kept of a run while it learns: log, scores, pictures, models and states."""

import dataclasses
import math
import time
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
from training.engine.visualization import draw_pictures, encode_png


class NullRecorder:
    """Of a process that is not the first: it keeps nothing."""

    def report(
        self, step: int, terms: dict[str, float], figures: dict[str, float], left_min: float
    ) -> None:
        """The mean terms since the report before, figures such as the speed, and how long the
        run will still take."""

    def draw(self, step: int) -> None:
        """A picture of what the networks see."""

    def validate(self, step: int) -> None:
        """Scores of the validation snippets; the best model so far is kept."""

    def keep(self, state: dict[str, Any]) -> None:
        """The model, and the state to resume from."""

    def last_good(self) -> str:
        """Where to go on from after a failure, in words."""
        return ""


class RunRecorder(NullRecorder):
    """Of the first process."""

    def __init__(
        self,
        learner: Learner,
        folder: RunFolder,
        log: RunLog,
        validation: Iterable[Batch],
        examples: Batch,
        identity: dict[str, Any],
    ) -> None:
        """validation: empty where no scene is held out; examples: snippets that pictures show;
        identity: see :mod:`training.engine.resume`."""
        self.learner, self.folder, self.log, self.validation, self.examples = (
            learner,
            folder,
            log,
            validation,
            examples,
        )
        self.identity = identity
        self.best, self.seconds, self._since = math.inf, 0.0, time.monotonic()

    def resume(self, state: dict[str, Any]) -> None:
        """Go on from a state that `keep` wrote."""
        self.best, self.seconds = state["best"], state["seconds"]

    def report(
        self, step: int, terms: dict[str, float], figures: dict[str, float], left_min: float
    ) -> None:
        """One line on the terminal, one in the log."""
        self.log.training(step, terms, figures)
        parts = [
            f"step {step:6d} of {self.learner.config.steps}",
            f"loss {sum(terms.values()):.4f}",
        ]
        parts += [f"{name} {value:.4f}" for name, value in terms.items()]
        print(
            "  ".join(
                [*parts, f"{figures['samples_per_s']:.1f} samples/s", f"{left_min:.0f} min left"]
            ),
            flush=True,
        )

    @torch.no_grad()
    def draw(self, step: int) -> None:
        """pictures/step_00001000.png."""
        batch, predictions, _ = self.learner.judge(self.examples.to(self.learner.device))
        title = f"{self.folder.path.resolve().name}, step {step}"
        picture = draw_pictures(
            batch, predictions, title, self.learner.config.objective.ssim_weight
        )
        self.folder.write(f"pictures/step_{step:08d}.png", encode_png(picture))
        self.log.board.picture(step, picture)

    def validate(self, step: int) -> None:
        """One line on the terminal, one in the log; best.safetensors by the smallest loss."""
        scores = validate(self.validation, self.learner.judge, self.learner.device)
        if not scores:
            return
        print(
            f"step {step:6d}  validation  "
            + "  ".join(f"{name} {value:.4f}" for name, value in scores.items()),
            flush=True,
        )
        self.log.validation(step, scores)
        if scores["loss"] < self.best:
            self.best = scores["loss"]
            self._save_model("best", step, scores)

    def keep(self, state: dict[str, Any]) -> None:
        """latest.safetensors, its cameras.json where intrinsics are learned, and the state."""
        self.seconds, self._since = self.seconds + time.monotonic() - self._since, time.monotonic()
        self._save_model("latest", state["step"], {})
        if isinstance(self.learner.cameras, LearnedCameras):
            write_calibrations(self.folder.path, self.learner.cameras)
        self.folder.save_state(
            state["step"],
            {**state, "best": self.best, "seconds": self.seconds, "identity": self.identity},
        )

    def last_good(self) -> str:
        """Names the newest state's file."""
        states = self.folder.state_paths()
        return f"the last good state is {states[-1]}" if states else "there was no state yet"

    def _save_model(self, name: str, step: int, scores: dict[str, float]) -> None:
        provenance = {
            "trained_with": f"sfm_odometry {sfm_odometry.__version__}, torch {torch.__version__}",
            "step": step,
            "hours": round(self.seconds / 3600, 3),
            "snippets": self.identity["snippets"],
            "processes": self.identity["processes"],
            "validation": scores,
            "config": dataclasses.asdict(self.learner.config),
        }
        if isinstance(self.learner.cameras, LearnedCameras):
            provenance["cameras"] = {
                name: dataclasses.asdict(intrinsics)
                for name, intrinsics in self.learner.cameras.calibrations()
            }
        self.folder.save_model(name, self.learner.model, provenance)
