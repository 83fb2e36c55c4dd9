"""Replays a rosbag2 folder, mcap or sqlite3, for machines without `ros2 bag play`.

The bag's /tf is played as /bag/tf, as transforms of a robot that was recorded fight with those of
the odometry that runs now; /tf_static, where the camera sits, is played as it is. Topics are
renamed as everywhere in ROS: --ros-args -r /camera/image:=/image
"""

import sfm_odometry.nodes.early_signals  # noqa: F401  # first, as the others take a second

# isort: split
import argparse
from collections.abc import Sequence
from pathlib import Path

from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rosbags.interfaces import Connection

from sfm_odometry.errors import InputError
from sfm_odometry.nodes.players.arguments import parse, positive_number
from sfm_odometry.nodes.players.bags import bag_messages, bag_topics, is_latched, message_class
from sfm_odometry.nodes.players.pacing import Pacer, read_ahead, wait_for_subscribers
from sfm_odometry.nodes.spinning import run_node

_IMAGE_TYPES = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage")
BAG_TF = "/bag/tf"


class BagPlayer(Node):
    """Publishes a bag's messages, bytes as they were recorded, at the times they were recorded."""

    def __init__(self, options: argparse.Namespace) -> None:
        super().__init__("bag_player")
        self._options = options
        self._publishers_of: dict[str, Publisher] = {}
        self._images: list[Publisher] = []
        for connection in bag_topics(options.bag):
            if _wanted(connection.topic, options):
                self._add_publisher(connection)
        if not self._publishers_of:
            raise InputError(f"{options.bag}: no topic left to play")
        self._pacer = Pacer(self, options.rate, options.clock)

    def play(self) -> None:
        """Wait for a listener of an image, then play the bag once, or until the process is told
        to end."""
        if self._images and not wait_for_subscribers(
            self, self._images, self._options.wait, enough=any
        ):
            self.get_logger().warning(
                f"nobody listens to an image after {self._options.wait:g} s: playing all the same"
            )
        while True:
            self.get_logger().info(
                f"playing {', '.join(publisher.topic_name for publisher in self._publishers_of.values())}"
            )
            self._play_once()
            if not self._options.loop:
                break
        for publisher in self._publishers_of.values():
            publisher.wait_for_all_acked(Duration(seconds=1))

    def _add_publisher(self, connection: Connection) -> None:
        kind = message_class(connection.msgtype)
        if kind is None:
            self.get_logger().warning(
                f"{connection.topic} is left out: {connection.msgtype} is not installed"
            )
            return
        topic = (
            BAG_TF if connection.topic == "/tf" and not self._options.keep_tf else connection.topic
        )
        durability = (
            DurabilityPolicy.TRANSIENT_LOCAL
            if is_latched(connection)
            else DurabilityPolicy.VOLATILE
        )
        reliability = (
            ReliabilityPolicy.BEST_EFFORT
            if self._options.best_effort
            else ReliabilityPolicy.RELIABLE
        )
        publisher = self.create_publisher(
            kind, topic, QoSProfile(depth=100, durability=durability, reliability=reliability)
        )
        self._publishers_of[connection.topic] = publisher
        if connection.msgtype in _IMAGE_TYPES:
            self._images.append(publisher)

    def _play_once(self) -> None:
        started = False
        for topic, received_ns, data in read_ahead(
            bag_messages(self._options.bag, self._publishers_of), count=32
        ):
            if not started:
                self._pacer.start(received_ns)
                started = True
            self._pacer.wait_until(received_ns)
            self._publishers_of[topic].publish(bytes(data))


def _wanted(topic: str, options: argparse.Namespace) -> bool:
    return topic not in options.exclude and (not options.topics or topic in options.topics)


def make_parser() -> argparse.ArgumentParser:
    """The player's command line."""
    parser = argparse.ArgumentParser(
        prog="bag_player", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bag", type=Path, help="rosbag2 folder")
    parser.add_argument(
        "--rate",
        type=positive_number,
        default=1.0,
        metavar="FACTOR",
        help="play so many times as fast",
    )
    parser.add_argument(
        "--loop", action="store_true", help="start over at the end; stamps jump back then"
    )
    parser.add_argument(
        "--clock", action="store_true", help="publish /clock, for nodes with use_sim_time"
    )
    parser.add_argument("--topics", nargs="+", default=[], metavar="NAME", help="play only these")
    parser.add_argument("--exclude", nargs="+", default=[], metavar="NAME", help="leave these out")
    parser.add_argument("--keep-tf", action="store_true", help=f"play /tf as /tf, not as {BAG_TF}")
    parser.add_argument(
        "--best-effort", action="store_true", help="as a sensor would; default: reliably"
    )
    parser.add_argument(
        "--wait",
        type=float,
        default=30.0,
        metavar="S",
        help="for a listener, at most; 0: do not, negative: for ever",
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Play; returns the exit code."""
    options = parse(make_parser(), argv)
    return run_node(lambda: BagPlayer(options), BagPlayer.play, argv)


if __name__ == "__main__":
    raise SystemExit(main())
