"""Data of a run: for training, for validation, and for pictures."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sfm_odometry.errors import InputError
from training.config import TrainConfig
from training.data.batch import Batch
from training.data.sampler import Camera, Scene, SnippetSampler, cameras_of, open_data, split_scenes

MAX_NAMES = 8
"""Number of scenes that a message lists."""
EXAMPLES = 3
"""Number of snippets in a picture."""


@dataclass(frozen=True)
class RunData:
    """Opened data that fits the configuration."""

    training: SnippetSampler
    """Sampler of the training batches."""
    validation: Iterable[Batch]
    """Batches of the held-out scenes; empty where no scene is held out."""
    examples: Batch
    """Snippets for pictures: of the held-out scenes if possible, else of the training scenes."""
    cameras: list[Camera]
    """Cameras of the run, which `Batch.camera` indexes."""


def open_run_data(folders: Sequence[Path], config: TrainConfig, processes: int) -> RunData:
    """Opens the prepared data sets of a run with this number of processes.

    Raises InputError with the scene or setting that does not fit.
    """
    # Open the scenes and split them into training and validation.
    groups = [open_data(folder) for folder in folders]
    scenes = [scene for group in groups for scene in group]
    _check_fit(scenes, config)
    train, held_out = split_scenes(scenes, config.validation_scenes, config.validation_fraction)
    cameras = cameras_of(scenes)
    # Draw training batches from the training scenes of each data set.
    training = SnippetSampler(
        [[scene for scene in group if scene in train] for group in groups],
        length=config.model.pose.frames,
        channels=config.model.image_channels,
        batch_size=config.batch_size * processes,
        seed=config.seed,
        weights=config.data_weights,
        with_truth=bool(config.objective.depth_supervision or config.objective.mask_supervision),
        cameras=cameras,
    )
    if not held_out:
        print(f"no validation: {_why_no_validation(scenes, config)}")
        return RunData(training, (), _examples(training), cameras)
    # Go through the validation scenes in order.
    sampler = SnippetSampler(
        [held_out],
        length=config.model.pose.frames,
        channels=config.model.image_channels,
        batch_size=config.batch_size,
        seed=config.seed,
        with_truth=True,
        cameras=cameras,
    )
    validation = sampler.sequential_batches(config.batch_size, config.validation_snippets)
    return RunData(training, validation, _examples(sampler), cameras)


def _why_no_validation(scenes: list[Scene], config: TrainConfig) -> str:
    """Returns why no scene is held out, in words."""
    if config.validation_scenes:
        names = ", ".join(sorted({scene.name for scene in scenes})[:MAX_NAMES])
        return (
            f"no scene matches validation_scenes {list(config.validation_scenes)}, "
            f"the scenes are {names}"
        )
    if config.validation_fraction > 0:
        return "there is one drive only, and it is learned from"
    return "validation_scenes is empty, and validation_fraction is 0"


def _examples(sampler: SnippetSampler) -> Batch:
    """Returns a few snippets, spread evenly over the sampler's."""
    return next(iter(sampler.sequential_batches(EXAMPLES, max_snippets=EXAMPLES)))


def _check_fit(scenes: list[Scene], config: TrainConfig) -> None:
    """Checks the size and resizing of the scenes' images against the model's.

    At run time the model's input is resized like its training data. Raises InputError for another
    size; prints a note for another resize mode.
    """
    model = config.model
    for scene in scenes:
        height, width = scene.frames.shape[1:3]
        if (width, height) != (model.width, model.height):
            raise InputError(
                f"scene {scene.name} is {width}x{height}, "
                f"but the model's input is {model.width}x{model.height}; expected settings "
                f"model.width={width} model.height={height}, or data prepared with "
                f"--size {model.width}x{model.height}"
            )
    expected = {model.resize_mode, model.uncropped_mode}
    others = sorted({scene.resize_mode for scene in scenes} - expected)
    if others:
        print(
            f"note: some data was prepared with --resize-mode {', '.join(others)}, "
            f"but the model's resize_mode is {model.resize_mode}"
        )
