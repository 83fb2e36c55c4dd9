"""Bags without an index, read from their beginning as far as they are whole.

The recorder writes the index last: a bag whose recording was cut off, by an empty battery or a full
disk, has none, and rosbags refuses it. The readers here have the connections and the messages of
rosbags' readers, and say in `faults` what is missing.
"""

import bz2
import io
import os
import sqlite3
import struct
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from rosbags.interfaces import (
    Connection,
    ConnectionExtRosbag1,
    ConnectionExtRosbag2,
    MessageDefinition,
    MessageDefinitionFormat,
)
from rosbags.rosbag1.reader import Header, normalize, normalize_msgtype, read_uint32
from rosbags.rosbag2.metadata import parse_qos
from rosbags.rosbag2.storage_mcap import lz4_decompress, zstd

from sfm_odometry.errors import InputError

MCAP_MAGIC = b"\x89MCAP0\r\n"
ROS1_MAGIC = b"#ROSBAG V2.0\n"
_NO_DEFINITION = MessageDefinition(MessageDefinitionFormat.NONE, "")
_DEFINITION_FORMATS = {
    "ros1msg": MessageDefinitionFormat.MSG,
    "ros2msg": MessageDefinitionFormat.MSG,
    "ros2idl": MessageDefinitionFormat.IDL,
    "omgidl": MessageDefinitionFormat.IDL,
}
_HEADER, _FOOTER, _SCHEMA, _CHANNEL, _MESSAGE, _CHUNK = 1, 2, 3, 4, 5, 6
"""Kinds of records of an mcap file that matter here."""
_ROS1_MESSAGE, _ROS1_CHUNK, _ROS1_CONNECTION = 2, 5, 7
"""Kinds of records of a bag of ROS 1 that matter here."""

_PIECE_BYTES = 1 << 16
"""Compressed bytes that are decompressed at once."""

Entry = tuple[int, int, bytes]
"""Number of the connection, time of reception in nanoseconds, serialised message."""


class ScannedBag:
    """One file of a bag, read from its beginning; connections come from a first pass over it."""

    def __init__(self, path: Path, kind: str) -> None:
        """Reads the file once.

        kind: "mcap", "ros1" or "db3". Raises InputError if the file is none.
        """
        self.path = path
        self.is_ros1 = kind == "ros1"
        self.faults: list[str] = []
        """What of the file could not be read, in words."""
        self._scan = {"mcap": _scan_mcap, "ros1": _scan_ros1, "db3": _scan_sqlite}[kind]
        # Count the messages of every connection. The descriptions of those whose beginning is
        # damaged are repeated at the end.
        by_number: dict[int, Connection] = {}
        counts: Counter[int] = Counter()
        for number, _, _ in self._scan(path, by_number, self.faults.append):
            counts[number] += 1
        self.connections = [
            connection._replace(msgcount=counts[number], owner=self)
            for number, connection in by_number.items()
        ]

    def messages(
        self, connections: Collection[Connection] = ()
    ) -> Iterator[tuple[Connection, int, bytes]]:
        """Yields connection, time of reception and serialised message, in the file's order."""
        wanted = {connection.id: connection for connection in connections or self.connections}
        for number, stamp_ns, data in self._scan(self.path, {}, lambda _: None):
            if number in wanted:
                yield wanted[number], stamp_ns, data


def bag_kind(path: Path) -> str | None:
    """Returns "mcap", "ros1" or "db3" by a file's first bytes, or None for any other file."""
    with path.open("rb") as stream:
        head = stream.read(16)
    kinds = ((MCAP_MAGIC, "mcap"), (ROS1_MAGIC, "ros1"), (b"SQLite format 3\0", "db3"))
    return next((kind for magic, kind in kinds if head.startswith(magic)), None)


@dataclass
class _McapParts:
    """What the records of an mcap file have told so far."""

    schemas: dict[int, tuple[str, MessageDefinition]]
    """Name of the type, and its definition, by number."""
    connections: dict[int, Connection]


def _scan_mcap(
    path: Path, connections: dict[int, Connection], tell: Callable[[str], None]
) -> Iterator[Entry]:
    """Yields the messages of an mcap file, and enters its channels into `connections`."""
    parts = _McapParts({}, connections)
    with path.open("rb") as stream:
        stream.seek(len(MCAP_MAGIC))
        kind = _HEADER
        for kind, data, is_whole in _mcap_records(stream):
            offset = stream.tell() - len(data)
            if kind == _FOOTER:
                break
            if kind != _CHUNK:
                yield from _mcap_entry(kind, data, parts) if is_whole else ()
                continue
            # A chunk holds records; a damaged one is read as far as it can be decompressed.
            content, fault = _mcap_chunk(data, is_whole)
            if fault:
                tell(f"the chunk at byte {offset} {fault}")
            for inner, record, is_inner_whole in _mcap_records(io.BytesIO(content)):
                yield from _mcap_entry(inner, record, parts) if is_inner_whole else ()
        if kind != _FOOTER:
            tell(f"cut off after {path.stat().st_size} bytes")


