"""Folders of images: the layouts of KITTI, TUM, EuRoC, 7-Scenes and ScanNet, and plain folders."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from sfm_odometry.errors import InputError
from sfm_odometry.io.bit_depth import BitDepth
from sfm_odometry.io.calibration import read_camera
from sfm_odometry.io.image_source import ImageSource, SourceImage
from sfm_odometry.io.images import existing_folder, image_files, read_pixels
from sfm_odometry.io.kitti import CAMERAS, camera_of_folder
from sfm_odometry.io.stamps import NOMINAL_RATE_HZ, StampedFiles, stamp_by_list, stamp_by_names

CALIBRATION_FILES = (
    "cam.txt",
    "calib.txt",
    "calib_cam_to_cam.txt",
    "camera_info.yaml",
    "ost.yaml",
    "sensor.yaml",
    "camera.yaml",
    "cameras.txt",
)
"""Names of calibration files that lie beside the images of a plain folder."""
IMAGE_FOLDERS = ("color", "colour", "rgb", "images", "image", "frames", "left", "data")
"""Names of folders that hold the images of a drive, in order of preference."""
OTHER_PIXELS = re.compile(
    r"(^|[._-])(depth|disp|disparity|mask|label|instance|semantic|normal|pose)s?(?=[._-]|\d|$)",
    re.IGNORECASE,
)
"""Part of the names of images that are no pictures, beside those that are."""


@dataclass(frozen=True)
class Layout:
    """Places of the images, times and calibration in a folder."""

    form: str
    images: Path
    times: Path | None = None
    calibration: Path | None = None
    camera: int = 0
    """Index of the camera in the calibration file."""


def find_layout(folder: Path, camera: int | None = None) -> Layout | None:
    """Layout of a folder of images; None where it is not known.

    camera: which of several; the default is the data set's first, KITTI's in the order of CAMERAS.
    Raises InputError for a camera that is not there.
    """
    folder = existing_folder(folder)
    for find in (_euroc, _kitti_odometry, _kitti_raw, _tum, _plain, _one_subfolder):
        layout = find(folder, camera)
        if layout is not None:
            return layout
    return None


def open_folder(
    layout: Layout,
    times: Path | None = None,
    rate_hz: float = NOMINAL_RATE_HZ,
    bits: str = "auto",
) -> ImageSource:
    """Open the images of a layout; raises InputError for names and times that cannot be used.

    times: list of times; the default is the layout's own, else the names give them. bits: see
    :class:`BitDepth`.
    """
    # Leave out depth and masks that lie beside the images.
    paths = image_files(layout.images)
    pictures = [path for path in paths if not OTHER_PIXELS.search(path.stem)] or paths
    # Stamp the images by the list of times, else by their names.
    times = times or layout.times
    files = stamp_by_names(pictures, rate_hz) if times is None else _listed(pictures, times)
    if len(pictures) < len(paths):
        count = len(paths) - len(pictures)
        files.notes.append(f"{layout.images}: {count} maps of depth or masks left out")
    reader = _Reader(files, bits)
    source = ImageSource(str(layout.images), layout.form, len(files.paths), reader.images)
    source.camera = layout.camera
    source.notes += files.notes
    source.set_upright = reader.set_upright
    # The calibration that lies beside the images.
    if layout.calibration is not None:
        source.calibration = partial(read_camera, layout.calibration, layout.camera)
        source.calibration_name = str(layout.calibration)
    return source


class _Reader:
    """Reads images, and holds what the frames of a camera have in common."""

    def __init__(self, files: StampedFiles, bits: str) -> None:
        self._files = files
        self._bits = bits
        self._upright = False

    def set_upright(self, upright: bool) -> None:
        self._upright = upright

    def images(self) -> Iterator[SourceImage]:
        bit_depth = BitDepth(self._bits)
        for path, stamp_ns in zip(self._files.paths, self._files.stamps_ns, strict=True):
            read = partial(self._read, path, bit_depth)
            yield SourceImage(path.name, path.stem, stamp_ns, read)

    def _read(self, path: Path, bit_depth: BitDepth) -> np.ndarray:
        return bit_depth(read_pixels(path, self._upright), truncate=True)


def _listed(paths: list[Path], times: Path) -> StampedFiles:
    """Stamps of a list; the images are in the order of their names where these have numbers."""
    try:
        ordered = stamp_by_names(paths).paths
    except InputError:
        ordered = sorted(paths)
    left_out = sorted(set(paths) - set(ordered))
    return stamp_by_list(ordered + left_out if left_out else ordered, times)


def _euroc(folder: Path, camera: int | None) -> Layout | None:
    """EuRoC and TUM-VI: mav0, cam0 with data and data.csv, or its data folder."""
    if (folder / "mav0").is_dir():
        folder = folder / "mav0"
    name = f"cam{camera or 0}"
    if (folder / name / "data").is_dir():
        folder = folder / name
    elif camera is not None and (folder / "cam0" / "data").is_dir():
        raise InputError(f"{folder}: no {name} in it, expected one of its cameras")
    if folder.name == "data" and _is_euroc_camera(folder.parent):
        folder = folder.parent
    if not _is_euroc_camera(folder):
        return None
    times, calibration = folder / "data.csv", folder / "sensor.yaml"
    found = re.fullmatch(r"cam(\d+)", folder.name)
    number = int(found[1]) if found else 0
    return Layout("EuRoC folder", folder / "data", _file(times), _file(calibration), number)


def _is_euroc_camera(folder: Path) -> bool:
    has_list = (folder / "data.csv").is_file() or (folder / "sensor.yaml").is_file()
    return has_list and (folder / "data").is_dir() and bool(image_files(folder / "data"))


def _kitti_odometry(folder: Path, camera: int | None) -> Layout | None:
    """KITTI odometry and rendered drives: image_0 to image_3, calib.txt, times.txt."""
    found = _kitti_camera(folder, "image_{}", camera)
    if found is None:
        return None
    images = folder / f"image_{found}"
    times, calibration = _file(folder / "times.txt"), _file(folder / "calib.txt")
    return Layout("KITTI odometry folder", images, times, calibration, found)


def _kitti_raw(folder: Path, camera: int | None) -> Layout | None:
    """KITTI raw: image_00 to image_03 with data and timestamps.txt, or one of these."""
    if (folder / "data").is_dir() and camera_of_folder(folder) is not None:
        found, images = camera_of_folder(folder), folder
    else:
        found = _kitti_camera(folder, "image_{:02d}", camera)
        images = folder / f"image_{found or 0:02d}"
    if found is None or not (images / "data").is_dir():
        return None
    calibration = _file(images.parent.parent / "calib_cam_to_cam.txt")
    times = _file(images / "timestamps.txt")
    return Layout("KITTI raw folder", images / "data", times, calibration, found)


def _kitti_camera(folder: Path, pattern: str, camera: int | None) -> int | None:
    present = [number for number in CAMERAS if (folder / pattern.format(number)).is_dir()]
    if camera is not None and present and camera not in present:
        others = ", ".join(pattern.format(other) for other in sorted(present))
        raise InputError(f"{folder}: no {pattern.format(camera)} in it, only {others}")
    return camera if present and camera is not None else next(iter(present), None)


def _tum(folder: Path, camera: int | None) -> Layout | None:
    """TUM RGB-D and what is recorded like it: rgb.txt, and images in rgb."""
    if not (folder / "rgb.txt").is_file():
        return None
    images = folder / "rgb" if (folder / "rgb").is_dir() else folder
    calibration = _beside(folder)
    return Layout("TUM folder", images, folder / "rgb.txt", calibration, camera or 0)


def _plain(folder: Path, camera: int | None) -> Layout | None:
    """A folder with images; for one of KITTI's cameras the calibration is beside it."""
    names = {path.name for path in folder.iterdir()}
    if not image_files(folder):
        return None
    kitti_camera = camera_of_folder(folder)
    calibration = _beside(folder)
    if calibration is None and kitti_camera is not None:
        places = (
            (folder.parent / "calib.txt",)
            if folder.name != "data"
            else (folder.parents[2] / "calib_cam_to_cam.txt",)
        )
        calibration = _file(places[0])
        camera = kitti_camera if camera is None else camera
    is_seven_scenes = any(re.fullmatch(r"frame-\d+\.color\.\w+", name) for name in names)
    form = "7-Scenes folder" if is_seven_scenes else "folder of images"
    # KITTI raw's times lie beside its folder data.
    is_raw = kitti_camera is not None and folder.name == "data"
    times = _file(folder.parent / "timestamps.txt") if is_raw else None
    return Layout(form, folder, times, calibration, camera or 0)


def _one_subfolder(folder: Path, camera: int | None) -> Layout | None:
    """A folder whose images are in a folder of a usual name, such as ScanNet's color."""
    found = [folder / name for name in IMAGE_FOLDERS if (folder / name).is_dir()]
    found = [path for path in found if image_files(path)]
    if not found:
        return None
    calibration = (
        _beside(folder) or _beside(found[0]) or _file(folder / "intrinsic/intrinsic_color.txt")
    )
    return Layout("folder of images", found[0], None, calibration, camera or 0)


def _beside(folder: Path) -> Path | None:
    return next(filter(None, (_file(folder / name) for name in CALIBRATION_FILES)), None)


def _file(path: Path) -> Path | None:
    return path if path.is_file() else None
