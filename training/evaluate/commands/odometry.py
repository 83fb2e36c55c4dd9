"""`odometry`: drift over 100 to 800 m, ATE and RPE of a whole trajectory."""

import argparse
import math
from pathlib import Path

from training.evaluate.alignment import ALIGNMENTS
from training.evaluate.commands.shared import note, print_scores
from training.evaluate.commands.trajectories import POSES, add_pose_arguments, read_pairs
from training.evaluate.odometry import SEGMENT_LENGTHS_M, driven_distances, evaluate_odometry


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "odometry", help="drift over 100 to 800 m, ATE and RPE of a whole trajectory"
    )
    parser.add_argument("--pred", type=Path, required=True, help=f"predicted poses: {POSES}")
    add_align(parser)
    add_pose_arguments(parser)
    parser.set_defaults(command=command)


def add_align(parser: argparse.ArgumentParser) -> None:
    """Add --align."""
    parser.add_argument(
        "--align",
        choices=ALIGNMENTS,
        default="7dof",
        help="how pred is brought to gt before all scores (default: 7dof)",
    )


def command(arguments: argparse.Namespace) -> None:
    """Evaluate one trajectory."""
    pairs = read_pairs(arguments, arguments.pred)
    scores = evaluate_odometry(pairs.gt, pairs.pred, arguments.align)
    if math.isnan(scores["t_err_percent"]):
        driven_m = driven_distances(pairs.gt)[-1]
        note(
            f"{arguments.gt}: a path of {driven_m:.1f} m holds no segment of "
            f"{SEGMENT_LENGTHS_M[0]} m, so t_err and r_err are not known"
        )
    print_scores(scores, arguments.json)
