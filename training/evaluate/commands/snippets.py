"""`snippets`: 5-frame ATE of a prediction or of mean odometry, every snippet scaled by itself."""

import argparse
from pathlib import Path

from training.evaluate.commands.shared import print_scores
from training.evaluate.commands.trajectories import (
    POSES,
    add_pose_arguments,
    read_gt,
    read_pairs,
    read_trajectory,
)
from training.evaluate.snippets import evaluate_mean_odometry, evaluate_snippets


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser("snippets", help="5-frame ATE, every snippet scaled by itself")
    prediction = parser.add_mutually_exclusive_group(required=True)
    prediction.add_argument("--pred", type=Path, help=f"predicted poses: {POSES}")
    prediction.add_argument(
        "--mean-odometry-of",
        type=Path,
        nargs="+",
        metavar="FILE",
        help="score the mean motion of these true poses instead: the baseline",
    )
    add_length(parser)
    add_pose_arguments(parser)
    parser.set_defaults(command=command)


def add_length(parser: argparse.ArgumentParser) -> None:
    """Add --length."""
    parser.add_argument("--length", type=int, default=5, help="frames of a snippet (default: 5)")


def command(arguments: argparse.Namespace) -> None:
    """Evaluate one trajectory, or the baseline."""
    if arguments.mean_odometry_of:
        gt = read_gt(arguments)
        trajectories = [read_trajectory(path).poses for path in arguments.mean_odometry_of]
        scores = evaluate_mean_odometry(gt.poses, trajectories, arguments.length, gt.frame_numbers)
    else:
        pairs = read_pairs(arguments, arguments.pred)
        scores = evaluate_snippets(pairs.gt, pairs.pred, arguments.length, pairs.frames)
    print_scores(scores, arguments.json)