def _mcap_records(stream: BinaryIO) -> Iterator[tuple[int, bytes, bool]]:
    """Yields kind and content of the records, and whether they are whole; the last may not be."""
    while len(head := stream.read(9)) == 9:
        kind, size = struct.unpack("<BQ", head)
        left = _bytes_left(stream)
        data = stream.read(min(size, left))
        yield kind, data, size <= left
        if size > left:
            return


def _bytes_left(stream: BinaryIO) -> int:
    """Returns the number of bytes from the stream's position to its end."""
    here = stream.tell()
    end = stream.seek(0, os.SEEK_END)
    stream.seek(here)
    return end - here


def _mcap_entry(kind: int, data: bytes, parts: _McapParts) -> Iterator[Entry]:
    """Yields the message of a record, if it is one; keeps schemas and channels."""
    if kind == _MESSAGE and len(data) >= 22:
        number, _, log_ns, _ = struct.unpack_from("<HIQQ", data)
        yield number, log_ns, data[22:]
    elif kind == _SCHEMA:
        number, fields = _strings(data, 3)
        form = _DEFINITION_FORMATS.get(fields[1], MessageDefinitionFormat.NONE)
        definition = MessageDefinition(form, fields[2]) if form.value else _NO_DEFINITION
        parts.schemas[number] = (fields[0], definition)
    elif kind == _CHANNEL:
        number, (topic, encoding, *_) = _strings(data[:2] + data[4:], 2)
        name, definition = parts.schemas.get(
            int.from_bytes(data[2:4], "little"), ("", _NO_DEFINITION)
        )
        extension = ConnectionExtRosbag2(encoding, _mcap_qos(data, topic, encoding))
        parts.connections.setdefault(
            number, Connection(number, topic, name, definition, "", 0, extension, None)
        )


def _strings(data: bytes, count: int) -> tuple[int, list[str]]:
    """Returns the 16-bit number at the beginning of a record and the strings that follow it."""
    strings = []
    offset = 2
    for _ in range(count):
        (size,) = struct.unpack_from("<I", data, offset)
        strings.append(data[offset + 4 : offset + 4 + size].decode("utf-8", "replace"))
        offset += 4 + size
    return int.from_bytes(data[:2], "little"), strings


def _mcap_qos(data: bytes, topic: str, encoding: str) -> list[Any]:
    """Returns the profiles of the publishers that a channel's metadata name; none if unclear."""
    offset = 12 + len(topic.encode()) + len(encoding.encode()) + 4
    try:
        while offset < len(data):
            _, (key, value) = _strings(b"\0\0" + data[offset:], 2)
            if key == "offered_qos_profiles":
                return _parsed_qos(value)
            offset += 8 + len(key.encode()) + len(value.encode())
    except struct.error:
        pass
    return []


def _parsed_qos(text: str) -> list[Any]:
    """Returns the profiles of the publishers of a topic; none if they cannot be parsed."""
    try:
        return list(parse_qos(text)) if text else []
    except Exception:  # whatever a parser of YAML says of a damaged text: the profile is unknown
        return []


def _mcap_chunk(data: bytes, is_whole: bool) -> tuple[bytes, str]:
    """Returns the records of a chunk as far as they can be decompressed, and its fault or ""."""
    try:
        size, _, compression_bytes = struct.unpack_from("<QII", data, 16)
        compression = data[32 : 32 + compression_bytes].decode()
        content = _decompress(compression, data[40 + compression_bytes :])
    except (struct.error, UnicodeError, InputError):
        return b"", "cannot be read"
    if is_whole and len(content) == size:
        return content, ""
    return content, "is damaged" if is_whole else "is cut off"


