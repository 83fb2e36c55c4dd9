"""Log of a run: log.jsonl, and TensorBoard if configured."""

import json
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import numpy as np

from sfm_odometry.errors import InputError, OutputError
from training.engine.run_folder import RunFolder

NAME = "log.jsonl"


class Board(ABC):
    """Interface of boards, which display values and pictures over the steps."""

    @abstractmethod
    def scalars(self, step: int, values: dict[str, float]) -> None:
        """Writes the values of a step by name."""

    @abstractmethod
    def picture(self, step: int, picture: np.ndarray) -> None:
        """Writes a picture (H, W, 3), uint8 RGB."""


class NullBoard(Board):
    """Board that writes nothing, for runs without TensorBoard."""

    def scalars(self, step: int, values: dict[str, float]) -> None:
        """Does nothing."""

    def picture(self, step: int, picture: np.ndarray) -> None:
        """Does nothing."""


class TensorBoard(Board):
    """Writer of TensorBoard's event files."""

    def __init__(self, folder: Path, step: int) -> None:
        """folder: for the event files. step: events of an interrupted run beyond it are hidden.

        Raises InputError where the package is missing.
        """
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise InputError(
                "setting 'tensorboard' needs a package that is not installed: "
                "pip install tensorboard"
            ) from error
        self._writer = SummaryWriter(str(folder), purge_step=step + 1)

    def scalars(self, step: int, values: dict[str, float]) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def picture(self, step: int, picture: np.ndarray) -> None:
        self._writer.add_image("pictures", picture, step, dataformats="HWC")


class RunLog:
    """Writer of log.jsonl, one JSON object per line.

    {"step", "loss", "terms": {}, "learning_rate", "samples_per_s", "data_wait"} or
    {"step", "validation": {}}.
    """

    def __init__(self, folder: RunFolder, board: Board, step: int) -> None:
        """step: last step of the resumed state; later entries of an interrupted run are deleted.

        board: display that receives the same values.
        """
        self._path = folder.path / NAME
        self.board = board
        previous = read_log(folder.path) if self._path.exists() else []
        lines = [json.dumps(entry) + "\n" for entry in previous if entry["step"] <= step]
        folder.write(NAME, "".join(lines).encode())

    def training(self, step: int, terms: dict[str, float], metrics: dict[str, float]) -> None:
        """Writes the mean terms since the last line, and metrics such as the learning rate."""
        loss = sum(terms.values())
        self._append({"step": step, "loss": loss, "terms": terms, **metrics})
        self.board.scalars(
            step,
            {"loss": loss, **{f"terms/{name}": value for name, value in terms.items()}, **metrics},
        )

    def validation(self, step: int, scores: dict[str, float]) -> None:
        """Writes the scores of the validation snippets."""
        self._append({"step": step, "validation": scores})
        self.board.scalars(step, {f"validation/{name}": value for name, value in scores.items()})

    def _append(self, entry: dict[str, Any]) -> None:
        """Appends one line; raises OutputError."""
        try:
            with self._path.open("a") as file:
                file.write(json.dumps(entry) + "\n")
        except OSError as error:
            raise OutputError(f"{self._path}: cannot be written: {error.strerror}") from error


def read_log(run: Path) -> list[dict[str, Any]]:
    """Reads the entries of a run's log, without an incomplete last line of a killed process.

    Raises InputError with the path and the line.
    """
    # Read the lines.
    path = run / NAME
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path}: cannot be read ({error}), expected the log of a training run"
        ) from error
    # Parse them; only the last one may be incomplete.
    entries = []
    for number, line in enumerate(lines, start=1):
        try:
            entries.append(_entry(line))
        except ValueError as error:
            if number < len(lines):
                raise InputError(
                    f"{path}, line {number}: {error}, expected what a training run writes"
                ) from error
    return entries


def _entry(line: str) -> dict[str, Any]:
    """Parses one line; raises ValueError."""
    entry = json.loads(line)
    if not isinstance(entry, dict) or not isinstance(entry.get("step"), int):
        raise ValueError("no 'step'")
    return entry
