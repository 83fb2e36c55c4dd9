"""Writes a sequence folder (KITTI odometry, KITTI raw, a rendered drive) as rosbag2.

The bag holds the messages that kitti_player publishes: image, camera_info, /tf_static, and the true
poses. True poses are in a frame of their own, as otherwise both `ros2 bag play` and the odometry
would send the transform of the robot.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from nav_msgs.msg import Path as PathMessage
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from tf2_msgs.msg import TFMessage

from sfm_odometry.cli import run_cli
from sfm_odometry.nodes import tf_conversions
from sfm_odometry.nodes.conversions import NANOSECONDS
from sfm_odometry.nodes.players.arguments import add_drive_arguments, make_drive, positive_number
from sfm_odometry.nodes.players.bags import STORAGES, BagWriter, create_bag
from sfm_odometry.nodes.players.drive import (
    GROUND_TRUTH_CHILD_FRAME,
    GROUND_TRUTH_FRAME,
    DriveMessages,
)
from sfm_odometry.nodes.players.pacing import read_ahead


def write_bag(
    drive: DriveMessages, path: Path, storage: str, topics: tuple[str, str], start_ns: int
) -> dict[str, int]:
    """Write the drive to a new bag; returns the number of messages by topic.

    storage: mcap or sqlite3. topics: names of the image and camera_info topics. start_ns: stamp of
    the first frame. Raises OutputError when the bag cannot be written.
    """
    image_topic, info_topic = topics
    with create_bag(path, storage) as bag:
        # Add the topics.
        bag.add_topic("/tf_static", TFMessage, latched=True, depth=1)
        bag.add_topic(info_topic, CameraInfo)
        bag.add_topic(image_topic, CompressedImage if drive.compressed else Image)

        # Write the mounting and the true poses.
        bag.write(
            "/tf_static",
            TFMessage(transforms=[drive.mounting.static_transform(start_ns)]),
            start_ns,
        )
        _write_ground_truth(bag, drive, start_ns)

        # Write the frames.
        for frame in read_ahead(drive.frames()):
            stamp_ns = start_ns + frame.since_start_ns
            frame.stamp(stamp_ns)
            bag.write(info_topic, frame.camera_info, stamp_ns)
            bag.write(image_topic, frame.image, stamp_ns)
        return bag.counts


def _write_ground_truth(bag: BagWriter, drive: DriveMessages, start_ns: int) -> None:
    """Write the path and the transforms of the true poses, if they are known."""
    path = drive.ground_truth_path(start_ns)
    poses = drive.ground_truth_poses()
    if path is None or poses is None:
        return
    bag.add_topic("/ground_truth/path", PathMessage, latched=True, depth=1)
    bag.add_topic("/tf", TFMessage, depth=100)
    bag.write("/ground_truth/path", path, start_ns)
    for stamped, pose, since_ns in zip(path.poses, poses, drive.since_start_ns, strict=True):
        transform = tf_conversions.transform_message(
            pose, GROUND_TRUTH_FRAME, GROUND_TRUTH_CHILD_FRAME, stamped.header
        )
        bag.write("/tf", TFMessage(transforms=[transform]), start_ns + since_ns)


def make_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="kitti_to_bag",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    # Frames of the drive.
    add_drive_arguments(parser)

    # The bag.
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
    """Write the bag of the options, and print its numbers of messages."""
    drive = make_drive(options)
    image_topic = options.image_topic + ("/compressed" if options.compressed else "")
    start_ns = round(options.epoch * NANOSECONDS)
    counts = write_bag(
        drive, options.out, options.storage, (image_topic, options.camera_info_topic), start_ns
    )
    print(f"{options.out}: " + ", ".join(f"{count} {topic}" for topic, count in counts.items()))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the bag writer; returns the exit code."""
    options = make_parser().parse_args(argv)
    return run_cli(lambda: command(options))


if __name__ == "__main__":
    raise SystemExit(main())
