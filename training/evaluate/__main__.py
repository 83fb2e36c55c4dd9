"""Command line of the evaluation: `python -m training.evaluate COMMAND ...`.

Prints scores of trajectories, depth maps and masks as a table or as one JSON object.
"""

import argparse
from collections.abc import Sequence

from sfm_odometry.cli import run_cli
from training.evaluate.commands import (
    compare,
    depth,
    eigen,
    make3d,
    masks,
    odometry,
    snippets,
    table,
)

COMMANDS = (odometry, snippets, depth, eigen, make3d, masks, compare, table)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    arguments = _parser().parse_args(argv)
    return run_cli(lambda: arguments.command(arguments))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m training.evaluate", description="Scores as published."
    )
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add_parser(subparsers)
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
