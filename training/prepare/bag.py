"""Source `bag`: image topics of ROS 1 and ROS 2 bags, raw or compressed.

The intrinsics are from the topic's CameraInfo, a calibration or a field of view.
"""

import argparse
import itertools
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from sfm_odometry.errors import CalibrationError, ImageError, InputError
from sfm_odometry.io.bags import (
    BAG_SUFFIXES,
    CAMERA_INFO_TYPES,
    IMAGE_TYPES,
    Bag,
    Warn,
    is_bag,
    open_bag,
)
from sfm_odometry.io.bit_depth import BitDepth
from sfm_odometry.io.ros_camera_info import Calibration, Rectifier
from sfm_odometry.io.ros_image import decode_image
from training.prepare.calibration import (
    RecordedCamera,
    add_camera_arguments,
    bit_depth_text,
    camera_from_options,
)
from training.prepare.damage import REPEATED, Outcome, damage_teller, tell_damage, warning_teller
from training.prepare.rate import (
    PERIOD_SAMPLE_FRAMES,
    FrameCounter,
    add_rate_arguments,
    has_steady_stamps,
    median_period_s,
    rate_text,
)
from training.prepare.recording import Recording, SceneView, SourceFrame, fingerprint_text
from training.prepare.sequences import select_paths

HELP = (
    "a bag of ROS 2 (a folder with metadata.yaml, an .mcap or .db3 file) or ROS 1 (.bag), "
    "or a folder of them"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options that only this source has."""
    # Calibration and frame rate, as for video files.
    add_camera_arguments(parser, own="the topic's CameraInfo")
    add_rate_arguments(parser)
    # Bags and topics.
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
    steady: bool
    """Whether the frame rate is steady."""


def find(arguments: argparse.Namespace) -> list[Recording]:
    """Returns one recording for each selected topic of each bag; each bag is a drive."""
    bags = select_paths(arguments.root, _bag_paths(arguments.root), arguments.sequences)
    return [recording for bag in bags for recording in _bag_recordings(bag, arguments)]


def _bag_recordings(bag: Path, arguments: argparse.Namespace) -> list[Recording]:
    """Returns the recordings of one bag."""
    warn = warning_teller(arguments)
    with open_bag(bag, warn) as reader:
        return [
            _recording(reader, name, arguments, warn)
            for name in _topic_names(reader, arguments.topics)
        ]


def _bag_paths(root: Path) -> list[Path]:
    """Returns the bags under `root`, or `root` itself if it is a bag; InputError if none."""
    if not root.exists():
        raise InputError(f"{root}: no such file or folder, expected a bag")
    if root.is_file() or (root / "metadata.yaml").is_file() or _is_one_recording(root):
        return [root]
    bags = sorted(path for path in root.iterdir() if is_bag(path))
    if not bags:
        raise InputError(
            f"{root}: no bag in it, expected folders with metadata.yaml "
            f"or files that end in {', '.join(BAG_SUFFIXES)}"
        )
    return bags


def _is_one_recording(folder: Path) -> bool:
    """Whether the bags in a folder are parts of one of rosbag2: folder_0.mcap, folder_1.mcap."""
    files = [path for path in folder.iterdir() if is_bag(path)]
    pattern = re.escape(folder.name) + r"_\d+\.(mcap|db3)(\.zstd)?"
    return len(files) > 1 and all(re.fullmatch(pattern, path.name) for path in files)


def _topic_names(reader: Bag, requested: list[str]) -> list[str]:
    """Returns the requested image topics, or the only one that the bag has.

    Raises InputError if a topic is missing or if several topics leave the choice open.
    """
    present = [topic.name for topic in reader.topics if topic.type in IMAGE_TYPES]
    missing = sorted(set(requested) - set(present))
    if missing or not present:
        raise InputError(
            f"{reader.path}: no images on {', '.join(missing) or 'any topic'}, "
            f"its topics of images: {', '.join(present) or 'none'}"
        )
    if not requested and len(present) > 1:
        raise InputError(
            f"{reader.path}: images on {', '.join(present)}, expected --topics to say which"
        )
    return requested or present


def _recording(reader: Bag, name: str, arguments: argparse.Namespace, warn: Warn) -> Recording:
    """Returns the recording of one image topic."""
    bag = reader.path
    topic = _probe_topic(reader, name, arguments)
    camera = _find_camera(reader, topic, arguments)
    new_counter = partial(
        FrameCounter, topic.period_s, arguments.every, arguments.rate, topic.steady
    )
    every = new_counter().every
    lost: Counter[str] = Counter()
    damaged = damage_teller(arguments, lost)
    rate = f"every {every}{rate_text(topic.steady)}"
    return Recording(
        drive=bag.stem,
        views=(SceneView(f"{bag.stem}_{name.strip('/').replace('/', '_')}", name),),
        intrinsics=camera.intrinsics,
        channels=topic.channels,
        frames=partial(
            _frames, topic, camera, new_counter, damaged, warn, lost, arguments.bit_depth
        ),
        count=max(topic.count // every, 1),
        origin=f"{bag.name}:{_bag_bytes(bag)} {name} {rate} {camera.origin}"
        + bit_depth_text(arguments),
        intrinsics_known=camera.known,
        lost=lost,
    )


def _probe_topic(reader: Bag, name: str, arguments: argparse.Namespace) -> _Topic:
    """Returns size, channels and period of a topic, from its first messages."""
    # Decode the first image that can be; damage is told when the frames are read.
    where = f"{reader.path}, {name}"
    image: np.ndarray | None = None
    reasons: list[str] = []
    stamps_s: list[float] = []
    messages = reader.messages([name], IMAGE_TYPES, reasons.append)
    for _, stamp_ns, message in itertools.islice(messages, PERIOD_SAMPLE_FRAMES):
        stamps_s.append(stamp_ns * 1e-9)
        if image is None:
            try:
                image = _decode(message, BitDepth(), f"{where}, image stamped {stamp_ns}")
            except ImageError as error:
                if arguments.strict:
                    raise
                reasons.append(str(error))
    if image is None:
        reason = reasons[0] if reasons else f"{where}: no messages on it"
        raise InputError(f"{reason}, expected images")
    # Measure the period on their stamps.
    period_s = median_period_s(stamps_s, reader.path)
    return _Topic(
        bag=reader.path,
        name=name,
        size=image.shape[:2],
        channels=1 if image.ndim == 2 else 3,
        period_s=period_s,
        count=sum(topic.count for topic in reader.topics if topic.name == name),
        steady=has_steady_stamps(stamps_s, period_s),
    )


def _find_camera(reader: Bag, topic: _Topic, arguments: argparse.Namespace) -> RecordedCamera:
    """Returns the camera of --calib or --fov, else of the topic's first CameraInfo.

    Raises InputError without any of them.
    """
    height, width = topic.size
    # The name covers image_proc's image_rect and image_rect_color.
    is_rectified = arguments.rectified or "image_rect" in topic.name
    from_options = camera_from_options(arguments, width, height, is_rectified=is_rectified)
    if from_options is not None:
        return from_options
    name = arguments.camera_info or _info_topic(topic.name)
    found = next(reader.messages([name], CAMERA_INFO_TYPES), None)
    if found is None:
        raise InputError(
            f"{topic.bag}: no CameraInfo on {name}, "
            "expected one, or --camera-info, --calib or --fov"
        )
    return _camera_from_info(found[2], width, height, is_rectified, f"{topic.bag}, {name}")


def _camera_from_info(
    message: Any, width: int, height: int, is_rectified: bool, where: str
) -> RecordedCamera:
    """Returns the camera of a CameraInfo; raises CalibrationError starting with `where`."""
    try:
        rectifier = Rectifier(Calibration.from_message(message), width, height, is_rectified)
    except (CalibrationError, ImageError) as error:
        raise CalibrationError(
            f"{where}: {error}; --calib or --fov would be taken instead"
        ) from None
    if rectifier.warning:
        tell_damage(f"{where}: {rectifier.warning}")
    if not rectifier.resamples:
        return RecordedCamera(rectifier.intrinsics, known=True)
    origin = fingerprint_text("Calibration", rectifier.calibration)
    return RecordedCamera(rectifier.intrinsics, known=True, rectify=rectifier, origin=origin)


def _info_topic(name: str) -> str:
    """Returns the topic of the CameraInfo of an image topic, by ROS convention.

    It is /camera/camera_info for /camera/image_raw and for /camera/image_raw/compressed.
    """
    return name.removesuffix("/compressed").rpartition("/")[0] + "/camera_info"


def _frames(
    topic: _Topic,
    camera: RecordedCamera,
    new_counter: Callable[[], FrameCounter],
    damaged: Warn,
    warn: Warn,
    lost: Counter[str],
    bits: str,
    is_needed: Callable[[int], bool],
) -> Iterator[SourceFrame]:
    """Yields the images nearest to the wanted times as frames, numbered by their stamps.

    damaged: called for a message that cannot be parsed. warn: called for a damaged bag.
    bits: used bits of 16-bit images.
    """
    counter = new_counter()
    bit_depth = BitDepth(bits)
    index = 0
    with open_bag(topic.bag, warn) as reader:
        for _, stamp_ns, message in reader.messages([topic.name], IMAGE_TYPES, damaged):
            number = counter.next(stamp_ns * 1e-9)
            if number is None:
                continue
            where = f"{topic.bag}, {topic.name}, image stamped {stamp_ns}"
            image: Callable[[], np.ndarray] = partial(
                _rectified_image, message, bit_depth, topic.size, camera, where
            )
            if "16" in getattr(message, "encoding", getattr(message, "format", "")):
                # The range of 16-bit values is held from one image to the next.
                image = Outcome(image)
            yield SourceFrame(number, image if is_needed(index) else None)
            index += 1
    lost.update({REPEATED: counter.repeated} if counter.repeated else {})


def _rectified_image(
    message: Any, bit_depth: BitDepth, size: tuple[int, int], camera: RecordedCamera, where: str
) -> np.ndarray:
    """Returns the rectified image (H, W) or (H, W, 3) of a message.

    Raises ImageError starting with `where` if its size is not `size`, (H, W).
    """
    image = _decode(message, bit_depth, where)
    if image.shape[:2] != size:
        raise ImageError(
            f"{where}: {image.shape[1]}x{image.shape[0]} pixels, "
            f"expected {size[1]}x{size[0]} as of the first"
        )
    return camera.rectified(image)


def _decode(message: Any, bit_depth: BitDepth, where: str) -> np.ndarray:
    """Returns the image (H, W) or (H, W, 3) of a message; ImageError starts with `where`."""
    try:
        return decode_image(message, bit_depth)
    except ImageError as error:
        raise ImageError(f"{where}: {error}") from None


def _bag_bytes(bag: Path) -> int:
    """Returns the size of a bag's files in bytes."""
    files = [bag] if bag.is_file() else [path for path in bag.iterdir() if path.is_file()]
    return sum(path.stat().st_size for path in files)
