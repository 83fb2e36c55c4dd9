"""The configuration of a training run: a YAML file, then key=value from the command line,
checked against dataclasses."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

from sfm_odometry.config import build_dataclass
from sfm_odometry.errors import InputError
from sfm_odometry.networks.model import ModelConfig
from training.data.augment import AugmentConfig
from training.objective.objective_config import ObjectiveConfig


@dataclass(frozen=True)
class TrainConfig:
    """Everything that decides a run, but for the data's place; the defaults are SfMLearner's."""

    model: ModelConfig = field(default_factory=ModelConfig)
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    init_from: str | None = None
    """A model file whose weights the run starts from; its images may have another size."""
    inverse_depth_start: float = 0.0
    """Inverse depth that a fresh depth network begins with; 0: the middle of its range. See
    docs/theory.md, "Where to start"."""
    learn_intrinsics: bool = False
    """Learn the cameras' intrinsics too, for video of cameras that nobody calibrated."""
    intrinsics_rate: float = 1.0
    """Learning rate of the intrinsics, as a multiple of the networks'."""
    steps: int = 200_000
    batch_size: int = 4
    """Snippets a step of each process."""
    learning_rate: float = 2e-4
    schedule: Literal["constant", "cosine"] = "constant"
    warmup_steps: int = 0
    """First steps in which the learning rate grows to its size, evenly: large batches with large
    rates diverge without."""
    adam_betas: tuple[float, float] = (0.9, 0.999)
    gradient_clip: float = 0.0
    """Longest gradient that is not shortened; 0: any."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Of the networks' layers; geometry is always float32. auto: bfloat16 where it is measured
    to be faster on the device."""
    compile: bool = False
    """Let torch.compile fuse the networks' layers, on a GPU the objective too: a minute or more
    at the start, faster steps."""
    cuda_graph: Literal["auto", True, False] = "auto"
    """Record a step and replay it as one launch. auto: on a GPU, in one process, unless
    intrinsics are learned."""
    data_on_device: Literal["auto", True, False] = "auto"
    """Keep all frames in the device's memory and draw there. auto: on a GPU, where they take at
    most half of what is free."""
    data_weights: tuple[float, ...] = ()
    """How often each data set is drawn; by its number of snippets where empty."""
    validation_scenes: tuple[str, ...] = ()
    """Patterns of scene names that are kept for validation."""
    validation_fraction: float = 0.0
    """Share of the drives kept for validation where no pattern says which."""
    validation_snippets: int = 1000
    """At most so many of their snippets are looked at, spread evenly."""
    prefetch: int = 2
    """Batches that are drawn ahead in the background."""
    seed: int = 0
    device: str = "auto"
    log_every: int = 20
    tensorboard: bool = False
    """Write the log for TensorBoard too."""
    pictures_every: int = 1000
    """Steps from one picture of what the networks see to the next; 0: none."""
    checkpoint_every: int = 500
    keep_checkpoints: int = 2

    def __post_init__(self) -> None:
        for name in (
            "steps",
            "batch_size",
            "validation_snippets",
            "log_every",
            "checkpoint_every",
            "keep_checkpoints",
        ):
            _check(name, getattr(self, name), getattr(self, name) >= 1, "at least 1")
        for name in (
            "pictures_every",
            "gradient_clip",
            "prefetch",
            "intrinsics_rate",
            "warmup_steps",
        ):
            _check(name, getattr(self, name), getattr(self, name) >= 0, "0 or more")
        _check("learning_rate", self.learning_rate, self.learning_rate > 0, "positive")
        _check(
            "validation_fraction",
            self.validation_fraction,
            0 <= self.validation_fraction < 1,
            "0 or more and less than 1",
        )
        if self.objective.needs_masks and not self.model.pose.masks:
            raise InputError(
                "settings 'objective.explainability' and 'objective.mask_supervision' need 'model.pose.masks: true'"
            )


def _check(name: str, value: float, right: bool, expected: str) -> None:
    if not right:
        raise InputError(f"setting '{name}' must be {expected}, got {value}")


def load_config(path: Path, overrides: Sequence[str] = ()) -> TrainConfig:
    """The configuration of a YAML file with overrides such as `objective.smoothness=0.1`;
    InputError names file, key and value."""
    values = _read(path)
    for override in overrides:
        _apply(values, override)
    try:
        return build_dataclass(TrainConfig, values)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _read(path: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(path.read_text()) or {}
    except OSError as error:
        raise InputError(f"{path}: configuration cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(values, dict):
        raise InputError(
            f"{path}: expected settings such as 'steps: 20000', found {type(values).__name__}"
        )
    return values


def _apply(values: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise InputError(
            f"'{override}' not understood, expected key=value, as objective.smoothness=0.1"
        )
    *sections, last = key.split(".")
    for section in sections:
        values = values.setdefault(section, {})
        if not isinstance(values, dict):
            raise InputError(f"'{override}': '{section}' is not a group of settings")
    try:
        values[last] = _parse_value(text)
    except yaml.YAMLError as error:
        raise InputError(
            f"'{override}': the value is not YAML: {' '.join(str(error).split())}"
        ) from error


def _parse_value(text: str) -> Any:
    value = yaml.safe_load(text)
    if isinstance(value, str):  # YAML 1.1 reads 1e-4 as text
        try:
            return float(value)
        except ValueError:
            return value
    return value
