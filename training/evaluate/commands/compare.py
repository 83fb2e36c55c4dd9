"""`compare`: several predicted trajectories side by side, in numbers and in one picture."""

import argparse
import math
from collections.abc import Sequence
from pathlib import Path

from sfm_odometry.errors import InputError
from sfm_odometry.io.trajectories import read_poses
from training.evaluate.commands.odometry import add_align
from training.evaluate.commands.shared import as_json_text
from training.evaluate.commands.snippets import add_length
from training.evaluate.commands.trajectories import add_pose_arguments, read_gt, read_pairs
from training.evaluate.comparison import (
    BASELINE,
    Compared,
    as_dictionary,
    compared,
    compared_baseline,
)
from training.evaluate.odometry import relative_to_first

COLUMNS = (
    "t_err_percent",
    "r_err_deg_per_100m",
    "ate_m",
    "rpe_m",
    "rpe_deg",
    "ate_sfmlearner_mean",
    "ate_sfmlearner_std",
)


def add_to(commands: argparse._SubParsersAction) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "compare",
        help="several trajectories in one picture: from above, error against turning, drift",
    )
    parser.add_argument(
        "--pred",
        nargs="+",
        required=True,
        metavar="[NAME=]FILE",
        help="predicted poses: KITTI or TUM",
    )
    mean = "true poses whose mean motion is the baseline (default: gt's own)"
    parser.add_argument("--mean-odometry-of", type=Path, nargs="+", metavar="FILE", help=mean)
    parser.add_argument("--plot", type=Path, metavar="FILE.png", help="draw the picture")
    parser.add_argument("--title", default="", help="of the picture (default: the name of gt)")
    add_align(parser)
    add_length(parser)
    add_pose_arguments(parser)
    parser.set_defaults(command=command)


def command(arguments: argparse.Namespace) -> None:
    """Score all, print, draw."""
    gt = read_gt(arguments)
    files = _named_files(arguments.pred)
    methods = [
        compared(name, read_pairs(arguments, path), arguments.align, arguments.length)
        for name, path in files.items()
    ]
    trajectories = [read_poses(path).poses for path in arguments.mean_odometry_of or ()] or [
        gt.poses
    ]
    methods.append(compared_baseline(gt.poses, trajectories, arguments.length, gt.frame_numbers))
    if arguments.plot is not None:
        from training.evaluate.comparison_picture import (
            draw_comparison,
        )  # matplotlib takes a second to import

        title = arguments.title or f"{arguments.gt.stem}: {len(gt.poses)} frames"
        draw_comparison(arguments.plot, title, relative_to_first(gt.poses)[:, :3, 3], methods)
    print(as_json_text(as_dictionary(methods)) if arguments.json else _table(methods))


def _named_files(words: Sequence[str]) -> dict[str, Path]:
    files: dict[str, Path] = {}
    for word in words:
        name, equals, file = word.partition("=")
        path = Path(file if equals and not Path(word).exists() else word)
        name = name if equals and not Path(word).exists() else path.stem
        if name in files or name == BASELINE:
            raise InputError(
                f"{path}: another result is called {name!r}, expected names of their own: NAME=FILE"
            )
        files[name] = path
    return files


def _table(methods: Sequence[Compared]) -> str:
    width = max(len(method.name) for method in methods)
    lines = [" " * width + "".join(f"  {column:>19}" for column in COLUMNS)]
    for method in methods:
        numbers = [method.scores.get(column, math.nan) for column in COLUMNS]
        lines.append(
            f"{method.name:{width}}"
            + "".join("  " + ("-" if math.isnan(n) else f"{n:.4f}").rjust(19) for n in numbers)
        )
    return "\n".join(lines)
