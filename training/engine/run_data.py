"""The data of a run: what it learns from, what it is validated with, what its pictures show."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sfm_odometry.errors import InputError
from training.config import TrainConfig
from training.data.batch import Batch
from training.data.sampler import Camera, Scene, SnippetSampler, cameras_of, open_data, split_scenes

EXAMPLES = 3


@dataclass(frozen=True)
class RunData:
    """Opened, and seen to fit the configuration."""

    training: SnippetSampler
    validation: Iterable[Batch]
    """Empty where no scene is held out."""
    examples: Batch
    """A few snippets for pictures: validation's, or else training's."""
    cameras: list[Camera]
    """All that `Batch.camera` may mean."""


def open_run_data(folders: Sequence[Path], config: TrainConfig, processes: int) -> RunData:
    """The prepared data sets of a run in so many processes; raises InputError naming what does
    not fit."""
    groups = [open_data(folder) for folder in folders]
    scenes = [scene for group in groups for scene in group]
    _check_fit(scenes, config)
    train, held_out = split_scenes(scenes, config.validation_scenes, config.validation_fraction)
    cameras = cameras_of(scenes)
    kept = [[scene for scene in group if scene in train] for group in groups]
    supervised = bool(config.objective.depth_supervision or config.objective.mask_supervision)
    training = _sampler(
        kept, config, config.batch_size * processes, config.data_weights, supervised, cameras
    )
    if not held_out:
        print(
            f"no validation: no scene matches validation_scenes {list(config.validation_scenes)}, and validation_fraction is 0"
        )
        return RunData(training, (), _examples(training), cameras)
    validation = _sampler([held_out], config, config.batch_size, (), True, cameras)
    return RunData(
        training,
        validation.in_order(config.batch_size, config.validation_snippets),
        _examples(validation),
        cameras,
    )


def _examples(sampler: SnippetSampler) -> Batch:
    return next(iter(sampler.in_order(EXAMPLES, at_most=EXAMPLES)))


def _check_fit(scenes: list[Scene], config: TrainConfig) -> None:
    """The model's input is made at run time as its training data was; a size that differs is
    refused, another way of resizing is said."""
    model = config.model
    for scene in scenes:
        height, width = scene.frames.shape[1:3]
        if (width, height) != (model.width, model.height):
            raise InputError(
                f"scene {scene.name} is {width}x{height}, but the model's input is {model.width}x{model.height}"
            )
    others = sorted({scene.resize_mode for scene in scenes} - {model.resize_mode})
    if others:
        print(
            f"note: some data was prepared with --resize-mode {', '.join(others)}, but the model's resize_mode is {model.resize_mode}"
        )


def _sampler(
    groups: list[list[Scene]],
    config: TrainConfig,
    batch_size: int,
    weights: tuple[float, ...],
    with_truth: bool,
    cameras: list[Camera],
) -> SnippetSampler:
    model = config.model
    return SnippetSampler(
        groups,
        model.pose.frames,
        model.image_channels,
        batch_size,
        config.seed,
        weights,
        with_truth,
        cameras,
    )
