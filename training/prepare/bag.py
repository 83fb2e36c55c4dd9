"""Source `bag`: image topics of ROS 1 and ROS 2 bags, raw or compressed.

The intrinsics are from the topic's CameraInfo, a calibration or a field of view.
"""

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
from training.prepare.calibration import add_camera_arguments, intrinsics_from_options
from training.prepare.rate import (
    PERIOD_SAMPLE_FRAMES,
    FrameCounter,
    add_rate_arguments,
    median_period_s,
)
from training.prepare.recording import Recording, SceneView, SourceFrame, fingerprint_text
from training.prepare.sequences import select_paths

HELP = (
    "a bag of ROS 2 (a folder with metadata.yaml, an .mcap or .db3 file) or ROS 1 (.bag), "
    "or a folder of them"
)
SUFFIXES = (".mcap", ".db3", ".bag")
IMAGE_TYPES = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage")
CAMERA_INFO_TYPES = ("sensor_msgs/msg/CameraInfo",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options that only this source has."""
    # Calibration and frame rate, as for video files.
    add_camera_arguments(parser)
    add_rate_arguments(parser)
    # Bags, topics and rectification.
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
    """Image topic of a bag and the properties of its first messages."""

    bag: Path
    name: str
    size: tuple[int, int]
    """Height and width of the images in pixels."""
    channels: int
    """1 (grey) or 3 (RGB)."""
    period_s: float
    """Median time between images in seconds."""
    count: int
    """Number of messages."""


@dataclass(frozen=True, eq=False)
class _Camera:
    """Intrinsics of the images after rectification, and the rectification itself."""

    intrinsics: Intrinsics
    known: bool
    """Whether the intrinsics come from a calibration."""
    rectify: Rectifier | None = None
    """Rectification of the images, or None where they are rectified already."""
    origin: str = ""
    """Fingerprint of the calibration that the images are rectified by; empty without one."""


def find(arguments: argparse.Namespace) -> list[Recording]:
    """Returns one recording for each selected topic of each bag; each bag is a drive."""
    bags = select_paths(arguments.root, _bag_paths(arguments.root), arguments.sequences)
    return [recording for bag in bags for recording in _bag_recordings(bag, arguments)]


def _bag_recordings(bag: Path, arguments: argparse.Namespace) -> list[Recording]:
    """Returns the recordings of one bag."""
    with _open_bag(bag) as reader:
        return [
            _recording(reader, bag, name, arguments)
            for name in _topic_names(reader, bag, arguments.topics)
        ]


def _bag_paths(root: Path) -> list[Path]:
    """Returns the bags under `root`, or `root` itself if it is a bag; InputError if none."""
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
            f"{root}: no bag in it, expected folders with metadata.yaml "
            f"or files that end in {', '.join(SUFFIXES)}"
        )
    return bags


def _topic_names(reader: AnyReader, bag: Path, requested: list[str]) -> list[str]:
    """Returns the requested image topics, or the only one that the bag has.

    Raises InputError if a topic is missing or if several topics leave the choice open.
    """
    present = sorted(
        {connection.topic for connection in reader.connections if connection.msgtype in IMAGE_TYPES}
    )
    missing = sorted(set(requested) - set(present))
    if missing or not present:
        raise InputError(
            f"{bag}: no images on {', '.join(missing) or 'any topic'}, "
            f"its topics of images: {', '.join(present) or 'none'}"
        )
    if not requested and len(present) > 1:
        raise InputError(f"{bag}: images on {', '.join(present)}, expected --topics to say which")
    return requested or present


def _recording(reader: AnyReader, bag: Path, name: str, arguments: argparse.Namespace) -> Recording:
    """Returns the recording of one image topic."""
    topic = _probe_topic(reader, bag, name)
    camera = _find_camera(reader, topic, arguments)
    every = FrameCounter(topic.period_s, arguments.every, arguments.rate).every
    return Recording(
        drive=bag.stem,
        views=(SceneView(f"{bag.stem}_{name.strip('/').replace('/', '_')}", name),),
        intrinsics=camera.intrinsics,
        channels=topic.channels,
        frames=partial(_frames, topic, camera, every),
        count=max(topic.count // every, 1),
        origin=f"{bag.name}:{_bag_bytes(bag)} {name} every {every} {camera.origin}",
        intrinsics_known=camera.known,
    )


def _probe_topic(reader: AnyReader, bag: Path, name: str) -> _Topic:
    """Returns size, channels and period of a topic, from its first messages."""
    # Decode the first image.
    messages = itertools.islice(_messages(reader, name, IMAGE_TYPES), PERIOD_SAMPLE_FRAMES)
    first, first_ns = next(messages, (None, 0))
    if first is None:
        raise InputError(f"{bag}: no messages on {name}, expected images")
    image = _decode(first, f"{bag}, {name}, first image")
    # Measure the period on its stamp and those of the images that follow.
    stamps_s = [first_ns * 1e-9, *(stamp_ns * 1e-9 for _, stamp_ns in messages)]
    return _Topic(
        bag=bag,
        name=name,
        size=image.shape[:2],
        channels=1 if image.ndim == 2 else 3,
        period_s=median_period_s(stamps_s, bag),
        count=reader.topics[name].msgcount,
    )


def _find_camera(reader: AnyReader, topic: _Topic, arguments: argparse.Namespace) -> _Camera:
    """Returns the camera of --calib or --fov, else of the topic's first CameraInfo.

    Raises InputError without any of them.
    """
    height, width = topic.size
    from_options = intrinsics_from_options(arguments, width, height)
    if from_options is not None:
        return _Camera(*from_options)
    name = arguments.camera_info or _info_topic(topic.name)
    info = next(_messages(reader, name, CAMERA_INFO_TYPES), None)
    if info is None:
        raise InputError(
            f"{topic.bag}: no CameraInfo on {name}, "
            "expected one, or --camera-info, --calib or --fov"
        )
    # The name covers image_proc's image_rect and image_rect_color.
    rectified = arguments.rectified or "image_rect" in topic.name
    return _camera_from_info(info[0], width, height, rectified, f"{topic.bag}, {name}")


def _camera_from_info(
    message: Any, width: int, height: int, rectified: bool, where: str
) -> _Camera:
    """Returns the camera of a CameraInfo; raises CalibrationError starting with `where`."""
    try:
        rectifier = Rectifier(Calibration.from_message(message), width, height, rectified)
    except (CalibrationError, ImageError) as error:
        raise CalibrationError(
            f"{where}: {error}; --calib or --fov would be taken instead"
        ) from None
    if not rectifier.resamples:
        return _Camera(rectifier.intrinsics, known=True)
    origin = fingerprint_text("Calibration", rectifier.calibration)
    return _Camera(rectifier.intrinsics, known=True, rectify=rectifier, origin=origin)


def _info_topic(name: str) -> str:
    """Returns the topic of the CameraInfo of an image topic, by ROS convention.

    It is /camera/camera_info for /camera/image_raw and for /camera/image_raw/compressed.
    """
    return name.removesuffix("/compressed").rpartition("/")[0] + "/camera_info"


def _frames(
    topic: _Topic, camera: _Camera, every: int, is_needed: Callable[[int], bool]
) -> Iterator[SourceFrame]:
    """Yields every n-th image of a topic as a frame, numbered by its stamp."""
    counter = FrameCounter(topic.period_s, every, 1.0)
    index = 0
    with _open_bag(topic.bag) as reader:
        for message, stamp_ns in _messages(reader, topic.name, IMAGE_TYPES):
            number = counter.next(stamp_ns * 1e-9)
            if number is None:
                continue
            where = f"{topic.bag}, {topic.name}, image stamped {stamp_ns}"
            decode = partial(_rectified_image, message, topic.size, camera, where)
            yield SourceFrame(number, decode if is_needed(index) else None)
            index += 1


def _rectified_image(
    message: Any, size: tuple[int, int], camera: _Camera, where: str
) -> np.ndarray:
    """Returns the rectified image (H, W) or (H, W, 3) of a message.

    Raises InputError starting with `where` if its size is not `size`, (H, W).
    """
    image = _decode(message, where)
    if image.shape[:2] != size:
        raise InputError(
            f"{where}: {image.shape[1]}x{image.shape[0]} pixels, "
            f"expected {size[1]}x{size[0]} as of the first"
        )
    return image if camera.rectify is None else camera.rectify(image)


def _decode(message: Any, where: str) -> np.ndarray:
    """Returns the image (H, W) or (H, W, 3) of a message; ImageError starts with `where`."""
    try:
        return decode_image(message)
    except ImageError as error:
        raise ImageError(f"{where}: {error}") from None


def _messages(
    reader: AnyReader, topic: str, message_types: tuple[str, ...]
) -> Iterator[tuple[Any, int]]:
    """Yields the messages of a topic and their stamps in nanoseconds.

    Stamps are of the header, or of reception where the header's is not filled.
    """
    connections: list[Connection] = [
        connection
        for connection in reader.connections
        if connection.topic == topic and connection.msgtype in message_types
    ]
    for connection, received_ns, data in reader.messages(connections) if connections else ():
        message: Any = reader.deserialize(data, connection.msgtype)
        stamp = message.header.stamp
        yield message, (stamp.sec * 10**9 + stamp.nanosec) or received_ns


@contextmanager
def _open_bag(path: Path) -> Iterator[AnyReader]:
    """Opens a bag for reading; whatever is wrong with it is raised as InputError naming it."""
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
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(
            f"{path}: cannot be read, expected a whole bag of ROS: {reason}"
        ) from error


def _bag_bytes(bag: Path) -> int:
    """Returns the size of a bag's files in bytes."""
    files = [bag] if bag.is_file() else [path for path in bag.iterdir() if path.is_file()]
    return sum(path.stat().st_size for path in files)
