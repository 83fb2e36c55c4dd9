"""Plays a bag, mcap, sqlite3 or of ROS 1, for machines without `ros2 bag play`.

The bag's /tf is played as /bag/tf, as the robot's recorded transforms conflict with those of the
running odometry; /tf_static, with the camera's mounting, is played as it is. Topics are renamed as
everywhere in ROS: --ros-args -r /camera/image:=/image
"""

import sfm_odometry.nodes.early_signals  # noqa: F401  # first, as other imports take a second

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
from sfm_odometry.nodes.players.arguments import add_pace_arguments, add_wait_argument, parse
from sfm_odometry.nodes.players.bags import bag_messages, bag_topics, is_latched, message_class
from sfm_odometry.nodes.players.node_wait import wait_for_listeners
from sfm_odometry.nodes.players.pacing import Pacer, read_ahead
from sfm_odometry.nodes.spinning import run_node

_IMAGE_TYPES = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage")
BAG_TF = "/bag/tf"


class BagPlayer(Node):
    """Node that publishes a bag's messages, byte by byte as recorded, at their recorded times."""

    def __init__(self, options: argparse.Namespace) -> None:
        super().__init__("bag_player")
        self._options = options
        self._publisher_by_topic: dict[str, Publisher] = {}
        self._image_publishers: list[Publisher] = []
        for connection in bag_topics(options.bag):
            if _is_selected(connection.topic, options):
                self._add_publisher(connection)
        if not self._publisher_by_topic:
            raise InputError(f"{options.bag}: no topic left to play")
        self._pacer = Pacer(self, options.rate, options.clock)

    @property
    def publisher_by_topic(self) -> dict[str, Publisher]:
        """Publisher of each topic of the bag that is played."""
        return self._publisher_by_topic

    def play(self) -> None:
        """Wait for a listener of an image, then play the bag once; with --loop until a signal."""
        wait_for_listeners(self, self._image_publishers, self._options, enough=any)

        # Play.
        names = ", ".join(publisher.topic_name for publisher in self._publisher_by_topic.values())
        while True:
            self.get_logger().info(f"playing {names}")
            self._play_once()
            if not self._options.loop:
                break

        # Let reliable subscribers receive the last messages.
        for publisher in self._publisher_by_topic.values():
            publisher.wait_for_all_acked(Duration(seconds=1))

    def _add_publisher(self, connection: Connection) -> None:
        """Add the publisher of a topic of the bag, unless its message type is not installed."""
        message_type = message_class(connection.msgtype)
        if message_type is None:
            self.get_logger().warning(
                f"{connection.topic} is left out: {connection.msgtype} is not installed"
            )
            return

        # Publish as recorded, but for the name of /tf and the reliability that the options ask for.
        renamed = connection.topic == "/tf" and not self._options.keep_tf
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
            message_type,
            BAG_TF if renamed else connection.topic,
            QoSProfile(depth=100, durability=durability, reliability=reliability),
        )
        self._publisher_by_topic[connection.topic] = publisher
        if connection.msgtype in _IMAGE_TYPES:
            self._image_publishers.append(publisher)

    def _play_once(self) -> None:
        started = False
        for topic, received_ns, data in read_ahead(
            bag_messages(self._options.bag, self._publisher_by_topic), count=32
        ):
            if not started:
                self._pacer.start(received_ns)
                started = True
            self._pacer.wait_until(received_ns)
            self._publisher_by_topic[topic].publish(bytes(data))


def _is_selected(topic: str, options: argparse.Namespace) -> bool:
    """Whether the options select the topic."""
    return topic not in options.exclude and (not options.topics or topic in options.topics)


def make_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="bag_player", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bag", type=Path, help="rosbag2 folder, or a file .mcap, .db3 or .bag")
    add_pace_arguments(parser, loop_help="start over at the end; stamps jump back then")
    parser.add_argument("--topics", nargs="+", default=[], metavar="NAME", help="play only these")
    parser.add_argument("--exclude", nargs="+", default=[], metavar="NAME", help="leave these out")
    parser.add_argument("--keep-tf", action="store_true", help=f"play /tf as /tf, not as {BAG_TF}")
    parser.add_argument(
        "--best-effort", action="store_true", help="as a sensor would; default: reliably"
    )
    add_wait_argument(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the player; returns the exit code."""
    options = parse(make_parser(), argv)
    return run_node(lambda: BagPlayer(options), BagPlayer.play, argv)


if __name__ == "__main__":
    raise SystemExit(main())
