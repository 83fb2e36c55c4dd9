"""Bags of ROS 1 and ROS 2, read with the package rosbags, without ROS.

Only the types of topics that somebody asks for are looked at: a type whose definition cannot be
parsed does not lock the bag. What of a damaged bag can be read is read, and the rest is told.
"""

import re
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from rosbags import rosbag1, rosbag2
from rosbags.interfaces import Connection, ConnectionExtRosbag1, MessageDefinitionFormat
from rosbags.rosbag2.storage_mcap import zstd
from rosbags.rosbag2.storage_sqlite3 import apsw
from rosbags.typesys import Stores, get_types_from_idl, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from sfm_odometry.errors import InputError
from sfm_odometry.io.bag_scan import ScannedBag, bag_kind

BAG_SUFFIXES = (".mcap", ".db3", ".bag")
IMAGE_TYPES = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage")
CAMERA_INFO_TYPES = ("sensor_msgs/msg/CameraInfo",)
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_FAULTS = (
    rosbag1.ReaderError,
    rosbag2.ReaderError,
    apsw.Error,
    zstd.ZstdError,
    OSError,
    EOFError,
    RuntimeError,
    ValueError,
    TypeError,
    LookupError,
    AssertionError,
    ArithmeticError,
    MemoryError,
    AttributeError,
)
"""What rosbags and the decompressors raise for a damaged file."""

Warn = Callable[[str], None]


def print_warning(text: str) -> None:
    """Prints a warning to stderr."""
    print(f"warning: {text}", file=sys.stderr)


@dataclass(frozen=True)
class BagTopic:
    """A topic of a bag."""

    name: str
    type: str
    """package/msg/Name, for bags of ROS 1 as well."""
    count: int
    """Number of messages."""


class _Storage(Protocol):
    """Reader of rosbags or a `ScannedBag`."""

    @property
    def path(self) -> Path: ...

    @property
    def connections(self) -> list[Connection]: ...

    def messages(
        self, connections: Collection[Connection] = ...
    ) -> Iterator[tuple[Connection, int, bytes]]: ...


