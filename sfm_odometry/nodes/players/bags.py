"""Bags of rosbag2, written and read with the package rosbags, without ROS's own tools."""

import importlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from rclpy.serialization import serialize_message
from rosbags.interfaces import (
    Connection,
    ConnectionExtRosbag2,
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag2 import StoragePlugin, Writer, WriterError
from rosbags.typesys import Stores, get_typestore

from sfm_odometry.errors import OutputError
from sfm_odometry.io.bags import open_bag

STORAGES = {"mcap": StoragePlugin.MCAP, "sqlite3": StoragePlugin.SQLITE3}
_BAG_VERSION: Literal[8] = 8
"""Version of the metadata: that of Iron, which Humble and all later distributions read.

Version 9 writes QoS in a form that Humble cannot parse.
"""
_UNSPECIFIED = QosTime(0, 0)


class BagWriter:
    """Writes topics and messages of rclpy to a bag."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._types = get_typestore(Stores.ROS2_HUMBLE)
        self._connections: dict[str, Connection] = {}
        self.counts: dict[str, int] = {}
        """Number of messages by topic."""

    def add_topic(
        self, topic: str, message_type: Any, latched: bool = False, depth: int = 10
    ) -> None:
        """Add a topic.

        message_type: class of rclpy. latched: messages also reach listeners that come late.
        """
        name = message_type_name(message_type)
        qos = [_qos_profile(depth, latched)]
        self._connections[topic] = self._writer.add_connection(
            topic, name, typestore=self._types, offered_qos_profiles=qos
        )
        self.counts[topic] = 0

    def write(self, topic: str, message: Any, stamp_ns: int) -> None:
        """Store a message as received at `stamp_ns`."""
        self._writer.write(self._connections[topic], stamp_ns, serialize_message(message))
        self.counts[topic] += 1


@contextmanager
def create_bag(path: Path, storage: str) -> Iterator[BagWriter]:
    """Create a bag folder at `path`, which is complete when the context ends without error.

    storage: one of STORAGES. Raises OutputError when the bag cannot be written.
    """
    if path.exists():
        raise OutputError(f"{path}: exists already, expected the name of a new bag")
    try:
        with Writer(path, version=_BAG_VERSION, storage_plugin=STORAGES[storage]) as writer:
            yield BagWriter(writer)
    except (OSError, WriterError) as error:
        raise OutputError(f"{path}: bag cannot be written: {error}") from error


def bag_topics(path: Path) -> list[Connection]:
    """Returns the topics of a bag: a folder of rosbag2, or an .mcap, .db3 or .bag file.

    A topic that some publishers wrote to, or that is in several files, is there once. Raises
    InputError naming the bag and its fault.
    """
    with open_bag(path, warn=lambda _: None) as bag:
        return list({connection.topic: connection for connection in bag.connections}.values())


def bag_messages(path: Path, topics: Collection[str]) -> Iterator[tuple[str, int, bytes]]:
    """Yields topic, receive time in nanoseconds and serialised message, in order of time.

    topics: those to read. What is missing from a damaged bag is told by warnings. Raises InputError
    for a bag of which nothing can be read.
    """
    with open_bag(path) as bag:
        yield from bag.serialised(topics)


def is_latched(connection: Connection) -> bool:
    """Whether all recorded publishers of the topic were latched (transient local)."""
    profiles = (
        connection.ext.offered_qos_profiles
        if isinstance(connection.ext, ConnectionExtRosbag2)
        else []
    )
    return bool(profiles) and all(
        profile.durability is QosDurability.TRANSIENT_LOCAL for profile in profiles
    )


def message_class(type_name: str) -> Any:
    """Returns the rclpy class of package/msg/Name, or None if the package is not installed."""
    package, _, name = type_name.partition("/msg/")
    try:
        return getattr(importlib.import_module(f"{package}.msg"), name)
    except (ImportError, AttributeError):
        return None


def message_type_name(message_type: type) -> str:
    """Returns package/msg/Name of an rclpy message class."""
    return f"{message_type.__module__.split('.')[0]}/msg/{message_type.__name__}"


def _qos_profile(depth: int, latched: bool) -> Qos:
    """Returns a reliable profile."""
    return Qos(
        history=QosHistory.KEEP_LAST,
        depth=depth,
        reliability=QosReliability.RELIABLE,
        durability=QosDurability.TRANSIENT_LOCAL if latched else QosDurability.VOLATILE,
        deadline=_UNSPECIFIED,
        lifespan=_UNSPECIFIED,
        liveliness=QosLiveliness.AUTOMATIC,
        liveliness_lease_duration=_UNSPECIFIED,
        avoid_ros_namespace_conventions=False,
    )
