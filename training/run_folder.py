"""A run's folder: its configuration, its log, its states to resume from and its models.

Everything is written beside its final name and renamed, so that a crash or a full disk leaves the last good file.
"""

import contextlib
import dataclasses
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from sfm_odometry.checkpoint import save_model
from sfm_odometry.errors import InputError, OutputError
from sfm_odometry.networks.model import Model
from training.config import TrainConfig


class RunFolder:
    """Layout: config.json, log.jsonl, states/step_00000500.pt, latest.safetensors, best.safetensors."""

    def __init__(self, path: Path, config: TrainConfig, resume: bool) -> None:
        self.path, self.config = path, config
        self.states = path / "states"
        if not resume and self.state_paths():
            raise InputError(f"{path}: holds a run already; say --resume to go on with it, or choose another folder")
        try:
            self.states.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"{path}: folder cannot be made: {error.strerror}") from error
        self._write(path / "config.json", lambda file: file.write_text(json.dumps(dataclasses.asdict(config), indent=1)))

    def state_paths(self) -> list[Path]:
        """States to resume from, oldest first."""
        return sorted(self.states.glob("step_*.pt"))

    def log(self, entry: dict[str, Any]) -> None:
        """Append one line to log.jsonl."""
        with (self.path / "log.jsonl").open("a") as file:
            file.write(json.dumps(entry) + "\n")

    def save_state(self, step: int, state: dict[str, Any]) -> None:
        """Keep the state of a step and drop all but the last few."""
        self._write(self.states / f"step_{step:08d}.pt", lambda file: torch.save({"step": step, **state}, file))
        for old in self.state_paths()[: -self.config.keep_checkpoints]:
            old.unlink()

    def load_newest_state(self) -> dict[str, Any] | None:
        """The newest state that can be read, or None in a fresh folder; InputError when there are states and none can be read."""
        paths = self.state_paths()
        for path in reversed(paths):
            try:
                return torch.load(path, map_location="cpu", weights_only=True)
            except Exception as error:  # torch raises many kinds for a truncated file
                print(f"{path}: cannot be read ({type(error).__name__}), trying the one before")
        if paths:
            raise InputError(f"{self.states}: none of its {len(paths)} states can be read")
        return None

    def save_model(self, name: str, model: Model, provenance: dict[str, Any]) -> None:
        """Write the model as <name>.safetensors."""
        save_model(self.path / f"{name}.safetensors", model, provenance)

    def _write(self, path: Path, write: Callable[[Path], Any]) -> None:
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        try:
            write(temporary)
            os.replace(temporary, path)
        except (OSError, RuntimeError) as error:  # torch reports a full disk as a RuntimeError
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise OutputError(f"{path}: cannot be written: {error}") from error
