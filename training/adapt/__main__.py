"""Adapts a model to a camera from its own images, without truth.

python -m training.adapt --images PLACE --calib FILE --out MY.safetensors
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from sfm_odometry.cli import run_cli
from sfm_odometry.errors import InputError
from sfm_odometry.inference.checkpoint import DEFAULT_MODEL
from training.adapt.command import adapt
from training.teach.footage import add_source_arguments

EPILOG = """The result is a model file: sfm_odometry.run --model MY.safetensors, or model.path of
the node. A picture of the same name, with the ending .png, shows frames with the depth before and
after. Exit codes: 0 adapted; 2 bad input, one line says which; 4 learned, but nothing became
better: MY.safetensors is the model from before; 130 a second Ctrl-C (the first ends the learning
and keeps the best)."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code."""
    arguments = _parser().parse_args(argv)
    return run_cli(lambda: _command(arguments))


def _command(arguments: argparse.Namespace) -> int:
    """Checks the options and adapts."""
    if not arguments.minutes > 0:
        raise InputError(f"--minutes {arguments.minutes:g}: expected more than 0")
    if arguments.first < 0:
        raise InputError(f"--first {arguments.first}: expected 0 or more")
    if arguments.last is not None and arguments.last < arguments.first:
        raise InputError(f"--last {arguments.last}: expected at least --first {arguments.first}")
    if arguments.out.suffix != ".safetensors":
        raise InputError(f"--out {arguments.out}: expected a name that ends in .safetensors")
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    return adapt(arguments, _cpu_clock() if arguments.cpu_time else time.monotonic)


def _cpu_clock():  # type: ignore[no-untyped-def]
    """A clock of the process's CPU time a thread."""
    return lambda: time.process_time() / torch.get_num_threads()


def _parser() -> argparse.ArgumentParser:
    """Creates the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m training.adapt", description=__doc__, epilog=EPILOG
    )
    add_source_arguments(parser)
    # Model and time.
    parser.add_argument("--out", type=Path, required=True, help="the adapted model")
    parser.add_argument(
        "--from",
        dest="start",
        type=Path,
        default=DEFAULT_MODEL,
        metavar="MODEL",
        help="the model to start from; default: the packaged one",
    )
    parser.add_argument(
        "--minutes", type=float, default=20.0, help="time to learn, default %(default)g"
    )
    parser.add_argument(
        "--cpu-time",
        action="store_true",
        help="count CPU time a thread, not the clock: for a machine that others use",
    )
    parser.add_argument(
        "--threads", type=int, default=0, help="threads to learn with; default: one a core"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda:N")
    parser.add_argument("--seed", type=int, default=0, help="of the random choices")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
