"""The configuration of a training run: a YAML file, then key=value from the command line, checked against dataclasses."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

from sfm_odometry.config import build_dataclass
from sfm_odometry.errors import InputError
from sfm_odometry.networks.model import ModelConfig
from training.augment import AugmentConfig
from training.objective import ObjectiveConfig


@dataclass(frozen=True)
class TrainConfig:
    """Everything that decides a run, but for the data's place; the defaults are SfMLearner's."""

    model: ModelConfig = field(default_factory=ModelConfig)
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    init_from: str | None = None
    """A model file whose weights the run starts from."""
    steps: int = 200_000
    batch_size: int = 4
    learning_rate: float = 2e-4
    schedule: Literal["constant", "cosine"] = "constant"
    adam_betas: tuple[float, float] = (0.9, 0.999)
    precision: Literal["float32", "bfloat16"] = "float32"
    """Of the networks' layers; geometry is always float32."""
    data_weights: tuple[float, ...] = ()
    """How often each data set is drawn; by its number of snippets where empty."""
    validation_scenes: tuple[str, ...] = ()
    """Patterns of scene names that are kept for validation."""
    seed: int = 0
    device: str = "auto"
    log_every: int = 20
    checkpoint_every: int = 500
    keep_checkpoints: int = 2

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "log_every", "checkpoint_every", "keep_checkpoints"):
            if getattr(self, name) < 1:
                raise InputError(f"setting '{name}' must be at least 1, got {getattr(self, name)}")
        if self.learning_rate <= 0:
            raise InputError(f"setting 'learning_rate' must be positive, got {self.learning_rate}")
        if self.objective.needs_masks and not self.model.pose.masks:
            raise InputError("settings 'objective.explainability' and 'objective.mask_supervision' need 'model.pose.masks: true'")


def load_config(path: Path, overrides: Sequence[str] = ()) -> TrainConfig:
    """The configuration of a YAML file with overrides such as `objective.smoothness=0.1`; InputError names file, key and value."""
    try:
        values = yaml.safe_load(path.read_text()) or {}
    except OSError as error:
        raise InputError(f"{path}: configuration cannot be read: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise InputError(f"{path}: not YAML: {' '.join(str(error).split())}") from error
    for override in overrides:
        _apply(values, override)
    try:
        return build_dataclass(TrainConfig, values)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _apply(values: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise InputError(f"'{override}' not understood, expected key=value, as objective.smoothness=0.1")
    *sections, last = key.split(".")
    for section in sections:
        values = values.setdefault(section, {})
        if not isinstance(values, dict):
            raise InputError(f"'{override}': '{section}' is not a group of settings")
    values[last] = _parse_value(text)


def _parse_value(text: str) -> Any:
    value = yaml.safe_load(text)
    if isinstance(value, str):  # YAML 1.1 reads 1e-4 as text
        try:
            return float(value)
        except ValueError:
            return value
    return value
