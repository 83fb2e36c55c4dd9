"""Runs the odometry over unlabelled frames and stores what it finds as lessons.

python -m training.teach --images walk/ --fov 62 --out data/walk
python -m training.teach --data data/mine

With --images, corners are followed in the camera's own images, and the frames are written as a
prepared data set; with --data, in prepared frames, which are small and teach less precisely. Each
scene gets a file lesson.npz: motions with their covariance, and sparse depths with their sigma.
`training.train` takes them where the settings objective.given_motion, objective.point_supervision
or objective.taught_motion ask for them.
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
from training.teach.footage import add_source_arguments, open_footage, read_footage
from training.teach.taught_scenes import write_scenes
from training.teach.teacher import Teacher


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code."""
    arguments = _parser().parse_args(argv)
    return run_cli(lambda: command(arguments))


def command(arguments: argparse.Namespace) -> None:
    """Teaches images, or all scenes of all folders; raises InputError."""
    if (arguments.data is None) == (arguments.images is None):
        raise InputError("expected --images or --data, and not both")
    estimator = Estimator.from_file(arguments.model)
    if arguments.data is None:
        teach_images(arguments, estimator)
        return
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


def teach_images(arguments: argparse.Namespace, estimator: Estimator) -> None:
    """Teaches the images of the command line and writes them as scenes; raises InputError."""
    if arguments.out is None:
        raise InputError("--images: expected --out too, a folder for the prepared data")
    if arguments.every < 1:
        raise InputError(f"--every {arguments.every}: expected 1 or more")
    footage = read_footage(open_footage(arguments), estimator, arguments.max_frames)
    if not (footage.lesson.segment >= 0).any():
        raise InputError(
            f"{arguments.images}: no frame got a pose, expected a camera that moves sideways or "
            "forwards through a static scene with texture"
        )
    name = arguments.name or Path(arguments.images).resolve().stem
    for folder in write_scenes(arguments.out, name, footage, arguments.every):
        print(f"{folder}", flush=True)
    print(f"{arguments.out}: {describe(footage.lesson)}", flush=True)


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
    # Images and how they are written.
    add_source_arguments(parser, required=False)
    parser.add_argument("--out", type=Path, help="with --images: folder for the prepared data")
    parser.add_argument("--name", help="with --images: name of the scene; default: the images'")
    parser.add_argument(
        "--every",
        type=int,
        default=1,
        metavar="N",
        help="with --images: frames of a snippet are N apart, for slow cameras and 30 frames a "
        "second; all frames are written, as N scenes",
    )
    # Prepared data.
    parser.add_argument("--data", type=Path, nargs="+", help="folders written by training.prepare")
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
