"""Waits until a lifecycle node is active, then ends with exit code 0.

ros2 run sfm_odometry wait_for_node /sfm_odometry && ros2 bag play drive

Launch files start with it what must not begin while the model loads.
"""

import sfm_odometry.nodes.early_signals  # noqa: F401  # first, as other imports take a second

# isort: split
import argparse
import math
from collections.abc import Sequence
from functools import partial

from rclpy.node import Node

from sfm_odometry.nodes.players.arguments import parse, positive_number
from sfm_odometry.nodes.players.node_wait import wait_until_active
from sfm_odometry.nodes.spinning import run_node


def make_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="wait_for_node",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("node", help="name of the lifecycle node; relative to the own namespace")
    parser.add_argument(
        "--timeout",
        type=positive_number,
        default=math.inf,
        metavar="S",
        help="end with exit code 2 after so many seconds; default: wait for ever",
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Wait for the node; returns the exit code."""
    options = parse(make_parser(), argv)
    work = partial(wait_until_active, name=options.node, timeout_s=options.timeout)
    return run_node(lambda: Node("wait_for_node"), work, argv)


if __name__ == "__main__":
    raise SystemExit(main())
