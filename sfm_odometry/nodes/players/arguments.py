"""What the command lines of the players and the bag writer share."""

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
    """The options that say which frames of which folder, and how the camera sits."""
    mounting = Mounting()
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
    parser.add_argument("--base-frame", default=mounting.base_frame)
    parser.add_argument("--camera-frame", default=mounting.camera_frame)
    parser.add_argument(
        "--camera-height",
        type=float,
        default=mounting.camera_height_m,
        metavar="M",
        help="over base-frame, on /tf_static",
    )


def make_drive(options: argparse.Namespace) -> DriveMessages:
    """The drive that the options name; raises InputError when it cannot be opened or has no
    frame left."""
    sequence = open_sequence(options.sequence, options.camera)
    mounting = Mounting(options.base_frame, options.camera_frame, options.camera_height)
    stop = None if options.frames is None else options.start + options.frames
    drive = DriveMessages(sequence, mounting, options.start, stop, options.hz, options.compressed)
    if not len(drive):
        raise InputError(
            f"{options.sequence}: has {len(sequence)} frames, none left with --start {options.start} --frames {options.frames}"
        )
    return drive


def positive_number(text: str) -> float:
    """A number greater than zero."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0.0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"must be a number greater than zero, got '{text}'")
    return value


def whole_number(text: str) -> int:
    """Zero or a positive whole number."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"must be a whole number, got '{text}'")
    return int(text)


def parse(parser: argparse.ArgumentParser, argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line without its ROS arguments; `argv` has no program's name, None stands for the
    process's own.

    ROS arguments that rclpy cannot read, such as a file of parameters that is not there, end the
    process as argparse's own errors do.
    """
    try:
        return parser.parse_args(
            remove_ros_args(argv)[1:] if argv is None else remove_ros_args(argv)
        )
    except RuntimeError as error:  # rclpy has no public name for what it raises
        parser.error(_without_places(str(error)))


def _without_places(message: str) -> str:
    """What ROS says of bad arguments in one line, without the places in its source."""
    unknown = re.fullmatch(r"\['(.*)'\]", message)
    if unknown:
        return f"unknown ROS argument: {unknown[1]}"
    return re.sub(r"(, |\s+)at /\S+:\d+", "", " ".join(message.split()))
