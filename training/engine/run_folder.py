"""A run's folder: its configuration, its states to resume from and its models.

Everything is written beside its final name and renamed, so that a crash or a full disk leaves the
last good file.
"""

import contextlib
import dataclasses
import io
import json
import os
from pathlib import Path
from typing import Any

import torch

from sfm_odometry.errors import InputError, OutputError
from sfm_odometry.inference.checkpoint import save_model
from sfm_odometry.networks.model import Model
from training.config import TrainConfig


class RunFolder:
    """Layout: config.json, log.jsonl, states/step_00000500.pt, latest.safetensors,
    best.safetensors, pictures/, tensorboard/."""

    def __init__(self, path: Path, config: TrainConfig) -> None:
        self.path, self.config = path, config
        self.states = path / "states"

    def prepare(self) -> None:
        """Make the folder and write its configuration; what a killed process left half written
        goes."""
        try:
            self.states.mkdir(parents=True, exist_ok=True)
            for torn in (*self.path.glob(".*.tmp"), *self.states.glob(".*.tmp")):
                torn.unlink()
        except OSError as error:
            raise OutputError(f"{self.path}: folder cannot be made: {error.strerror}") from error
        self.write("config.json", json.dumps(dataclasses.asdict(self.config), indent=1).encode())

    def state_paths(self) -> list[Path]:
        """States to resume from, oldest first."""
        return state_paths(self.path)

    def save_state(self, step: int, state: dict[str, Any]) -> None:
        """Keep the state of a step and drop all but the last few."""
        content = io.BytesIO()
        torch.save(
            {"step": step, **state}, content
        )  # into memory first: torch does not say why a file cannot be written
        self.write(f"states/step_{step:08d}.pt", content.getbuffer())
        for old in self.state_paths()[: -self.config.keep_checkpoints]:
            old.unlink()

    def save_model(self, name: str, model: Model, provenance: dict[str, Any]) -> None:
        """Write the model as <name>.safetensors."""
        save_model(self.path / f"{name}.safetensors", model, provenance)

    def write(self, name: str, content: bytes | memoryview) -> None:
        """Write a file of the run as a whole or not at all; OutputError names it and says why,
        as that the disk is full."""
        path = self.path / name
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        try:
            path.parent.mkdir(exist_ok=True)
            with temporary.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except OSError as error:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise OutputError(f"{path}: cannot be written: {error.strerror}") from error


def state_paths(run: Path) -> list[Path]:
    """States in a run's folder, oldest first."""
    return sorted((run / "states").glob("step_*.pt"))


def find_state(run: Path, resume: bool) -> dict[str, Any] | None:
    """The newest state of a run's folder that can be read, or None in a fresh folder.

    Raises InputError when there are states that are not to be resumed from, or when none can be
    read.
    """
    paths = state_paths(run)
    if paths and not resume:
        raise InputError(
            f"{run}: holds a run already; say --resume to go on with it, or choose another folder"
        )
    for path in reversed(paths):
        try:
            return torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # torch raises many kinds for a truncated file
            print(f"{path}: cannot be read ({type(error).__name__}), trying the one before")
    if paths:
        raise InputError(f"{run / 'states'}: none of its {len(paths)} states can be read")
    return None
