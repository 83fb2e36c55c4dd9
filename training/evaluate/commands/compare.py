"""`compare`: several predicted trajectories of one drive, as a table, JSON and a figure."""

import argparse
import math
from collections.abc import Sequence
from pathlib import Path

from sfm_odometry.errors import InputError
from training.evaluate.commands.odometry import add_align
from training.evaluate.commands.shared import as_json_text
from training.evaluate.commands.snippets import add_length
from training.evaluate.commands.trajectories import (
    POSES,
    add_pose_arguments,
    read_pairs,
    read_trajectory,
    select_gt,
)
from training.evaluate.comparison import (
    BASELINE,
    MethodResult,
    as_dictionary,
    evaluate_baseline,
    evaluate_method,
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
COLUMN_WIDTH = 19


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "compare",
        help="several trajectories in one picture: from above, error against turning, drift",
    )
    parser.add_argument(
        "--pred",
        nargs="+",
        required=True,
        metavar="[NAME=]FILE",
        help=f"predicted poses: {POSES}",
    )
    mean = "true poses whose mean motion is the baseline (default: gt's own)"
    parser.add_argument("--mean-odometry-of", type=Path, nargs="+", metavar="FILE", help=mean)
    parser.add_argument("--plot", type=Path, metavar="FILE.png", help="draw the picture")
    parser.add_argument("--title", default="", help="of the picture (default: the name of gt)")
    # Options shared with `odometry` and `snippets`.
    add_align(parser)
    add_length(parser)
    add_pose_arguments(parser)
    parser.set_defaults(command=command)


def command(arguments: argparse.Namespace) -> None:
    """Evaluate all predictions and the baseline, then draw and print the results."""
    # Evaluate.
    whole_gt = read_trajectory(arguments.gt)
    gt = select_gt(arguments, whole_gt)
    files = _named_files(arguments.pred)
    methods = [
        evaluate_method(
            name, read_pairs(arguments, path, whole_gt), arguments.align, arguments.length
        )
        for name, path in files.items()
    ]
    trajectories = [read_trajectory(path).poses for path in arguments.mean_odometry_of or ()] or [
        gt.poses
    ]
    methods.append(evaluate_baseline(gt.poses, trajectories, arguments.length, gt.frame_numbers))
    # Draw and print.
    if arguments.plot is not None:
        # Matplotlib takes a second to import.
        from training.evaluate.comparison_picture import draw_comparison

        title = arguments.title or f"{arguments.gt.stem}: {len(gt.poses)} frames"
        draw_comparison(arguments.plot, title, relative_to_first(gt.poses)[:, :3, 3], methods)
    print(as_json_text(as_dictionary(methods)) if arguments.json else _table(methods))


def _named_files(words: Sequence[str]) -> dict[str, Path]:
    """Files by name, from words [NAME=]FILE; InputError where two have the same name."""
    files: dict[str, Path] = {}
    for word in words:
        name, equals, file = word.partition("=")
        # A file may have a = in its own name.
        named = equals and not Path(word).exists()
        path = Path(file if named else word)
        name = name if named else path.stem
        if name in files or name == BASELINE:
            raise InputError(
                f"{path}: another result is called {name!r}, expected names of their own: NAME=FILE"
            )
        files[name] = path
    return files


def _table(methods: Sequence[MethodResult]) -> str:
    """Table with one line for each method."""
    width = max(len(method.name) for method in methods)
    lines = [" " * width + "".join(f"  {column:>{COLUMN_WIDTH}}" for column in COLUMNS)]
    for method in methods:
        scores = [method.scores.get(column, math.nan) for column in COLUMNS]
        cells = ["-" if math.isnan(score) else f"{score:.4f}" for score in scores]
        lines.append(
            f"{method.name:{width}}" + "".join("  " + cell.rjust(COLUMN_WIDTH) for cell in cells)
        )
    return "\n".join(lines)
