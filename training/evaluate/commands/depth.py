"""`depth`: AbsRel, SqRel, RMSE, RMSE log and accuracies of a folder of depth maps."""

import argparse
from pathlib import Path

from training.evaluate.commands.shared import (
    add_coverage,
    add_crop,
    add_json,
    add_quantity,
    coverage_of,
    print_notes,
    print_scores,
)
from training.evaluate.depth import evaluate_depth
from training.evaluate.files import pairs_by_stem


def add_to(commands: argparse._SubParsersAction) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "depth", help="AbsRel, SqRel, RMSE, RMSE log and accuracies of depth maps"
    )
    parser.add_argument(
        "--gt",
        type=Path,
        required=True,
        help="folder of true depth: .npy in metres or 16-bit .png, metres * 256",
    )
    parser.add_argument(
        "--pred",
        type=Path,
        required=True,
        help="folder of predicted depth with the same names, any scale and size",
    )
    add_crop(parser)
    add_quantity(parser)
    add_coverage(parser)
    add_json(parser)
    parser.set_defaults(command=command)


def command(arguments: argparse.Namespace) -> None:
    """Score two folders."""
    pairs, coverage = pairs_by_stem(arguments.gt, arguments.pred), coverage_of(arguments)
    scores, notes = evaluate_depth(
        pairs, arguments.cap, arguments.crop, arguments.resize, arguments.pred_is, coverage
    )
    print_notes(notes)
    print_scores(scores, arguments.json)
