"""Images of a topic of a bag, as an image source."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from sfm_odometry.errors import CalibrationError, ImageError, InputError
from sfm_odometry.io.bags import CAMERA_INFO_TYPES, IMAGE_TYPES, Bag, BagTopic, open_bag
from sfm_odometry.io.bit_depth import BitDepth
from sfm_odometry.io.image_source import ImageSource, SourceImage
from sfm_odometry.io.ros_camera_info import Calibration
from sfm_odometry.io.ros_image import decode_image
from sfm_odometry.io.stamps import seconds_text

RECTIFIED = "image_rect"
"""Part of the names of topics of rectified images: image_proc's image_rect, image_rect_color."""


def open_bag_images(path: Path, topic: str | None = None, bits: str = "auto") -> ImageSource:
    """Open the images of a bag's topic, by default its only one of images.

    bits: used bits of 16-bit images, see :class:`BitDepth`. Raises InputError for a topic that is
    not there, and where there are several to choose from.
    """
    notes: list[str] = []
    with open_bag(path, notes.append) as bag:
        chosen = _choose(bag, topic)
        info_topic = _info_topic(bag, chosen.name)
    # Only what opening said is kept: reading says it again.
    reader = _Reader(path, chosen.name, bits)
    source = ImageSource(
        f"{path}, {chosen.name}",
        "bag",
        chosen.count,
        reader.images,
        rectified=RECTIFIED in chosen.name,
        notes=notes,
        damage=reader.damage,
    )
    if info_topic:
        source.calibration = partial(_calibration, path, info_topic)
        source.calibration_name = f"{path}, {info_topic}"
    return source


class _Reader:
    """Reads the images of a topic, and holds what the frames of a camera have in common."""

    def __init__(self, path: Path, topic: str, bits: str) -> None:
        self._path = path
        self._topic = topic
        self._bits = bits
        self.damage: list[str] = []

    def images(self) -> Iterator[SourceImage]:
        """Yields the images in order of reception; what is damaged is noted."""
        self.damage.clear()
        bit_depth = BitDepth(self._bits)
        with open_bag(self._path, lambda text: None) as bag:
            messages = bag.messages([self._topic], IMAGE_TYPES, self.damage.append)
            for _, stamp_ns, message in messages:
                name = f"image stamped {seconds_text(stamp_ns)}"
                where = f"{self._path}, {self._topic}, {name}"
                read = partial(_decode, message, bit_depth, where)
                yield SourceImage(name, str(stamp_ns), stamp_ns, read)


def _decode(message: Any, bit_depth: BitDepth, where: str) -> np.ndarray:
    """Image (H, W) or (H, W, 3) of a message; raises ImageError starting with `where`."""
    try:
        return decode_image(message, bit_depth)
    except ImageError as error:
        raise ImageError(f"{where}: {error}") from None


def _choose(bag: Bag, topic: str | None) -> BagTopic:
    """The topic of images that is asked for, else the only one."""
    present = bag.topics_of(IMAGE_TYPES)
    names = ", ".join(each.name for each in present) or "none"
    if topic is not None:
        wanted = "/" + topic.strip("/")
        found = [
            each for each in present if each.name.rstrip("/") in (wanted, f"{wanted}/compressed")
        ]
        if not found:
            raise InputError(f"{bag.path}: no images on {topic}, its topics of images: {names}")
        return found[0]
    # Of an image and its compressed copy the first is taken: nothing is lost in it.
    plain = [each for each in present if each.name.removesuffix("/compressed") == each.name]
    copies = {f"{each.name}/compressed" for each in plain}
    cameras = [each for each in present if each.name not in copies]
    if not cameras:
        raise InputError(f"{bag.path}: no images on any topic, expected a bag with images")
    if len(cameras) > 1:
        raise InputError(f"{bag.path}: images on {names}, expected --topic to say which")
    return cameras[0]


def _info_topic(bag: Bag, image_topic: str) -> str:
    """Topic of the CameraInfo of an image topic; empty where there is none.

    It lies beside the images by convention; otherwise the bag's only one is taken.
    """
    present = [topic.name for topic in bag.topics_of(CAMERA_INFO_TYPES)]
    beside = image_topic.removesuffix("/compressed").rpartition("/")[0] + "/camera_info"
    if beside in present:
        return beside
    return present[0] if len(present) == 1 else ""


def _calibration(path: Path, topic: str, width: int, height: int) -> Calibration:
    """Calibration of the topic's first CameraInfo; raises CalibrationError naming the topic."""
    with open_bag(path, lambda text: None) as bag:
        for _, _, message in bag.messages([topic], CAMERA_INFO_TYPES, lambda text: None):
            try:
                return Calibration.from_message(message)
            except CalibrationError as error:
                raise CalibrationError(f"{path}, {topic}: {error}") from None
    raise CalibrationError(f"{path}, {topic}: no CameraInfo can be read")