def _decompress(compression: str, data: bytes) -> bytes:
    """Returns the content of a chunk, as much of it as there is.

    Raises InputError for a compression that is not known.
    """
    if compression in ("", "none"):
        return data
    makers: dict[str, Callable[[], Any]] = {
        "zstd": zstd.ZstdDecompressor,
        "bz2": bz2.BZ2Decompressor,
    }
    content = bytearray()
    try:
        if compression == "lz4":
            return bytes(lz4_decompress(data))
        if compression not in makers:
            raise InputError(f"compression '{compression}' is not known")
        # Piece by piece, so that what lies before a damaged place is kept.
        decompressor = makers[compression]()
        for start in range(0, len(data), _PIECE_BYTES):
            content += decompressor.decompress(data[start : start + _PIECE_BYTES])
    except (RuntimeError, EOFError, OSError, ValueError, zstd.ZstdError):
        pass
    return bytes(content)


def _scan_ros1(
    path: Path, connections: dict[int, Connection], tell: Callable[[str], None]
) -> Iterator[Entry]:
    """Yields the messages of a bag of ROS 1, and enters its connections into `connections`."""
    with path.open("rb") as stream:
        stream.seek(len(ROS1_MAGIC))
        is_whole = True
        indexed = False
        for header, data, is_whole in _ros1_records(stream):
            kind = header["op"][0]
            indexed |= kind == 3 and header.get_uint64("index_pos") > 0
            if kind != _ROS1_CHUNK:
                yield from _ros1_entry(kind, header, data, connections) if is_whole else ()
                continue
            content = _decompress(header.get_string("compression"), data)
            if len(content) != header.get_uint32("size"):
                tell(f"the chunk that ends at byte {stream.tell()} is damaged or cut off")
            for inner, record, is_inner_whole in _ros1_records(io.BytesIO(content)):
                if is_inner_whole:
                    yield from _ros1_entry(inner["op"][0], inner, record, connections)
        if not is_whole or not indexed:
            tell(f"cut off after {path.stat().st_size} bytes, without an index")


def _ros1_records(stream: BinaryIO) -> Iterator[tuple[Header, bytes, bool]]:
    """Yields header and data of the records, and whether they are whole; the last may not be."""
    while _bytes_left(stream) >= 4:
        try:
            header = Header.read(stream)
            size = read_uint32(stream)
        except Exception:  # rosbags' errors of a header that is cut off or is none
            return
        if not header.get("op"):
            return
        left = _bytes_left(stream)
        data = stream.read(min(size, left))
        yield header, data, size <= left


def _ros1_entry(
    kind: int, header: Header, data: bytes, connections: dict[int, Connection]
) -> Iterator[Entry]:
    """Yields the message of a record, if it is one; keeps connections."""
    if kind == _ROS1_MESSAGE:
        yield header.get_uint32("conn"), header.get_time("time"), data
    elif kind == _ROS1_CONNECTION:
        fields = Header.read(io.BytesIO(struct.pack("<I", len(data)) + data))
        number = header.get_uint32("conn")
        definition = MessageDefinition(
            MessageDefinitionFormat.MSG, fields.get_string("message_definition")
        )
        connections.setdefault(
            number,
            Connection(
                number,
                normalize(header.get_string("topic")),
                normalize_msgtype(fields.get_string("type")),
                definition,
                fields.get_string("md5sum"),
                0,
                ConnectionExtRosbag1(None, int(fields.get("latching", b"0") or b"0")),
                None,
            ),
        )


def _scan_sqlite(
    path: Path, connections: dict[int, Connection], tell: Callable[[str], None]
) -> Iterator[Entry]:
    """Yields the messages of a database of rosbag2, and enters its topics into `connections`."""
    # Without a write-ahead log nobody changes the file, and it may lie where nothing is written.
    log = path.with_name(f"{path.name}-wal")
    mode = "mode=ro" if log.exists() else "mode=ro&immutable=1"
    database = sqlite3.connect(f"{path.absolute().as_uri()}?{mode}", uri=True)
    try:
        # A file that is shorter than its header says is refused without this.
        database.execute("PRAGMA writable_schema=ON")
        topics = database.execute("SELECT * FROM topics")
        names = [column[0] for column in topics.description]
        for values in topics:
            topic = dict(zip(names, values, strict=True))
            qos = _parsed_qos(topic.get("offered_qos_profiles") or "")
            connections[topic["id"]] = Connection(
                id=topic["id"],
                topic=topic["name"],
                msgtype=topic["type"],
                msgdef=_NO_DEFINITION,
                digest="",
                msgcount=0,
                ext=ConnectionExtRosbag2(topic["serialization_format"], qos),
                owner=None,
            )
        yield from database.execute("SELECT topic_id, timestamp, data FROM messages ORDER BY id")
    except sqlite3.Error as error:
        if not connections:
            raise InputError(f"{path}: no topics can be read: {error}") from None
        tell(f"damaged or cut off: {error}")
    finally:
        database.close()
