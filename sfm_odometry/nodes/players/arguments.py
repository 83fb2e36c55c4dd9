"""Command line of the players and the bag writer."""

import argparse
import math
import re
from collections.abc import Sequence
from pathlib import Path

from rclpy.utilities import remove_ros_args

from sfm_odometry.errors import InputError
from sfm_odometry.io.kitti import open_sequence
from sfm_odometry.nodes.players.drive import DriveMessages, Mounting


def add_drive_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options for the sequence, its frames, and the mounting of the camera."""
    mounting = Mounting()

    # Sequence and frames.
    parser.add_argument(
        "sequence",
        type=Path,
        help="sequence folder: KITTI odometry, KITTI raw drive or rendered drive",
    )
    parser.add_argument(
        "--camera", type=int, help="0 to 3; default: the first present of 2, 0, 3, 1"
    )
    parser.add_argument("--start", type=whole_number, default=0, metavar="N", help="first frame")
    parser.add_argument(
        "--frames", type=whole_number, metavar="N", help="number of frames; default: all"
    )
    parser.add_argument(
        "--hz", type=positive_number, help="frames per second, evenly; default: the recorded times"
    )
    parser.add_argument(
        "--compressed",
        action="store_true",
        help="images as the JPEG or PNG files that they are, on image/compressed",
    )

    # Mounting.
    parser.add_argument("--base-frame", default=mounting.base_frame)
    parser.add_argument("--camera-frame", default=mounting.camera_frame)
    parser.add_argument(
        "--camera-height",
        type=float,
        default=mounting.camera_height_m,
        metavar="M",
        help="over base-frame, on /tf_static",
    )


def add_pace_arguments(parser: argparse.ArgumentParser, loop_help: str) -> None:
    """Add the options for rate, loop and /clock of a player."""
    parser.add_argument(
        "--rate",
        type=positive_number,
        default=1.0,
        metavar="FACTOR",
        help="play so many times as fast",
    )
    parser.add_argument("--loop", action="store_true", help=loop_help)
    parser.add_argument(
        "--clock", action="store_true", help="publish /clock, for nodes with use_sim_time"
    )


def add_wait_argument(parser: argparse.ArgumentParser) -> None:
    """Add the option for the time that a player waits for a listener."""
    parser.add_argument(
        "--wait",
        type=float,
        default=30.0,
        metavar="S",
        help="for a listener, at most; 0: do not, negative: for ever",
    )
    parser.add_argument(
        "--wait-for-node",
        metavar="NAME",
        help="play when this lifecycle node is active, however long that takes",
    )


def make_drive(options: argparse.Namespace) -> DriveMessages:
    """Returns the drive of the options.

    Raises InputError when it cannot be opened or has no frame left.
    """
    # Open the sequence.
    sequence = open_sequence(options.sequence, options.camera)

    # Select its frames.
    mounting = Mounting(options.base_frame, options.camera_frame, options.camera_height)
    stop = None if options.frames is None else options.start + options.frames
    drive = DriveMessages(
        sequence,
        mounting,
        start=options.start,
        stop=stop,
        hz=options.hz,
        compressed=options.compressed,
    )
    if not len(drive):
        raise InputError(
            f"{options.sequence}: has {len(sequence)} frames, none left "
            f"with --start {options.start} --frames {options.frames}"
        )
    return drive


def positive_number(text: str) -> float:
    """Convert an option to a number greater than zero."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0.0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"must be a number greater than zero, got '{text}'")
    return value


def whole_number(text: str) -> int:
    """Convert an option to zero or a positive whole number."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"must be a whole number, got '{text}'")
    return int(text)


def parse(parser: argparse.ArgumentParser, argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line without its ROS arguments.

    argv: without the program's name; None: that of the process. ROS arguments that rclpy cannot
    read, such as a missing file of parameters, end the process as argparse's own errors do.
    """
    try:
        return parser.parse_args(
            remove_ros_args(argv)[1:] if argv is None else remove_ros_args(argv)
        )
    except RuntimeError as error:  # rclpy has no public name for the class that it raises
        parser.error(_one_line(str(error)))


def _one_line(message: str) -> str:
    """Returns ROS's message about bad arguments as one line, without its source locations."""
    unknown = re.fullmatch(r"\['(.*)'\]", message)
    if unknown:
        return f"unknown ROS argument: {unknown[1]}"
    return re.sub(r"(, |\s+)at /\S+:\d+", "", " ".join(message.split()))
