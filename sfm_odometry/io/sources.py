"""Images from what people have: folders, videos, bags and live cameras, by one function."""

import argparse
import re
from pathlib import Path

from sfm_odometry.errors import InputError
from sfm_odometry.io.image_folders import find_layout, open_folder
from sfm_odometry.io.image_source import ImageSource, SourceImage
from sfm_odometry.io.images import IMAGE_SUFFIXES
from sfm_odometry.io.live_camera import open_live
from sfm_odometry.io.stamps import NOMINAL_RATE_HZ
from sfm_odometry.io.videos import VIDEO_SUFFIXES, is_video, open_video

__all__ = ["FORMS", "ImageSource", "SourceImage", "open_images"]

FORMS = (
    "a folder of images",
    "a KITTI odometry or raw folder",
    "a TUM folder (rgb.txt)",
    "an EuRoC folder (mav0, cam0)",
    "a 7-Scenes folder",
    "a video",
    "a ROS bag (.bag, .mcap, .db3 or a folder of rosbag2)",
    "the number of a live camera, or the address of a stream (rtsp://..., http://...)",
)
"""Known forms, as error messages and help texts name them."""
BAG_SUFFIXES = (".bag", ".mcap", ".db3", ".zstd", ".active")
BAG_MAGICS = (b"#ROSBAG V", b"\x89MCAP0", b"SQLite format 3")
"""First bytes of bags. In one of compressed images FFmpeg would find a video without times."""
LIVE_PATTERN = re.compile(r"\d{1,3}|/dev/video\d+|[a-z]+://.+")
"""A camera's number or device, or a network stream."""


def open_named_images(arguments: argparse.Namespace) -> ImageSource:
    """Open the images that a command line names: images, topic, camera, times, rate, bit_depth.

    Raises InputError as `open_images`.
    """
    return open_images(
        arguments.images,
        arguments.topic,
        arguments.camera,
        arguments.times,
        arguments.rate,
        arguments.bit_depth,
    )


def open_images(
    path: Path | str,
    topic: str | None = None,
    camera: int | None = None,
    times: Path | None = None,
    rate_hz: float = NOMINAL_RATE_HZ,
    bits: str = "auto",
) -> ImageSource:
    """Open the images of a folder, video, bag or live camera; see FORMS.

    topic: of a bag; by default the only one of images. camera: of a folder with several. times: a
    list of times for a folder or video. rate_hz: of images that are only numbered. bits: used bits
    of 16-bit images in folders and bags, see :class:`BitDepth`. Raises InputError for an unknown
    form, naming the known ones, and for options that do not fit.
    """
    if not rate_hz > 0:
        raise InputError(f"--rate {rate_hz:g}: expected more than 0 frames a second")
    place = Path(path)
    if not place.exists() or str(path).startswith("/dev/video"):
        if LIVE_PATTERN.fullmatch(str(path)):
            _refuse(str(path), "a live camera", topic, times)
            return open_live(str(path))
        raise InputError(f"{path}: no such file or folder, expected {_or(FORMS)}")
    layout = find_layout(place, camera) if place.is_dir() else None
    if layout is not None:
        _refuse(str(path), f"a {layout.form}", topic, None)
        return open_folder(layout, times, rate_hz, bits)
    source = _open_bag(place, topic, times, bits) or _open_video(place, topic, times)
    if source is None:
        raise InputError(f"{path}: {_contents(place)}, expected {_or(FORMS)}")
    return source


def _open_bag(place: Path, topic: str | None, times: Path | None, bits: str) -> ImageSource | None:
    """Open a bag; None for anything else."""
    files = list(place.iterdir()) if place.is_dir() else [place]
    has_storage = any(file.suffix.lower() in BAG_SUFFIXES for file in files) or _is_bag(place)
    if not has_storage and not (place / "metadata.yaml").is_file():
        return None
    try:
        from sfm_odometry.io.bag_images import open_bag_images
    except ImportError as error:
        raise InputError(f"{place}: bags need a package: pip install rosbags ({error})") from None
    _refuse(str(place), "a bag", None, times)
    return open_bag_images(place, topic, bits)


def _is_bag(place: Path) -> bool:
    """Whether a file is a bag by its first bytes, whatever its name is."""
    if not place.is_file():
        return False
    with place.open("rb") as stream:
        return stream.read(16).startswith(BAG_MAGICS)


def _open_video(place: Path, topic: str | None, times: Path | None) -> ImageSource | None:
    """Open a video, or the only one of a folder; None for anything else."""
    if place.is_dir():
        videos = [file for file in place.iterdir() if file.suffix.lower() in VIDEO_SUFFIXES]
        if len(videos) != 1:
            return None
        place = videos[0]
    if place.suffix.lower() in IMAGE_SUFFIXES or not is_video(place):
        return None
    _refuse(str(place), "a video", topic, None)
    return open_video(place, times)


def _refuse(path: str, form: str, topic: str | None, times: Path | None) -> None:
    """Raise InputError for an option that the form has no use for."""
    if topic is not None:
        raise InputError(f"{path}: is {form}, which has no topics: --topic {topic} is of no use")
    if times is not None:
        raise InputError(f"{path}: is {form}, which has its own times: --times is of no use")


def _contents(place: Path) -> str:
    """What there is instead of images, for the error."""
    if place.is_file():
        is_image = place.suffix.lower() in IMAGE_SUFFIXES
        return "is one image, not the folder of images" if is_image else "is of no known form"
    holders = sorted(path.name for path in place.iterdir() if path.is_dir() and _has_images(path))
    if holders:
        listed = ", ".join(holders[:5])
        return f"no images in it, but in its folders {listed}: give one of them"
    suffixes = sorted({path.suffix for path in place.iterdir() if path.suffix and path.is_file()})
    found = f", only {', '.join(suffixes[:5])} files" if suffixes else ""
    return f"no images in it{found}"


def _has_images(folder: Path) -> bool:
    """Whether a folder would be taken."""
    try:
        return find_layout(folder) is not None
    except InputError:
        return False


def _or(names: tuple[str, ...]) -> str:
    return f"{', '.join(names[:-1])}, or {names[-1]}"
