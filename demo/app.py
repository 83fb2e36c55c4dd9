"""The demo's command line: drive, play, measure, report."""

import argparse
import os
import signal
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from demo import result_files
from demo.drive import DemoDrive, open_drive, render_drive
from demo.processes import ros_environment
from demo.progress import Progress
from demo.recording import associate
from demo.results import summary_lines, write_results
from sfm_odometry.cli import run_cli

RENDERED_FRAMES = 250
RENDERED_SIZE = "832x256"
"""Twice the network's input; KITTI's own size takes the renderer three times as long."""
RENDERED_SEED = 9000
"""280 m with curves and a turn; none of the seeds that models are trained on."""


def main(argv: list[str] | None = None) -> int:
    """Run the demo; returns the exit code: 0, 2 for errors of input or output, 130 for Ctrl-C."""
    arguments = _parser().parse_args(argv)
    # A shell that starts this process in the background makes it and its children ignore SIGINT:
    # restore it. SIGTERM ends the demo like Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, _interrupt)
    return run_cli(lambda: run(arguments, Progress()))


def run(arguments: argparse.Namespace, progress: Progress) -> None:
    """Open or render the drive, play it, measure, and write the report."""
    load_before = os.getloadavg()[0]
    out = result_files.prepare_folder(arguments.out)
    os.environ.update(ros_environment())
    live = _live_address(arguments.live)
    _check_model(arguments.model)
    drive = _drive(arguments, out, progress)
    # Imported late: these need ROS's environment, and the checks above do not need them.
    from demo.environment import model_and_machine_facts
    from demo.playback import play

    logs = out / result_files.LOGS_FOLDER
    if live is not None:
        progress.say(f"live view while the drive is played: ws://{live[0]}:{live[1]}")
    recording, published_ns = play(drive, logs, arguments.model, arguments.rate, progress, live)
    metrics = write_results(
        out=out,
        drive=drive,
        trajectory=associate(recording, published_ns),
        recording=recording,
        facts=model_and_machine_facts(recording, load_before),
    )
    for line in summary_lines(metrics, out):
        progress.say(line)


def _live_address(text: str | None) -> tuple[str, int] | None:
    """Host and port of --live, None without it; raises InputError, to fail early."""
    if text is None:
        return None
    # Imported here: torch takes seconds to import, and nothing else here needs it.
    from sfm_odometry.viewers.arguments import live_address
    from sfm_odometry.viewers.foxglove_viewer import check_foxglove

    address = live_address(text)
    check_foxglove()
    return address


def _check_model(path: Path | None) -> None:
    """Load a model that was named, to fail early; raises an InputError for a bad one."""
    if path is not None:
        # Imported here: torch takes seconds to import, and nothing else here needs it.
        from sfm_odometry.inference.checkpoint import load_model

        load_model(path)


def _drive(arguments: argparse.Namespace, out: Path, progress: Progress) -> DemoDrive:
    """Open the sequence that was named, or render a drive."""
    if arguments.sequence is not None:
        return open_drive(arguments.sequence, arguments.camera, arguments.frames)
    return render_drive(
        folder=out / result_files.DRIVE_FOLDER,
        log=out / result_files.LOGS_FOLDER / "renderer.log",
        frames=arguments.frames or RENDERED_FRAMES,
        size=arguments.size,
        seed=arguments.seed,
        progress=progress,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("out/demo"),
        help="folder for the results (default: out/demo)",
    )
    parser.add_argument(
        "--sequence",
        type=Path,
        help="KITTI odometry sequence or raw drive to play (default: render a drive)",
    )
    parser.add_argument(
        "--camera",
        type=int,
        help="camera of the sequence, 0 to 3 (default: the first present of 2, 0, 3, 1)",
    )
    parser.add_argument("--model", type=Path, help="model file (default: the packaged one)")
    parser.add_argument(
        "--frames",
        type=_positive(int),
        help=f"play the first N frames (default: all; rendered: {RENDERED_FRAMES})",
    )
    parser.add_argument(
        "--rate", type=_positive(float), help="frames per second (default: the sequence's own)"
    )
    parser.add_argument(
        "--size", default=RENDERED_SIZE, help=f"size of a rendered drive (default: {RENDERED_SIZE})"
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=RENDERED_SEED,
        help=f"seed of a rendered drive (default: {RENDERED_SEED})",
    )
    _add_live_option(parser)
    return parser


def _add_live_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--live",
        metavar="[HOST:]PORT",
        help="serve the odometry to Foxglove or Lichtblick while the drive is played, such as "
        "8765; needs pip install foxglove-sdk",
    )


def _positive(kind: type) -> Callable[[str], Any]:
    """Returns a parser of positive numbers of this type."""

    def parse(text: str) -> Any:
        value = kind(text)
        if not value > 0:
            raise argparse.ArgumentTypeError(f"{text} is not positive")
        return value

    return parse


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
