"""Runs the odometry over the frames of prepared data and stores what it finds as lessons.

python -m training.teach --data data/mine

Each scene gets a file lesson.npz: motions with their covariance, and sparse depths with their
sigma. `training.train` takes them where the settings objective.given_motion,
objective.point_supervision or objective.taught_motion ask for them.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from sfm_odometry.cli import run_cli
from sfm_odometry.errors import InputError
from sfm_odometry.geometry.camera import Intrinsics
from sfm_odometry.inference.checkpoint import DEFAULT_MODEL
from sfm_odometry.inference.estimator import Estimator
from sfm_odometry.io.stamps import NOMINAL_RATE_HZ
from training.data.collate import visible_window
from training.data.lesson import FILE, Lesson
from training.data.scenes import Scene, open_data
from training.prepare.writer import disk_errors
from training.teach.teacher import Teacher


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code."""
    arguments = _parser().parse_args(argv)
    return run_cli(lambda: command(arguments))


def command(arguments: argparse.Namespace) -> None:
    """Teaches all scenes of all folders; raises InputError."""
    estimator = Estimator.from_file(arguments.model)
    for folder in arguments.data:
        for scene in open_data(folder):
            path = folder / scene.name / FILE
            if path.exists() and not arguments.overwrite:
                print(f"{path}: is there already; --overwrite makes it anew", flush=True)
                continue
            lesson = teach_scene(scene, estimator)
            with disk_errors(path):
                lesson.save(path.parent)
            print(f"{path}: {describe(lesson)}", flush=True)


def teach_scene(scene: Scene, estimator: Estimator) -> Lesson:
    """Teach the frames of a scene; raises InputError where the model's input has another size."""
    height, width = scene.frames.shape[1:3]
    if estimator.input_size != (width, height):
        raise InputError(
            f"scene {scene.name} is {width}x{height}, but the model's input is "
            f"{estimator.input_size[0]}x{estimator.input_size[1]}; expected data prepared with "
            f"--size {estimator.input_size[0]}x{estimator.input_size[1]}"
        )
    camera = Intrinsics.from_matrix(scene.intrinsics, width, height)
    left, top, right, bottom = visible_window(scene).astype(int)
    seen = np.zeros((height, width), bool)
    seen[top : bottom + 1, left : right + 1] = True
    teacher = Teacher(estimator, camera, "crop", seen)
    numbers = scene.frame_numbers
    for index, frame in enumerate(tqdm(scene.frames, desc=scene.name, unit="frame", disable=None)):
        if index and numbers[index] != numbers[index - 1] + 1:
            teacher.cut()
        stamp_ns = round(int(numbers[index]) / NOMINAL_RATE_HZ * 1e9)
        teacher.add(np.array(frame), stamp_ns)
    return teacher.lesson()


def describe(lesson: Lesson) -> str:
    """Summary of a lesson, in words."""
    posed = int((lesson.segment >= 0).sum())
    stretches = len(set(lesson.segment.tolist()) - {-1})
    per_frame = len(lesson.pixels) / max(posed, 1)
    return (
        f"{posed} of {len(lesson.segment)} frames with a pose, in {stretches} stretches; "
        f"{per_frame:.0f} depths a frame"
    )


def _parser() -> argparse.ArgumentParser:
    """Creates the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m training.teach",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--data", type=Path, nargs="+", required=True, help="folders written by training.prepare"
    )
    parser.add_argument(
        "--model",
        type=Path,
        default=DEFAULT_MODEL,
        help="the model of the odometry; default: the packaged one",
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="make lessons anew that are there already"
    )
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
