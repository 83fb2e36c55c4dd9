"""Train: `python -m training.train --config config/training/default.yaml --data D [D ...] --out RUN [--resume] [key=value ...]`."""

import argparse
import signal
from collections.abc import Sequence
from pathlib import Path

from sfm_odometry.cli import run_cli
from sfm_odometry.errors import InputError
from training.config import TrainConfig, load_config
from training.data import Scene, SnippetSampler, open_data, split_scenes
from training.run_folder import RunFolder
from training.trainer import Trainer


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    arguments = _parser().parse_args(argv)
    return run_cli(lambda: command(arguments))


def command(arguments: argparse.Namespace) -> None:
    """Open everything that can be wrong first, then train."""
    config = load_config(arguments.config, arguments.overrides)
    training, validation = _open_data(arguments.data, config)
    folder = RunFolder(arguments.out, config, arguments.resume)
    trainer = Trainer(config, training, validation.in_order(config.batch_size) if validation else [], folder)
    if arguments.resume:
        trainer.resume()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    trainer.run()
    print(f"{arguments.out}: done; the model is {arguments.out / 'latest.safetensors'}")


def _open_data(folders: Sequence[Path], config: TrainConfig) -> tuple[SnippetSampler, SnippetSampler | None]:
    """Samplers of the training scenes, grouped by data set, and of the validation scenes."""
    groups = [open_data(folder) for folder in folders]
    _check_fit([scene for scenes in groups for scene in scenes], config)
    splits = [split_scenes(scenes, config.validation_scenes) for scenes in groups]
    training = _sampler([train for train, _ in splits], config, config.data_weights)
    held_out = [scene for _, validation in splits for scene in validation]
    if not held_out:
        print(f"no validation: no scene matches validation_scenes {list(config.validation_scenes)}")
        return training, None
    return training, _sampler([held_out], config)


def _check_fit(scenes: list[Scene], config: TrainConfig) -> None:
    """The model's input is made at run time as its training data was; a size that differs is refused, another way of resizing is said."""
    model = config.model
    for scene in scenes:
        height, width = scene.frames.shape[1:3]
        if (width, height) != (model.width, model.height):
            raise InputError(f"scene {scene.name} is {width}x{height}, but the model's input is {model.width}x{model.height}")
    others = sorted({scene.resize_mode for scene in scenes} - {model.resize_mode})
    if others:
        print(f"note: some data was prepared with --resize-mode {', '.join(others)}, but the model's resize_mode is {model.resize_mode}")


def _sampler(groups: list[list[Scene]], config: TrainConfig, weights: tuple[float, ...] = ()) -> SnippetSampler:
    return SnippetSampler(groups, config.model.pose.frames, config.model.image_channels, config.batch_size, config.seed, weights)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training.train", description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="a recipe, as config/training/default.yaml")
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="folders written by training.prepare")
    parser.add_argument("--out", type=Path, required=True, help="the run's folder")
    parser.add_argument("--resume", action="store_true", help="go on from the newest state in the run's folder")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="settings that override the recipe's")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
