"""Reading of images and depth maps, and of the frame numbers in their names."""

import io
import itertools
import os
import re
import zipfile
from pathlib import Path

import cv2
import numpy as np

from sfm_odometry.errors import ImageError, InputError
from sfm_odometry.geometry.camera import Intrinsics

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg")


def list_images(folder: Path) -> list[Path]:
    """Lists the PNG and JPEG images of a folder, ordered by frame number.

    Raises InputError for a missing or empty folder, and for names without or with equal numbers.
    """
    folder = existing_folder(folder)
    paths = [
        path
        for path in folder.iterdir()
        if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")
    ]
    if not paths:
        raise InputError(f"{folder}: no images in it, expected PNG or JPEG files")
    paths.sort(key=lambda path: (frame_number(path), path.name))
    for first, second in itertools.pairwise(paths):
        if frame_number(first) == frame_number(second):
            raise InputError(
                f"{second}: has the same frame number as {first.name}, expected one image for each"
            )
    return paths


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


def read_image(path: Path) -> np.ndarray:
    """Reads an image as uint8, (H, W) if it is grey and (H, W, 3) RGB if it is coloured.

    Raises ImageError naming the file.
    """
    image = _decode(path, cv2.IMREAD_ANYCOLOR)
    return image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def check_image_size(path: Path, image: np.ndarray, intrinsics: Intrinsics) -> None:
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
        raise ImageError(f"{path}: empty file, expected a PNG or JPEG image")
    if _is_truncated(data):
        raise ImageError(
            f"{path}: truncated after {len(data)} bytes, expected a whole PNG or JPEG image"
        )
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:
        image = None
    if image is None:
        raise ImageError(f"{path}: cannot be decoded, expected a PNG or JPEG image")
    return image


def _file_bytes(path: Path) -> bytes:
    try:
        return Path(path).read_bytes()
    except FileNotFoundError:
        raise ImageError(f"{path}: no such file") from None
    except OSError as error:
        raise ImageError(f"{path}: cannot be read: {error.strerror}") from None


def _is_truncated(data: bytes) -> bool:
    """Whether a PNG or JPEG lacks its end mark; decoders may fill the rest of the image in grey."""
    if data.startswith(b"\x89PNG"):
        return b"IEND" not in data[-1024:]
    return data.startswith(b"\xff\xd8") and b"\xff\xd9" not in data[-1024:]
