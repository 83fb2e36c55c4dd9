"""Writes a sequence folder (KITTI odometry, KITTI raw, a rendered drive) as rosbag2: image,
camera_info, /tf_static, and the true poses.

What the bag holds is what kitti_player sends. True poses are in a frame of their own, so that `ros2
bag play` and the odometry do not both send the transform of the robot.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from nav_msgs.msg import Path as PathMessage
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from tf2_msgs.msg import TFMessage

from sfm_odometry.cli import run_cli
from sfm_odometry.nodes import tf_conversions as frames
from sfm_odometry.nodes.conversions import NANOSECONDS
from sfm_odometry.nodes.players.arguments import add_drive_arguments, make_drive, positive_number
from sfm_odometry.nodes.players.bags import STORAGES, BagWriter, create_bag
from sfm_odometry.nodes.players.drive import TRUTH_CHILD, TRUTH_FRAME, DriveMessages
from sfm_odometry.nodes.players.pacing import read_ahead


def write_bag(
    drive: DriveMessages, path: Path, storage: str, topics: tuple[str, str], start_ns: int
) -> dict[str, int]:
    """Write the drive, its first frame stamped `start_ns`, to a new bag; returns the number of
    messages by topic.

    topics: names of the image and camera_info topics. Raises OutputError when the bag cannot be
    written.
    """
    image_topic, info_topic = topics
    with create_bag(path, storage) as bag:
        bag.add_topic("/tf_static", TFMessage, latched=True, depth=1)
        bag.add_topic(info_topic, CameraInfo)
        bag.add_topic(image_topic, CompressedImage if drive.compressed else Image)
        bag.write(
            "/tf_static",
            TFMessage(transforms=[drive.mounting.static_transform(start_ns)]),
            start_ns,
        )
        _write_truth(bag, drive, start_ns)
        for shot in read_ahead(drive.shots()):
            stamp_ns = start_ns + shot.since_start_ns
            shot.stamp(stamp_ns)
            bag.write(info_topic, shot.camera_info, stamp_ns)
            bag.write(image_topic, shot.image, stamp_ns)
        return bag.counts


def _write_truth(bag: BagWriter, drive: DriveMessages, start_ns: int) -> None:
    path, truth = drive.truth_path(start_ns), drive.truth()
    if path is None or truth is None:
        return
    bag.add_topic("/ground_truth/path", PathMessage, latched=True, depth=1)
    bag.add_topic("/tf", TFMessage, depth=100)
    bag.write("/ground_truth/path", path, start_ns)
    for stamped, pose, since_ns in zip(path.poses, truth, drive.since_start_ns, strict=True):
        transform = frames.transform_message(pose, TRUTH_FRAME, TRUTH_CHILD, stamped.header)
        bag.write("/tf", TFMessage(transforms=[transform]), start_ns + since_ns)


def make_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="kitti_to_bag",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_drive_arguments(parser)
    parser.add_argument(
        "--out", type=Path, required=True, metavar="BAG", help="folder of the new bag"
    )
    parser.add_argument("--storage", choices=tuple(STORAGES), default="mcap")
    parser.add_argument("--image-topic", default="/image", metavar="NAME")
    parser.add_argument("--camera-info-topic", default="/camera_info", metavar="NAME")
    parser.add_argument(
        "--epoch",
        type=positive_number,
        default=1.0,
        metavar="S",
        help="stamp of the first frame; not 0, which means unset",
    )
    return parser


def command(options: argparse.Namespace) -> None:
    """Write the bag that the options ask for, and say what is in it."""
    drive = make_drive(options)
    image_topic = options.image_topic + ("/compressed" if options.compressed else "")
    start_ns = round(options.epoch * NANOSECONDS)
    counts = write_bag(
        drive, options.out, options.storage, (image_topic, options.camera_info_topic), start_ns
    )
    print(f"{options.out}: " + ", ".join(f"{count} {topic}" for topic, count in counts.items()))


def main(argv: Sequence[str] | None = None) -> int:
    """Write a bag; returns the exit code."""
    options = make_parser().parse_args(argv)
    return run_cli(lambda: command(options))


if __name__ == "__main__":
    raise SystemExit(main())
