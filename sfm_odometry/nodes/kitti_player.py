"""Plays a sequence folder (KITTI odometry, KITTI raw, a rendered drive) as camera.

Publishes image and camera_info, base_link -> camera on /tf_static, and where the folder has true
poses also ground_truth/path (at once, latched) and their transform, in a frame of its own. Stamps
are of the wall clock; with --clock, of a simulated clock that starts at the first frame's stamp.
"""

import sfm_odometry.nodes.early_signals  # noqa: F401  # first, as other imports take a second

# isort: split
import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

import numpy as np
from nav_msgs.msg import Path as PathMessage
from rclpy.duration import Duration
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from tf2_ros import StaticTransformBroadcaster, TransformBroadcaster

from sfm_odometry.errors import OutputError
from sfm_odometry.nodes import tf_conversions
from sfm_odometry.nodes.conversions import make_header
from sfm_odometry.nodes.players.arguments import (
    add_drive_arguments,
    add_pace_arguments,
    add_wait_argument,
    make_drive,
    parse,
)
from sfm_odometry.nodes.players.drive import (
    GROUND_TRUTH_CHILD_FRAME,
    GROUND_TRUTH_FRAME,
    DriveMessages,
    FrameMessages,
)
from sfm_odometry.nodes.players.node_wait import wait_for_listeners
from sfm_odometry.nodes.players.pacing import Pacer, read_ahead, serve_until
from sfm_odometry.nodes.qos import LATCHED_QOS, image_profile
from sfm_odometry.nodes.spinning import run_node

LOOP_PAUSE_S = 1.0
"""Pause between two rounds, which makes a round look like a restarted camera, not a clock jump."""


class KittiPlayer(Node):
    """Node that publishes a drive frame by frame."""

    _publish_log: TextIO | None = None

    def __init__(self, drive: DriveMessages, options: argparse.Namespace) -> None:
        super().__init__("kitti_player")
        self._drive = drive
        self._options = options
        self._ground_truth = drive.ground_truth_poses()
        self._publish_log = open_publish_log(options.publish_log)

        # Publishers.
        profile = image_profile(options.reliability, depth=10)
        message_type = CompressedImage if drive.compressed else Image
        suffix = "/compressed" if drive.compressed else ""
        self._image = self.create_publisher(
            message_type, self.resolve_topic_name("image") + suffix, profile
        )
        self._camera_info = self.create_publisher(CameraInfo, "camera_info", profile)
        self._path = self.create_publisher(PathMessage, "ground_truth/path", LATCHED_QOS)
        self._broadcaster = TransformBroadcaster(self)
        self._static_broadcaster = StaticTransformBroadcaster(self)
        self._pacer = Pacer(self, options.rate, options.clock)
        self._send_static_transforms()

    def play(self) -> None:
        """Wait for a listener, then play the drive once; with --loop until a signal."""
        wait_for_listeners(self, [self._image, self._camera_info], self._options)

        # Play, with rising stamps from round to round.
        start_ns = time.time_ns()
        while True:
            self.get_logger().info(
                f"playing {len(self._drive)} frames of {self._drive.sequence.name}"
            )
            newest_ns = self._play_once(start_ns)
            if not self._options.loop:
                break
            serve_until(self, time.monotonic() + LOOP_PAUSE_S)
            start_ns = max(time.time_ns(), newest_ns + round(LOOP_PAUSE_S * 1e9))

        # Let reliable subscribers receive the last frames.
        self._image.wait_for_all_acked(Duration(seconds=2))

    def destroy_node(self) -> None:
        """Close the log and destroy the node."""
        if self._publish_log is not None:
            self._publish_log.close()
        super().destroy_node()

    def _play_once(self, start_ns: int) -> int:
        """Play all frames, the first stamped `start_ns`; returns the last stamp."""
        # Stamps follow the wall clock at any rate, unless /clock gives another time.
        speed = 1.0 if self._options.clock else self._options.rate
        path = self._drive.ground_truth_path(start_ns, speed)
        if path is not None:
            self._path.publish(path)
        self._pacer.start(start_ns)
        stamp_ns = start_ns
        for frame in read_ahead(self._drive.frames()):
            self._pacer.wait_until(start_ns + frame.since_start_ns)
            stamp_ns = start_ns + round(frame.since_start_ns / speed)
            self._publish(frame, stamp_ns)
        return stamp_ns

    def _publish(self, frame: FrameMessages, stamp_ns: int) -> None:
        """Publish camera_info and image, write the log, and send the true pose."""
        frame.stamp(stamp_ns)
        self._camera_info.publish(frame.camera_info)
        if self._publish_log is not None:
            self._publish_log.write(f"{stamp_ns},{time.time_ns()}\n")
        self._image.publish(frame.image)
        if self._ground_truth is not None:
            pose = self._ground_truth[frame.index - self._drive.indices[0]]
            self._broadcaster.sendTransform(
                tf_conversions.transform_message(
                    pose, GROUND_TRUTH_FRAME, GROUND_TRUTH_CHILD_FRAME, frame.image.header
                )
            )

    def _send_static_transforms(self) -> None:
        stamp_ns = time.time_ns()
        transforms = (
            [] if self._options.no_static_tf else [self._drive.mounting.static_transform(stamp_ns)]
        )
        if self._options.odom_frame and self._ground_truth is not None:
            header = make_header(stamp_ns, self._options.odom_frame)
            transforms.append(
                tf_conversions.transform_message(
                    np.eye(4), self._options.odom_frame, GROUND_TRUTH_FRAME, header
                )
            )
        if transforms:
            self._static_broadcaster.sendTransform(transforms)


def open_publish_log(path: Path | None) -> TextIO | None:
    """Open a CSV of each image's stamp and the wall clock when it is published, in nanoseconds.

    Returns None without a path. Raises OutputError naming the file.
    """
    if path is None:
        return None
    try:
        log = path.open("w", encoding="ascii", buffering=1)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from None
    log.write("stamp_ns,publish_time_ns\n")
    return log


def make_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="kitti_player",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    # Frames and their pace.
    add_drive_arguments(parser)
    add_pace_arguments(parser, loop_help="start over, after a pause of a second")

    # Listeners.
    parser.add_argument("--reliability", choices=("reliable", "best_effort"), default="reliable")
    add_wait_argument(parser)

    # Log and transforms.
    parser.add_argument(
        "--publish-log",
        type=Path,
        metavar="CSV",
        help="write stamp_ns,publish_time_ns of each image",
    )
    parser.add_argument(
        "--no-static-tf", action="store_true", help="do not send base-frame -> camera-frame"
    )
    parser.add_argument(
        "--odom-frame",
        default="odom",
        help="hang the true poses under this frame on /tf_static; empty: do not",
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the player; returns the exit code."""
    options = parse(make_parser(), argv)
    return run_node(lambda: KittiPlayer(make_drive(options), options), KittiPlayer.play, argv)


if __name__ == "__main__":
    raise SystemExit(main())
