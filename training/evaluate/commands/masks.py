"""`masks`: explainability masks as detectors of moving objects."""

import argparse
from pathlib import Path

from training.evaluate.commands.shared import (
    add_coverage,
    add_json,
    coverage_of,
    note,
    print_scores,
)
from training.evaluate.files import common_pairs
from training.evaluate.masks import evaluate_masks


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "masks", help="ROC AUC of telling moving from static pixels by explainability masks"
    )
    gt = "folder of true motion masks: 8-bit .png, 255 = moving, 0 = static"
    parser.add_argument("--gt", type=Path, required=True, help=gt)
    pred = (
        "folder of explainability with the same names: .npy in 0..1 or 8-bit .png, "
        "1 or 255 = explained; some may be missing"
    )
    parser.add_argument("--pred", type=Path, required=True, help=pred)
    add_coverage(parser)
    add_json(parser)
    parser.set_defaults(command=command)


def command(arguments: argparse.Namespace) -> None:
    """Evaluate the masks that have ground truth."""
    pairs, missing = common_pairs(arguments.gt, arguments.pred)
    if missing:
        note(
            f"{arguments.pred}: no prediction of {missing} of {len(pairs) + missing} true masks, "
            "left out"
        )
    print_scores(evaluate_masks(pairs, coverage_of(arguments)), arguments.json)
