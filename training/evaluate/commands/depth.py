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


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "depth", help="AbsRel, SqRel, RMSE, RMSE log and accuracies of depth maps"
    )
    gt = "folder of true depth: .npy in metres or 16-bit .png, metres * 256"
    parser.add_argument("--gt", type=Path, required=True, help=gt)
    pred = "folder of predicted depth with the same names, any scale and size"
    parser.add_argument("--pred", type=Path, required=True, help=pred)
    add_crop(parser)
    add_quantity(parser)
    add_coverage(parser)
    add_json(parser)
    parser.set_defaults(command=command)


def command(arguments: argparse.Namespace) -> None:
    """Evaluate a folder of predictions against a folder of true depth."""
    scores, notes = evaluate_depth(
        pairs_by_stem(arguments.gt, arguments.pred),
        cap_m=arguments.cap,
        crop=arguments.crop,
        resize=arguments.resize,
        pred_is=arguments.pred_is,
        coverage=coverage_of(arguments),
    )
    print_notes(notes)
    print_scores(scores, arguments.json)
