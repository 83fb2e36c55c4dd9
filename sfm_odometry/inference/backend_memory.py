"""Choices of `model.backend: auto`, kept in the user's cache directory from one start to the next.

Everything about the file may fail, and none of it is an error: without it, backends are measured.
"""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from sfm_odometry import __version__
from sfm_odometry.backends.processor import processor_identity
from sfm_odometry.io.atomic import atomic_write
from sfm_odometry.networks.model import Model

CACHE_VARIABLE = "SFM_ODOMETRY_CACHE"
"""Environment variable with the folder of the cache; `off`: nothing is kept."""
FILE_NAME = "backends.json"
MAX_CHOICES = 50
"""Choices in the file, of which the oldest is dropped first."""
MAX_FILE_BYTES = 100_000
"""Size above which a file is none of ours."""


@dataclass(frozen=True)
class Situation:
    """Conditions on which the fastest backend depends."""

    processor: str
    threads: int
    model_sha256: str
    input_size: str
    """Of the networks, as 416x128."""
    torch: str
    """Version of torch."""
    sfm_odometry: str
    """Version of this package."""


class BackendMemory:
    """Choice of a backend in one situation, in a JSON file that all situations share."""

    def __init__(self, path: Path, situation: Situation) -> None:
        self.path = path
        self._situation = asdict(situation)

    @property
    def place(self) -> str:
        """Path of the file."""
        return str(self.path)

    def recall(self) -> str:
        """Name of the backend that was chosen before; empty where none is known."""
        for choice in self._read():
            if choice["situation"] == self._situation:
                return str(choice["backend"])
        return ""

    def remember(self, backend: str) -> str:
        """Writes the choice as the newest; returns why it cannot be written, empty if it was."""
        others = [each for each in self._read() if each["situation"] != self._situation]
        newest = {"situation": self._situation, "backend": backend}
        text = json.dumps({"choices": [newest, *others][:MAX_CHOICES]}, indent=1)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(self.path) as temporary:
                temporary.write_text(text, encoding="utf-8")
        except OSError as error:
            return f"{self.path}: {error.strerror or error}"
        return ""

    def _read(self) -> list[dict[str, Any]]:
        """Returns the choices in the file, newest first; none where it is absent or damaged."""
        try:
            if self.path.stat().st_size > MAX_FILE_BYTES:
                return []
            choices = json.loads(self.path.read_text(encoding="utf-8"))["choices"]
            return [choice for choice in choices if {"situation", "backend"} <= choice.keys()]
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return []


def memory_of(model: Model, sha256: str) -> BackendMemory | None:
    """Returns the memory of choices for a model on this machine, with the threads of now.

    sha256: of the model's file. None for a model without a file, and where nothing is to be kept.
    """
    folder = cache_folder()
    if folder is None or not sha256:
        return None
    situation = Situation(
        processor=processor_identity(),
        threads=torch.get_num_threads(),
        model_sha256=sha256,
        input_size=f"{model.config.width}x{model.config.height}",
        torch=torch.__version__,
        sfm_odometry=__version__,
    )
    return BackendMemory(folder / FILE_NAME, situation)


def cache_folder() -> Path | None:
    """Returns the folder of the cache; None where it is switched off, or there is no home.

    It is CACHE_VARIABLE, or `sfm_odometry` in the user's cache directory (XDG_CACHE_HOME, by
    default ~/.cache).
    """
    named = os.environ.get(CACHE_VARIABLE, "")
    if named:
        return None if named == "off" else Path(named)
    user_cache = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if not user_cache.is_absolute():  # also where it is empty: the standard says to ignore it
        try:
            user_cache = Path.home() / ".cache"
        except RuntimeError:
            return None
    return user_cache / "sfm_odometry"
