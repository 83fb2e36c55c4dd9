"""Bags of ROS 1 and ROS 2: a topic of images, raw or compressed, with its CameraInfo, a
calibration or a field of view."""

import argparse
import itertools
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from rosbags.highlevel import AnyReader, AnyReaderError
from rosbags.interfaces import Connection
from rosbags.rosbag1 import ReaderError as Reader1Error
from rosbags.rosbag2 import ReaderError as Reader2Error
from rosbags.typesys import Stores, get_typestore

from sfm_odometry.errors import CalibrationError, ImageError, InputError
from sfm_odometry.geometry.camera import Intrinsics
from sfm_odometry.io.ros_camera_info import Calibration, Rectifier
from sfm_odometry.io.ros_image import decode_image
from training.prepare.calibration import add_camera_arguments, given_intrinsics
from training.prepare.rate import SAMPLE, FrameCounter, add_rate_arguments, typical_period_s
from training.prepare.recording import Recording, SceneView, SourceFrame
from training.prepare.sequences import chosen_paths

HELP = "a bag of ROS 2 (a folder with metadata.yaml, an .mcap or .db3 file) or ROS 1 (.bag), or a folder of them"
SUFFIXES = (".mcap", ".db3", ".bag")
RAW, COMPRESSED, INFO = (
    f"sensor_msgs/msg/{name}" for name in ("Image", "CompressedImage", "CameraInfo")
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this source alone."""
    add_camera_arguments(parser)
    add_rate_arguments(parser)
    parser.add_argument(
        "--sequences",
        nargs="*",
        default=[],
        help="names of the bags to take out of a folder, without their endings",
    )
    parser.add_argument(
        "--topics",
        nargs="*",
        default=[],
        help="image topics, each a scene; by default the only one that a bag has",
    )
    parser.add_argument(
        "--camera-info",
        help="the topic of the CameraInfo; by default camera_info beside the images",
    )
    parser.add_argument(
        "--rectified",
        action="store_true",
        help="the images are rectified, though their topic is not called image_rect",
    )


@dataclass(frozen=True)
class _Topic:
    """A topic of images in a bag, and what its first messages show."""

    bag: Path
    name: str
    size: tuple[int, int]
    """Height and width."""
    channels: int
    period_s: float
    count: int


@dataclass(frozen=True, eq=False)
class _Camera:
    """Intrinsics of the images once they were rectified, if they are to be."""

    intrinsics: Intrinsics
    known: bool
    rectify: Rectifier | None = None
    origin: str = ""
    """Says what the images are rectified by."""


def find(arguments: argparse.Namespace) -> list[Recording]:
    """A recording of each chosen topic of each bag; the drives are the bags."""
    bags = chosen_paths(arguments.root, _bag_paths(arguments.root), arguments.sequences)
    return [recording for bag in bags for recording in _bag_recordings(bag, arguments)]


def _bag_recordings(bag: Path, arguments: argparse.Namespace) -> list[Recording]:
    with _opened(bag) as reader:
        return [
            _recording(reader, bag, name, arguments)
            for name in _topic_names(reader, bag, arguments.topics)
        ]


def _bag_paths(root: Path) -> list[Path]:
    if not root.exists():
        raise InputError(f"{root}: no such file or folder, expected a bag")
    if root.is_file() or (root / "metadata.yaml").is_file():
        return [root]
    bags = sorted(
        path
        for path in root.iterdir()
        if path.suffix in SUFFIXES or (path / "metadata.yaml").is_file()
    )
    if not bags:
        raise InputError(
            f"{root}: no bag in it, expected folders with metadata.yaml or files that end in {', '.join(SUFFIXES)}"
        )
    return bags


def _topic_names(reader: AnyReader, bag: Path, wanted: list[str]) -> list[str]:
    present = sorted(
        {
            connection.topic
            for connection in reader.connections
            if connection.msgtype in (RAW, COMPRESSED)
        }
    )
    missing = sorted(set(wanted) - set(present))
    if missing or not present:
        raise InputError(
            f"{bag}: no images on {', '.join(missing) or 'any topic'}, its topics of images: {', '.join(present) or 'none'}"
        )
    if not wanted and len(present) > 1:
        raise InputError(f"{bag}: images on {', '.join(present)}, expected --topics to say which")
    return wanted or present


def _recording(reader: AnyReader, bag: Path, name: str, arguments: argparse.Namespace) -> Recording:
    topic = _look_into(reader, bag, name)
    camera = _camera(reader, topic, arguments)
    every = FrameCounter(topic.period_s, arguments.every, arguments.rate).every
    return Recording(
        drive=bag.stem,
        views=(SceneView(f"{bag.stem}_{name.strip('/').replace('/', '_')}", name),),
        intrinsics=camera.intrinsics,
        channels=topic.channels,
        frames=partial(_frames, topic, camera, every),
        count=max(topic.count // every, 1),
        origin=f"{bag.name}:{_bytes(bag)} {name} every {every} {camera.origin}",
        intrinsics_known=camera.known,
    )


def _look_into(reader: AnyReader, bag: Path, name: str) -> _Topic:
    messages = itertools.islice(_messages(reader, name, (RAW, COMPRESSED)), SAMPLE)
    first, first_ns = next(messages, (None, 0))
    if first is None:
        raise InputError(f"{bag}: no messages on {name}, expected images")
    image = _decoded(first, f"{bag}, {name}, first image")
    period_s = typical_period_s(
        [first_ns * 1e-9, *(stamp_ns * 1e-9 for _, stamp_ns in messages)], bag
    )
    return _Topic(
        bag,
        name,
        image.shape[:2],
        1 if image.ndim == 2 else 3,
        period_s,
        reader.topics[name].msgcount,
    )


def _camera(reader: AnyReader, topic: _Topic, arguments: argparse.Namespace) -> _Camera:
    height, width = topic.size
    given = given_intrinsics(arguments, width, height)
    if given is not None:
        return _Camera(*given)
    name = arguments.camera_info or _info_topic(topic.name)
    found = next(_messages(reader, name, (INFO,)), None)
    if found is None:
        raise InputError(
            f"{topic.bag}: no CameraInfo on {name}, expected one, or --camera-info, --calib or --fov"
        )
    rectified = (
        arguments.rectified or "image_rect" in topic.name
    )  # image_proc's image_rect and image_rect_color
    return _camera_of_info(found[0], width, height, rectified, f"{topic.bag}, {name}")


def _camera_of_info(message: Any, width: int, height: int, rectified: bool, where: str) -> _Camera:
    try:
        rectifier = Rectifier(Calibration.from_message(message), width, height, rectified)
    except (CalibrationError, ImageError) as error:
        raise CalibrationError(
            f"{where}: {error}; --calib or --fov would be taken instead"
        ) from None
    if not rectifier.resamples:
        return _Camera(rectifier.intrinsics, True)
    return _Camera(rectifier.intrinsics, True, rectifier, repr(rectifier.calibration))


def _info_topic(name: str) -> str:
    """/camera/camera_info of /camera/image_raw, and of /camera/image_raw/compressed."""
    return name.removesuffix("/compressed").rpartition("/")[0] + "/camera_info"


def _frames(
    topic: _Topic, camera: _Camera, every: int, wanted: Callable[[int], bool]
) -> Iterator[SourceFrame]:
    counter = FrameCounter(topic.period_s, every, 1.0)
    index = 0
    with _opened(topic.bag) as reader:
        for message, stamp_ns in _messages(reader, topic.name, (RAW, COMPRESSED)):
            number = counter.next(stamp_ns * 1e-9)
            if number is None:
                continue
            where = f"{topic.bag}, {topic.name}, image stamped {stamp_ns}"
            yield SourceFrame(
                number,
                partial(_image, message, topic.size, camera, where) if wanted(index) else None,
            )
            index += 1


def _image(message: Any, size: tuple[int, int], camera: _Camera, where: str) -> np.ndarray:
    image = _decoded(message, where)
    if image.shape[:2] != size:
        raise InputError(
            f"{where}: {image.shape[1]}x{image.shape[0]} pixels, expected {size[1]}x{size[0]} as of the first"
        )
    return image if camera.rectify is None else camera.rectify(image)


def _decoded(message: Any, where: str) -> np.ndarray:
    try:
        return decode_image(message)
    except ImageError as error:
        raise ImageError(f"{where}: {error}") from None


def _messages(reader: AnyReader, topic: str, kinds: tuple[str, ...]) -> Iterator[tuple[Any, int]]:
    """Message and stamp in nanoseconds, of the header or, where that is not filled, of
    reception."""
    connections: list[Connection] = [
        each for each in reader.connections if each.topic == topic and each.msgtype in kinds
    ]
    for connection, received_ns, data in reader.messages(connections) if connections else ():
        message: Any = reader.deserialize(data, connection.msgtype)
        stamp = message.header.stamp
        yield message, (stamp.sec * 10**9 + stamp.nanosec) or received_ns


@contextmanager
def _opened(path: Path) -> Iterator[AnyReader]:
    try:
        with AnyReader([path], default_typestore=get_typestore(Stores.ROS2_HUMBLE)) as reader:
            yield reader
    except (
        AnyReaderError,
        Reader1Error,
        Reader2Error,
        sqlite3.Error,
        OSError,
        AssertionError,
    ) as error:
        what = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{path}: cannot be read, expected a whole bag of ROS: {what}") from error


def _bytes(bag: Path) -> int:
    files = [bag] if bag.is_file() else [path for path in bag.iterdir() if path.is_file()]
    return sum(path.stat().st_size for path in files)