class Bag:
    """An open bag: one or several storages that are read one after the other."""

    def __init__(self, path: Path, storages: list[_Storage], warn: Warn) -> None:
        self.path = path
        self._storages = storages
        self._warn = warn
        self._typestores: dict[bool, Typestore] = {}

    @property
    def connections(self) -> list[Connection]:
        """Connections of rosbags, with the profiles of the publishers; one topic may have some."""
        return [connection for storage in self._storages for connection in storage.connections]

    @property
    def topics(self) -> list[BagTopic]:
        """Topics with their types and numbers of messages, in order of their names."""
        counts: Counter[tuple[str, str]] = Counter()
        for connection in self.connections:
            counts[connection.topic, connection.msgtype] += connection.msgcount
        return [BagTopic(name, kind, count) for (name, kind), count in sorted(counts.items())]

    def topics_of(self, types: Collection[str]) -> list[BagTopic]:
        """Returns the topics of some types that have messages, in order of their names."""
        return [topic for topic in self.topics if topic.type in types and topic.count]

    def messages(
        self, topics: Collection[str], types: Collection[str] = (), damaged: Warn | None = None
    ) -> Iterator[tuple[str, int, Any]]:
        """Yields topic, stamp in nanoseconds and message of some topics, in order of reception.

        The stamp is the header's, or that of reception where the header's is not filled.
        types: only messages of these types; empty for all.
        damaged: called for a message that cannot be parsed, which is left out; by default it is
        a warning. Raises InputError for a type whose definition is not known or cannot be parsed.
        """
        for connection, received_ns, data in self._serialised(topics, types):
            is_ros1 = isinstance(connection.ext, ConnectionExtRosbag1)
            store = self._typestore(connection, is_ros1)
            try:
                parse = store.deserialize_ros1 if is_ros1 else store.deserialize_cdr
                message: Any = parse(data, connection.msgtype)
            except Exception as error:  # a parser of damaged bytes may raise anything
                reason = " ".join(str(error).split()) or type(error).__name__
                (damaged or self._warn)(
                    f"{self.path}, {connection.topic}, message received at {received_ns}: "
                    f"cannot be parsed as {connection.msgtype} ({reason}), left out"
                )
                continue
            yield connection.topic, _header_stamp_ns(message) or received_ns, message

    def serialised(self, topics: Collection[str]) -> Iterator[tuple[str, int, bytes]]:
        """Yields topic, time of reception in nanoseconds and message as ROS 2 serialises it."""
        for connection, received_ns, data in self._serialised(topics):
            if isinstance(connection.ext, ConnectionExtRosbag1):
                data = bytes(
                    self._typestore(connection, False).ros1_to_cdr(data, connection.msgtype)
                )
            yield connection.topic, received_ns, data

    def _serialised(
        self, topics: Collection[str], types: Collection[str] = ()
    ) -> Iterator[tuple[Connection, int, bytes]]:
        for storage in self._storages:
            wanted = [
                connection
                for connection in storage.connections
                if connection.topic in topics and (not types or connection.msgtype in types)
            ]
            for connection, received_ns, data in self._read(storage, wanted) if wanted else ():
                # Messages that were compressed one by one, in a bag without its metadata.
                if data[:4] == _ZSTD_MAGIC:
                    data = zstd.decompress(data)
                yield connection, received_ns, data

    def _read(
        self, storage: _Storage, wanted: list[Connection]
    ) -> Iterator[tuple[Connection, int, bytes]]:
        """Yields the messages of one storage; after a damaged place those that can be found."""
        read: Counter[tuple[str, int]] = Counter()
        try:
            for connection, received_ns, data in storage.messages(wanted):
                read[connection.topic, received_ns] += 1
                yield connection, received_ns, data
            return
        except _FAULTS as error:
            self._warn(
                f"{self.path}: damaged after {sum(read.values())} messages: {_reason(error)}; "
                "what is whole is read"
            )
        # Read the files from their beginning, without what has been read already.
        topics = {connection.topic for connection in wanted}
        for scanned in _scanned_files(
            _files(storage.path), lambda text: self._warn(f"{self.path}: {text}")
        ):
            found = [each for each in scanned.connections if each.topic in topics]
            for connection, received_ns, data in scanned.messages(found) if found else ():
                if read[connection.topic, received_ns] > 0:
                    read[connection.topic, received_ns] -= 1
                else:
                    yield connection, received_ns, data

    def _typestore(self, connection: Connection, is_ros1: bool) -> Typestore:
        """Returns the ready types, with that of the connection added if they lack it."""
        if is_ros1 not in self._typestores:
            store = Stores.ROS1_NOETIC if is_ros1 else Stores.ROS2_HUMBLE
            self._typestores[is_ros1] = get_typestore(store)
        types = self._typestores[is_ros1]
        if connection.msgtype not in types.fielddefs:
            _add_type(types, connection, self.path)
        return types


@contextmanager
def open_bag(path: Path, warn: Warn = print_warning) -> Iterator[Bag]:
    """Opens a bag: a folder of rosbag2 with or without metadata.yaml, or an .mcap, .db3 or .bag.

    warn: called with one line for everything that is missing from a damaged bag.
    Raises InputError naming the bag if nothing in it can be read.
    """
    if not path.exists():
        raise InputError(f"{path}: no such file or folder, expected a bag")
    failures: list[str] = []
    with ExitStack() as stack:
        try:
            storages = list(_open_storages(path, stack, failures.append))
        except OSError as error:
            failures.append(error.strerror or str(error))
            storages = []
        if not storages:
            reason = "; ".join(failures) or f"no files that end in {', '.join(BAG_SUFFIXES)}"
            raise InputError(f"{path}: cannot be read, expected a whole bag of ROS: {reason}")
        for failure in failures:
            warn(f"{path}: {failure}")
        yield Bag(path, storages, warn)


def is_bag(path: Path) -> bool:
    """Returns whether a file, or a folder with its files, is a bag by its names."""
    if path.is_dir():
        return (path / "metadata.yaml").is_file() or bool(_files(path))
    return _is_storage(path.name)


