"""Configuration of a training run: a YAML recipe, then key=value from the command line."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

from sfm_odometry.config import build_dataclass
from sfm_odometry.errors import InputError
from sfm_odometry.networks.model import ModelConfig
from sfm_odometry.networks.pose_net import PoseNetConfig
from training.data.augment import AugmentConfig
from training.objective.objective_config import ObjectiveConfig

AT_LEAST_ONE = (
    "steps",
    "batch_size",
    "validation_snippets",
    "log_every",
    "checkpoint_every",
    "keep_checkpoints",
)
MIN_SIDE = 32
"""Smallest width or height, in pixels, of images that the networks learn from."""
NOT_NEGATIVE = ("pictures_every", "gradient_clip", "prefetch", "intrinsics_rate", "warmup_steps")


@dataclass(frozen=True)
class TrainConfig:
    """Settings of a training run, but for the folders of its data; defaults are SfMLearner's."""

    model: ModelConfig = field(default_factory=ModelConfig)
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    init_from: str | None = None
    """Model file whose weights the run starts from; its images may have another size."""
    inverse_depth_start: float = 0.0
    """Inverse depth that a fresh depth network predicts; 0: the middle of its range.

    See docs/theory.md, "Initial inverse depth".
    """
    learn_intrinsics: bool = False
    """Whether to learn the cameras' intrinsics too, for video of uncalibrated cameras."""
    intrinsics_rate: float = 1.0
    """Learning rate of the intrinsics, as a multiple of the networks'."""
    steps: int = 200_000
    batch_size: int = 4
    """Snippets in a step of each process."""
    learning_rate: float = 2e-4
    schedule: Literal["constant", "cosine"] = "constant"
    warmup_steps: int = 0
    """Steps over which the learning rate grows linearly from 0, for large batches and rates."""
    adam_betas: tuple[float, float] = (0.9, 0.999)
    gradient_clip: float = 0.0
    """Maximum norm of the gradient; 0: no limit."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Precision of the networks' layers; geometry is always float32.

    auto: bfloat16 where it is measured to be faster on the device.
    """
    compile: bool = False
    """Whether torch.compile fuses the networks' layers, on a GPU the objective too.

    Takes a minute or more at the start; steps are faster.
    """
    cuda_graph: Literal["auto", True, False] = "auto"
    """Whether to capture a step as a CUDA graph and replay it.

    auto: on a GPU, in a single process, unless intrinsics are learned.
    """
    data_on_device: Literal["auto", True, False] = "auto"
    """Whether all frames are kept in the device's memory, where batches are drawn.

    auto: on a GPU, if they take at most half of its free memory.
    """
    data_weights: tuple[float, ...] = ()
    """Sampling weight of each data set; empty: proportional to its number of snippets."""
    validation_scenes: tuple[str, ...] = ()
    """Patterns of the names of the scenes that are held out for validation."""
    validation_fraction: float = 0.0
    """Share of the drives held out for validation where `validation_scenes` is empty."""
    validation_snippets: int = 1000
    """Maximum number of snippets in a validation, spread evenly over the held-out scenes."""
    prefetch: int = 2
    """Batches that are drawn ahead on background threads."""
    seed: int = 0
    device: str = "auto"
    log_every: int = 20
    tensorboard: bool = False
    """Whether the log is written for TensorBoard too."""
    pictures_every: int = 1000
    """Steps between pictures of depth, masks and synthesised views; 0: no pictures."""
    checkpoint_every: int = 500
    keep_checkpoints: int = 2

    def __post_init__(self) -> None:
        for name in AT_LEAST_ONE:
            _check(name, getattr(self, name), getattr(self, name) >= 1, "at least 1")
        for name in NOT_NEGATIVE:
            _check(name, getattr(self, name), getattr(self, name) >= 0, "0 or more")
        for name in ("width", "height"):
            side = getattr(self.model, name)
            _check(f"model.{name}", side, side >= MIN_SIDE, f"at least {MIN_SIDE}")
        _check("learning_rate", self.learning_rate, self.learning_rate > 0, "positive")
        fraction = self.validation_fraction
        _check("validation_fraction", fraction, 0 <= fraction < 1, "0 or more and less than 1")
        if self.objective.needs_masks and not self.model.pose.masks:
            raise InputError(
                "settings 'objective.explainability' and 'objective.mask_supervision' "
                "need 'model.pose.masks: true'"
            )
        if self.objective.needs_masks:
            self._check_mask_scales()

    def _check_mask_scales(self) -> None:
        """Raises InputError unless masks have the sizes of the depths that they weigh."""
        pose, depth = self.model.pose, self.model.depth
        halvings = (
            len(pose.encoder_widths)
            if isinstance(pose, PoseNetConfig)
            else len(pose.feature_widths) + 1
        )
        mask = 2 ** max(halvings - len(pose.mask_widths), 0)
        finest = 2 ** max(len(depth.encoder_widths) - len(depth.decoder_widths), 0)
        if mask != finest:
            raise InputError(
                f"setting 'model.pose.mask_widths': masks begin at 1/{mask} of the image, but "
                f"depth at 1/{finest}; expected as many mask_widths as lead to the same"
            )


def _check(name: str, value: float, right: bool, expected: str) -> None:
    if not right:
        raise InputError(f"setting '{name}' must be {expected}, got {value}")


def load_config(path: Path, overrides: Sequence[str] = ()) -> TrainConfig:
    """Load a YAML recipe, then apply overrides such as `objective.smoothness=0.1`.

    A recipe may name another one, found beside it, as its `base`: its own settings are merged into
    those of the base, group by group. Raises InputError, which names the file, key and value.
    """
    values = _read_recipe(path)
    for override in overrides:
        _apply(values, override)
    try:
        return build_dataclass(TrainConfig, values)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def split_settings(words: Sequence[Path]) -> tuple[list[Path], list[str]]:
    """Splits the words behind --data into folders and settings, such as steps=1.

    A setting is key=value where there is no folder of that name. Raises InputError without folders.
    """
    settings = [
        str(word)
        for word in words
        if re.fullmatch(r"[A-Za-z_][\w.]*=.*", str(word)) and not word.exists()
    ]
    folders = [word for word in words if str(word) not in settings]
    if not folders:
        raise InputError(f"--data {' '.join(settings)}: no folder, expected prepared data")
    return folders, settings


def _read_recipe(path: Path, derived: tuple[Path, ...] = ()) -> dict[str, Any]:
    """Read the settings of a recipe and of its bases; `derived`: the recipes based on it."""
    values = _read_yaml(path)
    base = values.pop("base", None)
    if base is None:
        return values
    if not isinstance(base, str):
        raise InputError(f"{path}: 'base' must be the name of a recipe beside it, got {base!r}")
    base_path = path.parent / base
    chain = (*derived, path.resolve())
    if base_path.resolve() in chain:
        raise InputError(f"{path}: 'base: {base}' is based on this recipe itself")
    return _merged(_read_recipe(base_path, chain), values)


def _merged(base: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """Merge nested settings: groups key by key; any other value replaces that of the base."""
    result = dict(base)
    for key, value in own.items():
        both_groups = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = _merged(result[key], value) if both_groups else value
    return result


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(path.read_text()) or {}
    except OSError as error:
        raise InputError(f"{path}: configuration cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(values, dict):
        found = type(values).__name__
        raise InputError(f"{path}: expected settings such as 'steps: 20000', found {found}")
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
