"""Command line of data preparation.

One subcommand for each kind of source, and two that pack prepared data into one file and unpack it.
"""

import argparse
import collections
import os
import re
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sfm_odometry.cli import run_cli
from sfm_odometry.errors import InputError
from sfm_odometry.geometry.preprocess import RESIZE_MODES
from training.data.index import Shard, index_content, remove_other_indices
from training.prepare import cityscapes, images, kitti_odometry, kitti_raw, packed, video
from training.prepare.recording import Recording
from training.prepare.report import report
from training.prepare.scene import Options
from training.prepare.static import static_rule
from training.prepare.work import prepare
from training.prepare.writer import disk_errors, write_json

SOURCES: dict[str, Any] = {
    "kitti-odometry": kitti_odometry,
    "kitti-raw": kitti_raw,
    "cityscapes": cityscapes,
    "video": video,
    "images": images,
}
if find_spec("rosbags") is not None:  # optional: training alone does not need it
    SOURCES["bag"] = import_module("training.prepare.bag")
DESCRIPTION = """Prepare data for training: one folder a scene with memory-mapped uint8 frames,
exact intrinsics and, where the source has them, poses, depth and motion masks. A run that was
interrupted goes on where it was; complete scenes are kept."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line and returns the exit code."""
    arguments = _parser().parse_args(argv)
    return run_cli(lambda: arguments.run(arguments))


def command(arguments: argparse.Namespace) -> int:
    """Prepares all recordings of a source and writes the index; returns the exit code.

    It is EXIT_NO_SNIPPETS if nothing can be learned from. Raises InputError and OutputError.
    """
    # Read the options.
    width, height = arguments.size = _parse_size(arguments.size)
    options = Options(
        width,
        height,
        arguments.resize_mode,
        arguments.grey,
        static_rule(arguments.static),
        arguments.strict,
    )
    if arguments.workers < 1:
        raise InputError(f"--workers {arguments.workers}: expected 1 or more")
    shard = Shard.parse(arguments.shard)
    # Find the recordings.
    recordings = SOURCES[arguments.source].find(arguments)
    _check_names(recordings)
    places = shard.indices(len(recordings))
    # Prepare those of the shard, then write its index.
    out: Path = arguments.out
    with disk_errors(out):
        out.mkdir(parents=True, exist_ok=True)
        remove_other_indices(out, shard)
    if not places:
        print(f"{out}: {len(recordings)} recordings, none for shard {arguments.shard}")
    scenes = prepare([recordings[place] for place in places], out, options, arguments.workers)
    scene_places = [place for place in places for _ in recordings[place].views]
    write_json(
        out / shard.index_name,
        index_content([scene.name for scene in scenes], scene_places, len(recordings)),
    )
    return report(out, scenes, width, height) if places else 0


def _check_names(recordings: Sequence[Recording]) -> None:
    """Raises InputError if two scenes would have the same name."""
    counts = collections.Counter(view.scene for recording in recordings for view in recording.views)
    name, count = counts.most_common(1)[0]
    if count > 1:
        raise InputError(f"{count} sources would become scene '{name}', expected different names")


def _parse_size(text: str) -> tuple[int, int]:
    """Returns (416, 128) for "416x128"; raises InputError if a side is under 32 pixels."""
    match = re.fullmatch(r"(\d+)x(\d+)", text)
    if match is None or min(int(match[1]), int(match[2])) < 32:
        raise InputError(
            f"--size '{text}' not understood, "
            "expected WIDTHxHEIGHT of at least 32 pixels, as 416x128"
        )
    return int(match[1]), int(match[2])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training.prepare", description=DESCRIPTION)
    commands = parser.add_subparsers(
        dest="source", required=True, metavar="|".join([*SOURCES, "pack", "unpack"])
    )
    # One subcommand for each source.
    for name, source in SOURCES.items():
        command_parser = commands.add_parser(name, help=source.HELP, description=source.HELP)
        _add_common_arguments(command_parser)
        source.add_arguments(command_parser)
        command_parser.set_defaults(run=command)
    # Packing and unpacking.
    pack = commands.add_parser("pack", help=packed.PACK_HELP, description=packed.PACK_HELP)
    packed.add_pack_arguments(pack)
    pack.set_defaults(run=packed.pack)
    unpack = commands.add_parser("unpack", help=packed.UNPACK_HELP, description=packed.UNPACK_HELP)
    packed.add_unpack_arguments(unpack)
    unpack.set_defaults(run=packed.unpack)
    return parser


def _add_common_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options that all sources have."""
    # Input and output.
    parser.add_argument("--root", type=Path, required=True, help="where the data lies")
    parser.add_argument("--out", type=Path, required=True, help="where the prepared data goes")
    # Format of the frames.
    parser.add_argument(
        "--size",
        default="416x128",
        help="width x height of the networks' input (default %(default)s)",
    )
    parser.add_argument(
        "--resize-mode",
        choices=RESIZE_MODES,
        default="crop",
        help="crop to the aspect, or stretch as the papers do (default %(default)s)",
    )
    parser.add_argument(
        "--grey", action="store_true", help="store one channel, for networks that take grey images"
    )
    # Static frames.
    parser.add_argument(
        "--static",
        default="keep",
        metavar="keep|flow|FILE",
        help="frames in which the camera stands still are left out of snippets: "
        "those with a mean optical flow under 1 pixel (flow), "
        "or those of a file with lines 'date drive frame', as static_frames.txt (default keep)",
    )
    _add_run_arguments(parser)


def _add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of how to go about it, that all sources have."""
    # One worker more than cores: while one waits for the disk, the others decode.
    workers = len(os.sched_getaffinity(0)) + 1
    parser.add_argument(
        "--workers",
        type=int,
        default=workers,
        help="threads that decode and resize (default here: %(default)s)",
    )
    parser.add_argument(
        "--shard",
        default="1/1",
        metavar="I/N",
        help="prepare every N-th recording, from the I-th on, counted from 1; N runs, on as many "
        "machines, fill one folder (default: all)",
    )
    parser.add_argument(
        "--strict",
        action="store_true",
        help="end at the first damaged image or file, instead of leaving it out",
    )
