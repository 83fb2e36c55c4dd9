"""Command-line options of the camera, such as --calib and --fov, and the camera they lead to."""

import argparse
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from sfm_odometry.errors import CalibrationError, ImageError
from sfm_odometry.geometry.camera import Intrinsics
from sfm_odometry.io.bit_depth import add_bit_depth_option
from sfm_odometry.io.calibration import FORMATS, is_kitti_file, pinhole, read_camera
from sfm_odometry.io.image_source import ImageSource, SourceImage
from sfm_odometry.io.ros_camera_info import Calibration, Rectifier

MIN_FOV_DEG = 1.2
MAX_FOV_DEG = 157.0
"""Limits of --fov, degrees: those of `check_plausible`."""
LIVE_FOV_DEG = 65.0
"""Field of view of a live camera of which nothing is known: webcams have 55 to 78 degrees."""


@dataclass(frozen=True)
class SourceCamera:
    """Camera of a source: its rectified images are those of `intrinsics`."""

    intrinsics: Intrinsics
    rectify: Callable[[np.ndarray], np.ndarray]
    """Returns the rectified image of one as the source gives it."""
    notes: tuple[str, ...] = ()
    """What a user should know, such as that the camera is a guess."""
    seen: np.ndarray | None = None
    """Pixels of rectified images that the camera saw, bool (H, W); None if all of them."""


def add_camera_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options that say what camera took the images."""
    group = parser.add_mutually_exclusive_group()
    group.add_argument(
        "--calib",
        type=Path,
        metavar="FILE",
        help=f"{', '.join(FORMATS)}; default: what the images bring",
    )
    group.add_argument(
        "--fov",
        type=float,
        metavar="DEGREES",
        help="horizontal field of view, a guess where there is no calibration",
    )
    parser.add_argument(
        "--rectified",
        action="store_true",
        help="the images are undistorted already; default: by the calibration's distortion",
    )
    add_bit_depth_option(parser)


def source_camera(
    source: ImageSource, first: SourceImage, arguments: argparse.Namespace
) -> SourceCamera:
    """Camera of a source, by --calib or --fov, else by its own calibration.

    first: an image that can be read. Photos are turned upright, as their EXIF orientation says,
    for --fov, and where a calibration is of upright images. Raises CalibrationError.
    """
    if arguments.fov is not None:
        return _guess(arguments.fov, *_size(source, first, upright=True))
    if source.is_live and arguments.calib is None and source.calibration is None:
        guess = _guess(LIVE_FOV_DEG, *_size(source, first, upright=True))
        note = (
            f"camera: a guess, {LIVE_FOV_DEG:g} degrees wide without distortion, as webcams are; "
            "give --calib FILE, or --fov DEGREES of your camera"
        )
        return replace(guess, notes=(note,))
    read, name = _calibration_of(source, arguments)
    try:
        size = _size(source, first, upright=False)
        calibration = read(*size)
    except CalibrationError:
        stored, size = size, _size(source, first, upright=True)
        if size == stored:
            raise
        calibration = read(*size)
    is_rectified = arguments.rectified or (arguments.calib is None and source.rectified)
    try:
        rectifier = Rectifier(calibration, *size, is_rectified)
    except (CalibrationError, ImageError) as error:
        message = str(error).removeprefix("camera_info: ")
        raise CalibrationError(f"{name}: {message}") from None
    notes: tuple[str, ...] = () if arguments.calib is not None else (f"camera: {name}",)
    if rectifier.resamples:
        notes += (f"images are undistorted by {name}",)
    if rectifier.warning:
        notes += (f"{name}: {rectifier.warning}",)
    return SourceCamera(_exact(rectifier, calibration), rectifier, notes, rectifier.seen)


def intrinsics_of_fov(fov_deg: float, width: int, height: int) -> Intrinsics:
    """Intrinsics with square pixels and a centred principal point, f = W / 2 / tan(fov / 2).

    fov_deg: horizontal. Raises CalibrationError if it is not MIN_FOV_DEG to MAX_FOV_DEG.
    """
    if not MIN_FOV_DEG <= fov_deg <= MAX_FOV_DEG:
        raise CalibrationError(
            f"--fov {fov_deg:g}: expected {MIN_FOV_DEG:g} to {MAX_FOV_DEG:g} degrees"
        )
    focal = width / 2 / math.tan(math.radians(fov_deg) / 2)
    return Intrinsics(focal, focal, (width - 1) / 2, (height - 1) / 2, width, height)


def _guess(fov_deg: float, width: int, height: int) -> SourceCamera:
    intrinsics = intrinsics_of_fov(fov_deg, width, height)
    note = (
        f"camera: a guess by --fov {fov_deg:g}: focal length {intrinsics.fx:.1f} pixels, centred, "
        "without distortion"
    )
    return SourceCamera(intrinsics, Rectifier(pinhole(intrinsics), width, height, True), (note,))


def _calibration_of(
    source: ImageSource, arguments: argparse.Namespace
) -> tuple[Callable[[int, int], Calibration], str]:
    """Reader of the calibration for a width and height, and the name of its file or topic."""
    path = arguments.calib
    if path is not None:
        camera = arguments.camera
        if camera is None:
            # The number of KITTI's folder says nothing of the cameras in other files.
            is_numbered_alike = source.form == "EuRoC folder" or is_kitti_file(path)
            camera = source.camera if is_numbered_alike else 0
        return (lambda width, height: read_camera(path, camera, width, height)), str(path)
    if source.calibration is not None:
        return source.calibration, source.calibration_name
    raise CalibrationError(
        f"{source.name}: a {source.form} without a calibration, expected --calib FILE "
        f"({', '.join(FORMATS)}) or --fov DEGREES"
    )


def _size(source: ImageSource, first: SourceImage, upright: bool) -> tuple[int, int]:
    """Width and height of images, as stored or upright; the source gives them so from here on."""
    if source.set_upright is not None:
        source.set_upright(upright)
    height, width = first.read().shape[:2]
    return width, height


def _exact(rectifier: Rectifier, calibration: Calibration) -> Intrinsics:
    """Intrinsics without the rounding of regions and binning where there are none."""
    if calibration.binning != (1, 1) or any(calibration.region):
        return rectifier.intrinsics
    width, height = rectifier.size
    return Intrinsics.from_matrix(calibration.rectified_camera_matrix(), width, height)
