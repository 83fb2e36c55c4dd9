"""Reading of images and depth maps, and of the frame numbers in their names."""

import io
import itertools
import os
import re
import struct
import zipfile
from pathlib import Path

import cv2
import numpy as np

from sfm_odometry.errors import ImageError, InputError
from sfm_odometry.geometry.camera import Intrinsics
from sfm_odometry.io.bit_depth import BitDepth

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".pgm", ".ppm", ".webp")
EXPECTED_IMAGE = "a PNG, JPEG, TIFF, BMP or PGM image"
_NEXT_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
"""A JPEG's marker behind compressed data, in which FF is followed by 00 or a restart marker."""
_JPEG_START, _JPEG_END = 0xD8, 0xD9


def list_images(folder: Path) -> list[Path]:
    """Lists the images of a folder, ordered by the frame number at the end of the name.

    Raises InputError for a missing or empty folder, and for names without or with equal numbers.
    """
    folder = existing_folder(folder)
    paths = image_files(folder)
    if not paths:
        raise InputError(f"{folder}: no images in it, expected {', '.join(IMAGE_SUFFIXES)} files")
    paths.sort(key=lambda path: (frame_number(path), path.name))
    for first, second in itertools.pairwise(paths):
        if frame_number(first) == frame_number(second):
            raise InputError(
                f"{second}: has the same frame number as {first.name}, expected one image for each"
            )
    return paths


def image_files(folder: Path) -> list[Path]:
    """Returns the image files of a folder by their endings, in no order; hidden ones are none."""
    return [
        path
        for path in folder.iterdir()
        if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")
    ]


def frame_number(path: Path) -> int:
    """Returns the frame number at the end of a file's name (000123.png, frame_0123.jpg).

    Raises InputError for a name without one.
    """
    match = re.fullmatch(r"[^.]*?(\d+)", Path(path).stem)
    if match is None:
        raise InputError(
            f"{path}: no frame number in the name, expected one like 000123{Path(path).suffix}"
        )
    return int(match.group(1))


def existing_folder(folder: Path) -> Path:
    """Returns the folder as an absolute path; raises InputError if it is missing or a file."""
    # Not resolve(): a linked sequence keeps its neighbours, and "." gets a name.
    folder = Path(os.path.abspath(folder))
    if not folder.exists():
        raise InputError(f"{folder}: no such folder")
    if not folder.is_dir():
        raise InputError(f"{folder}: is a file, expected a folder")
    return folder


def read_image(path: Path, upright: bool = False, bit_depth: BitDepth | None = None) -> np.ndarray:
    """Reads an image as uint8, (H, W) if it is grey and (H, W, 3) RGB if it is coloured.

    The pixels are as stored, as in a topic, since that is what calibrations speak of; upright:
    turned as the EXIF orientation says. 16-bit images are brought to 8 bits by
    `bit_depth`, by default by the range of their own values. Raises ImageError naming the file.
    """
    return (bit_depth or BitDepth())(read_pixels(path, upright), truncate=True)


def read_pixels(path: Path, upright: bool = False) -> np.ndarray:
    """Reads an image as `read_image`, but uint16 where it is stored in 16 bits."""
    flags = cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH
    image = _decode(path, flags if upright else flags | cv2.IMREAD_IGNORE_ORIENTATION)
    if image.dtype not in (np.uint8, np.uint16):
        raise ImageError(f"{path}: pixels are {image.dtype}, expected 8 or 16 bits")
    return image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def check_image_size(path: Path | str, image: np.ndarray, intrinsics: Intrinsics) -> None:
    """Raises ImageError naming the file if `image` has not the size of its intrinsics."""
    height, width = image.shape[:2]
    if (width, height) != (intrinsics.width, intrinsics.height):
        raise ImageError(
            f"{path}: {width}x{height} pixels, "
            f"expected {intrinsics.width}x{intrinsics.height} as the sequence's first image"
        )


def read_depth(path: Path) -> np.ndarray:
    """Reads depth along z (H, W), float32, NaN where unknown.

    The file is an .npy of floats, or KITTI's 16-bit PNG: value / 256, 0 is unknown. Raises
    ImageError naming the file for anything else.
    """
    if Path(path).suffix.lower() == ".npy":
        return _read_npy(path)
    values = _decode(path, cv2.IMREAD_UNCHANGED)
    if values.dtype != np.uint16 or values.ndim != 2:
        raise ImageError(
            f"{path}: {values.dtype} image of shape {values.shape}, "
            "expected 16-bit grey, depth * 256"
        )
    return np.where(values == 0, np.float32(np.nan), values.astype(np.float32) / 256)


def _read_npy(path: Path) -> np.ndarray:
    data = _file_bytes(path)
    try:
        values = np.load(io.BytesIO(data), allow_pickle=False)
    except (ValueError, EOFError, OSError, zipfile.BadZipFile):
        raise ImageError(f"{path}: cannot be read as .npy, expected a float array (H, W)") from None
    if (
        not isinstance(values, np.ndarray)
        or values.ndim != 2
        or not np.issubdtype(values.dtype, np.floating)
    ):
        found = (
            f"{values.dtype} array of shape {values.shape}"
            if isinstance(values, np.ndarray)
            else "an archive"
        )
        raise ImageError(f"{path}: {found}, expected a float array (H, W)")
    return values.astype(np.float32)


def _decode(path: Path, flags: int) -> np.ndarray:
    data = _file_bytes(path)
    if not data:
        raise ImageError(f"{path}: empty file, expected {EXPECTED_IMAGE}")
    if is_truncated(data):
        raise ImageError(
            f"{path}: truncated after {len(data)} bytes, expected a whole PNG or JPEG image"
        )
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:
        image = None
    if image is None:
        raise ImageError(f"{path}: cannot be decoded, expected {EXPECTED_IMAGE}")
    return image


def _file_bytes(path: Path) -> bytes:
    try:
        return Path(path).read_bytes()
    except FileNotFoundError:
        raise ImageError(f"{path}: no such file") from None
    except OSError as error:
        raise ImageError(f"{path}: cannot be read: {error.strerror}") from None


def is_truncated(data: bytes) -> bool:
    """Whether a PNG or JPEG lacks its end mark; decoders may fill the rest of the image in grey.

    What follows the end mark, such as padding or the video of a motion photo, is of no matter.
    """
    if data.startswith(b"\x89PNG"):
        return not _png_ends(data)
    return data.startswith(b"\xff\xd8") and not _jpeg_ends(data)


def _png_ends(data: bytes) -> bool:
    """Whether the chunks of a PNG lead to its IEND."""
    position = 8
    while position + 8 <= len(data):
        (length,) = struct.unpack_from(">I", data, position)
        if data[position + 4 : position + 8] == b"IEND":
            return True
        position += length + 12  # length, type and checksum
    return False


def _jpeg_ends(data: bytes) -> bool:
    """Whether the segments of a JPEG lead to its end mark; that of a thumbnail is inside one."""
    position = 2
    while True:
        # Behind a scan's header are its data, anywhere else the next marker.
        match = _NEXT_MARKER.search(data, position)
        if match is None:
            return False
        marker = data[match.start() + 1]
        if marker == _JPEG_END:
            return True
        position = match.end()
        has_length = marker >= 0xC0 and marker != _JPEG_START
        if has_length and position + 2 <= len(data):
            position += int.from_bytes(data[position : position + 2], "big")
