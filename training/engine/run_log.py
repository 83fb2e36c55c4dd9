"""What a run says of itself: log.jsonl, TensorBoard where it is wanted, and a line on the
terminal."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from sfm_odometry.errors import InputError, OutputError
from training.engine.run_folder import RunFolder

NAME = "log.jsonl"


class Board:
    """Where TensorBoard is not wanted."""

    def scalars(self, step: int, values: dict[str, float]) -> None:
        """Values of a step by name."""

    def picture(self, step: int, picture: np.ndarray) -> None:
        """A picture (H, W, 3) uint8 RGB."""


class TensorBoard(Board):
    """Event files that TensorBoard reads."""

    def __init__(self, folder: Path, step: int) -> None:
        """What an interrupted run had written beyond `step` is no longer shown. InputError where
        the package is missing."""
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise InputError(
                "setting 'tensorboard' needs a package that is not installed: pip install tensorboard"
            ) from error
        self._writer = SummaryWriter(str(folder), purge_step=step + 1)

    def scalars(self, step: int, values: dict[str, float]) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def picture(self, step: int, picture: np.ndarray) -> None:
        self._writer.add_image("pictures", picture, step, dataformats="HWC")


class RunLog:
    """Lines of log.jsonl: {"step", "loss", "terms": {}, "learning_rate", "samples_per_s",
    "data_wait"} and {"step", "validation": {}}."""

    def __init__(self, folder: RunFolder, board: Board, step: int) -> None:
        """A log that goes on after `step`: what an interrupted run had written beyond it will be
        written again."""
        self._path, self.board = folder.path / NAME, board
        kept = (
            [entry for entry in read_log(folder.path) if entry["step"] <= step]
            if self._path.exists()
            else []
        )
        folder.write(NAME, "".join(json.dumps(entry) + "\n" for entry in kept).encode())

    def training(self, step: int, terms: dict[str, float], figures: dict[str, float]) -> None:
        """The mean terms since the line before, and figures such as the learning rate."""
        loss = sum(terms.values())
        self._append({"step": step, "loss": loss, "terms": terms, **figures})
        self.board.scalars(
            step,
            {"loss": loss, **{f"terms/{name}": value for name, value in terms.items()}, **figures},
        )

    def validation(self, step: int, scores: dict[str, float]) -> None:
        """Scores of the validation snippets."""
        self._append({"step": step, "validation": scores})
        self.board.scalars(step, {f"validation/{name}": value for name, value in scores.items()})

    def _append(self, entry: dict[str, Any]) -> None:
        try:
            with self._path.open("a") as file:
                file.write(json.dumps(entry) + "\n")
        except OSError as error:
            raise OutputError(f"{self._path}: cannot be written: {error.strerror}") from error


def read_log(run: Path) -> list[dict[str, Any]]:
    """The entries of a run's log; InputError names the file and the line. A last line that a
    killed process left torn is left out."""
    path = run / NAME
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path}: cannot be read ({error}), expected the log of a training run"
        ) from error
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
    entry = json.loads(line)
    if not isinstance(entry, dict) or not isinstance(entry.get("step"), int):
        raise ValueError("no 'step'")
    return entry
