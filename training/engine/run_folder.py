"""Folder of a training run: configuration, states to resume from, models.

Every file is written under a temporary name and renamed: a crash or a full disk leaves the last
good file.
"""

import dataclasses
import io
import json
from pathlib import Path
from typing import Any

import torch

from sfm_odometry.errors import InputError, OutputError
from sfm_odometry.inference.checkpoint import save_model
from sfm_odometry.io.atomic import atomic_write
from sfm_odometry.networks.model import Model
from training.config import TrainConfig


class RunFolder:
    """Files of a run.

    config.json, log.jsonl, states/step_00000500.pt, latest.safetensors, best.safetensors,
    pictures/, tensorboard/.
    """

    def __init__(self, path: Path, config: TrainConfig) -> None:
        self.path = path
        self.config = config
        self.states = path / "states"

    def prepare(self) -> None:
        """Creates the folder and writes its configuration.

        Deletes temporary files that a killed process left behind. Raises OutputError.
        """
        try:
            self.states.mkdir(parents=True, exist_ok=True)
            for temporary in (*self.path.glob(".*.tmp"), *self.states.glob(".*.tmp")):
                temporary.unlink()
        except OSError as error:
            raise OutputError(f"{self.path}: folder cannot be made: {error.strerror}") from error
        self.write("config.json", json.dumps(dataclasses.asdict(self.config), indent=1).encode())

    def state_paths(self) -> list[Path]:
        """Returns the paths of the states to resume from, oldest first."""
        return state_paths(self.path)

    def save_state(self, step: int, state: dict[str, Any]) -> None:
        """Writes the state of a step and deletes all but the last few."""
        # Save into memory first: torch does not report the cause if a file cannot be written.
        content = io.BytesIO()
        torch.save({"step": step, **state}, content)
        self.write(f"states/step_{step:08d}.pt", content.getbuffer())
        for old in self.state_paths()[: -self.config.keep_checkpoints]:
            old.unlink()

    def save_model(self, name: str, model: Model, provenance: dict[str, Any]) -> None:
        """Writes the model as <name>.safetensors."""
        save_model(self.path / f"{name}.safetensors", model, provenance)

    def write(self, name: str, content: bytes | memoryview) -> None:
        """Writes a file of the run completely or not at all.

        Raises OutputError with its path and the cause, such as a full disk.
        """
        path = self.path / name
        try:
            path.parent.mkdir(exist_ok=True)
            with atomic_write(path) as temporary:
                temporary.write_bytes(content)
        except OSError as error:
            raise OutputError(f"{path}: cannot be written: {error.strerror}") from error


def state_paths(run: Path) -> list[Path]:
    """Returns the paths of the states in a run's folder, oldest first."""
    return sorted((run / "states").glob("step_*.pt"))


def find_state(run: Path, resume: bool) -> dict[str, Any] | None:
    """Loads the newest readable state of a run's folder; None where it has no states.

    Raises InputError when there are states but `resume` is false, or when none can be read.
    """
    paths = state_paths(run)
    if paths and not resume:
        raise InputError(
            f"{run}: holds a run already; say --resume to go on with it, or choose another folder"
        )
    for path in reversed(paths):
        try:
            return torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # torch raises many types for a truncated file
            print(f"{path}: cannot be read ({type(error).__name__}), trying the one before")
    if paths:
        raise InputError(f"{run / 'states'}: none of its {len(paths)} states can be read")
    return None