def _is_storage(name: str) -> bool:
    """Whether the name is that of a file of a bag; .active is one whose recording was cut off."""
    return name.removesuffix(".zstd").removesuffix(".active").endswith(BAG_SUFFIXES)


def _open_storages(path: Path, stack: ExitStack, warn: Warn) -> Iterator[_Storage]:
    """Yields readers of a bag, by its index where there is one."""
    if path.is_dir() and (path / "metadata.yaml").is_file():
        try:
            whole: Any = stack.enter_context(rosbag2.Reader(path))
            yield whole
            return
        except _FAULTS as error:
            warn(f"metadata.yaml cannot be used ({_reason(error)})")
    elif path.is_dir():
        warn("no metadata.yaml")
    for file in _files(path):
        file = _decompressed(file, stack)
        if bag_kind(file) is None:
            is_empty = file.stat().st_size == 0
            warn(f"{file.name}: {'is empty' if is_empty else 'does not begin like a bag'}")
            continue
        try:
            reader: Any = (rosbag1 if bag_kind(file) == "ros1" else rosbag2).Reader(file)
            yield stack.enter_context(reader)
        except _FAULTS as error:
            told: list[str] = []
            yield from _scanned_files([file], told.append)
            for text in told or [f"{file.name}: {_reason(error)}"]:
                warn(text)


def _files(path: Path) -> list[Path]:
    """Returns the storage files of a bag in the order of their numbers."""
    if path.is_file():
        return [path]
    names = [each for each in path.iterdir() if each.is_file()]
    names = [each for each in names if _is_storage(each.name)]
    return sorted(
        names,
        key=lambda each: [int(n) if n.isdigit() else n for n in re.split(r"(\d+)", each.name)],
    )


def _decompressed(file: Path, stack: ExitStack) -> Path:
    """Returns a file, or its content in a temporary folder if it is compressed as a whole."""
    if file.suffix != ".zstd":
        return file
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    with zstd.open(file, "rb") as source, (folder / file.stem).open("wb") as target:
        shutil.copyfileobj(source, target)
    return folder / file.stem


def _scanned_files(files: list[Path], warn: Warn) -> Iterator[ScannedBag]:
    """Yields readers that need no index, of those files that can be read at all."""
    for file in files:
        kind = bag_kind(file)
        if kind is None:
            continue
        try:
            scanned = ScannedBag(file, kind)
        except (InputError, *_FAULTS) as error:
            warn(f"{file.name}: {_reason(error)}")
            continue
        count = sum(connection.msgcount for connection in scanned.connections)
        whole = (
            f"{count} messages in it are whole and are read" if count else "nothing in it is whole"
        )
        for fault in scanned.faults:
            warn(f"{file.name}: {fault}; {whole}")
        if count:
            yield scanned


def _add_type(types: Typestore, connection: Connection, path: Path) -> None:
    """Adds the definition that a bag has of a type; raises InputError if it cannot be used."""
    definition = connection.msgdef
    where = f"{path}, {connection.topic}: {connection.msgtype}"
    if definition.format == MessageDefinitionFormat.NONE:
        raise InputError(f"{where}: type not known, and the bag has no definition of it")
    try:
        parse = (
            get_types_from_msg
            if definition.format == MessageDefinitionFormat.MSG
            else lambda text, _: get_types_from_idl(text)
        )
        found = parse(definition.data, connection.msgtype)
        types.register(
            {name: fields for name, fields in found.items() if name not in types.fielddefs}
        )
    except Exception as error:  # rosbags' parser of definitions raises several kinds
        raise InputError(f"{where}: its definition cannot be parsed: {_reason(error)}") from None


def _header_stamp_ns(message: Any) -> int:
    """Returns the stamp of a message's header in nanoseconds; 0 without one."""
    stamp = getattr(getattr(message, "header", None), "stamp", None)
    return 0 if stamp is None else int(stamp.sec) * 10**9 + int(stamp.nanosec)


def _reason(error: BaseException) -> str:
    """Returns the message of an error on one line, or its class."""
    return " ".join(str(error).split()) or type(error).__name__
