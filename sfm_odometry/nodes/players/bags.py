"""rosbag2 files, written and read without ROS's own tools (with the package rosbags)."""

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
from rosbags.rosbag2 import Reader, ReaderError, StoragePlugin, Writer, WriterError
from rosbags.typesys import Stores, get_typestore

from sfm_odometry.errors import InputError, OutputError

STORAGES = {"mcap": StoragePlugin.MCAP, "sqlite3": StoragePlugin.SQLITE3}
_BAG_VERSION: Literal[8] = 8
"""Metadata of Iron, which Humble and everything later reads; 9 spells QoS in a way that Humble
does not know."""
_UNSPECIFIED = QosTime(0, 0)


class BagWriter:
    """Topics and messages of rclpy into a bag."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._types = get_typestore(Stores.ROS2_HUMBLE)
        self._connections: dict[str, Connection] = {}
        self.counts: dict[str, int] = {}

    def add_topic(self, topic: str, kind: Any, latched: bool = False, depth: int = 10) -> None:
        """Announce a topic of messages of the rclpy class `kind`; a latched one reaches
        listeners that come late."""
        name = message_type_name(kind)
        qos = [_profile(depth, latched)]
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
    """A new bag folder at `path`, complete when the context ends well; raises OutputError when
    it cannot be made."""
    if path.exists():
        raise OutputError(f"{path}: exists already, expected the name of a new bag")
    try:
        with Writer(path, version=_BAG_VERSION, storage_plugin=STORAGES[storage]) as writer:
            yield BagWriter(writer)
    except (OSError, WriterError) as error:
        raise OutputError(f"{path}: bag cannot be written: {error}") from error


def bag_topics(path: Path) -> list[Connection]:
    """The topics of a rosbag2 folder, or of a single .mcap or .db3 file; raises InputError that
    names it and what is wrong."""
    with _open(path) as reader:
        return list(reader.connections)


def bag_messages(path: Path, topics: Collection[str]) -> Iterator[tuple[str, int, bytes]]:
    """topic, receive time in nanoseconds and serialised message of these topics, by time; raises
    InputError for a bag that is damaged."""
    with _open(path) as reader:
        connections = [
            connection for connection in reader.connections if connection.topic in topics
        ]
        for connection, received_ns, data in reader.messages(connections) if connections else ():
            yield connection.topic, received_ns, data


@contextmanager
def _open(path: Path) -> Iterator[Reader]:
    if not path.exists():
        raise InputError(f"{path}: no such bag")
    try:
        with Reader(path) as reader:
            yield reader
    except (ReaderError, OSError, AssertionError, ValueError) as error:
        what = " ".join(str(error).split()) or type(error).__name__
        raise InputError(
            f"{path}: bag cannot be read, expected a rosbag2 folder with metadata.yaml: {what}"
        ) from error


def is_latched(connection: Connection) -> bool:
    """Whether the topic was recorded from publishers whose messages reach listeners that come
    late."""
    profiles = (
        connection.ext.offered_qos_profiles
        if isinstance(connection.ext, ConnectionExtRosbag2)
        else []
    )
    return bool(profiles) and all(
        profile.durability is QosDurability.TRANSIENT_LOCAL for profile in profiles
    )


def message_class(type_name: str) -> Any:
    """The rclpy class of package/msg/Name, or None where the package is not installed."""
    package, _, name = type_name.partition("/msg/")
    try:
        return getattr(importlib.import_module(f"{package}.msg"), name)
    except (ImportError, AttributeError):
        return None


def message_type_name(kind: type) -> str:
    """package/msg/Name of an rclpy message class."""
    return f"{kind.__module__.split('.')[0]}/msg/{kind.__name__}"


def _profile(depth: int, latched: bool) -> Qos:
    durability = QosDurability.TRANSIENT_LOCAL if latched else QosDurability.VOLATILE
    return Qos(
        QosHistory.KEEP_LAST,
        depth,
        QosReliability.RELIABLE,
        durability,
        _UNSPECIFIED,
        _UNSPECIFIED,
        QosLiveliness.AUTOMATIC,
        _UNSPECIFIED,
        False,
    )
