"""Cameras from the command line, for sources without them: --calib or --fov."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sfm_odometry.errors import CalibrationError, ImageError
from sfm_odometry.geometry.camera import Intrinsics
from sfm_odometry.io.bit_depth import add_bit_depth_option
from sfm_odometry.io.calibration import FORMATS, is_kitti_file, read_camera
from sfm_odometry.io.camera_options import intrinsics_of_fov
from sfm_odometry.io.ros_camera_info import Calibration, Rectifier
from training.prepare.recording import fingerprint_text


@dataclass(frozen=True, eq=False)
class RecordedCamera:
    """Intrinsics of the images after rectification, and the rectification itself."""

    intrinsics: Intrinsics
    known: bool
    """Whether the intrinsics come from a calibration."""
    rectify: Callable[[np.ndarray], np.ndarray] | None = None
    """Rectification of the images, or None where they are rectified already."""
    origin: str = ""
    """Fingerprint of the calibration that the images are rectified by; empty without one."""

    def rectified(self, image: np.ndarray) -> np.ndarray:
        """Returns the image (H, W) or (H, W, 3) without its distortion."""
        return image if self.rectify is None else self.rectify(image)


def add_camera_arguments(parser: argparse.ArgumentParser, own: str = "") -> None:
    """Adds the options --calib, --fov, --rectified and --bit-depth.

    own: what the source takes without them, for the help text.
    """
    group = parser.add_mutually_exclusive_group()
    group.add_argument(
        "--calib",
        type=Path,
        metavar="FILE",
        help=f"{', '.join(FORMATS)}, for the images' full size; images are undistorted by it"
        + (f" (default: {own})" if own else ""),
    )
    group.add_argument(
        "--fov",
        type=float,
        metavar="DEGREES",
        help="horizontal field of view in degrees, when there is no calibration; "
        "the intrinsics count as unknown then",
    )
    parser.add_argument("--rectified", action="store_true", help="the images are rectified already")
    add_bit_depth_option(parser)


def bit_depth_text(arguments: argparse.Namespace) -> str:
    """Returns what fingerprints say of --bit-depth: nothing of the default."""
    return "" if arguments.bit_depth == "auto" else f" {arguments.bit_depth} bits"


def camera_from_options(
    arguments: argparse.Namespace,
    width: int,
    height: int,
    camera: int = 0,
    is_rectified: bool = False,
) -> RecordedCamera | None:
    """Returns the camera of --calib or --fov for images of a size.

    camera: KITTI's number of the camera, for KITTI's files of several; of others the first is
    taken. is_rectified: whether the images are rectified already. None
    if neither option is given. Raises CalibrationError if an option cannot be used.
    """
    if arguments.calib is not None:
        number = camera if is_kitti_file(arguments.calib) else 0
        calibration = read_camera(arguments.calib, number, width, height)
        return camera_of_calibration(
            calibration, width, height, is_rectified or arguments.rectified, f"{arguments.calib}"
        )
    if arguments.fov is not None:
        return RecordedCamera(intrinsics_of_fov(arguments.fov, width, height), known=False)
    return None


def camera_of_calibration(
    calibration: Calibration, width: int, height: int, is_rectified: bool, where: str
) -> RecordedCamera:
    """Returns the camera of a calibration; raises CalibrationError starting with `where`."""
    try:
        rectifier = Rectifier(calibration, width, height, is_rectified)
    except (CalibrationError, ImageError) as error:
        raise CalibrationError(f"{where}: {str(error).removeprefix('camera_info: ')}") from None
    if rectifier.resamples:
        origin = fingerprint_text("Calibration", calibration)
        return RecordedCamera(rectifier.intrinsics, True, rectifier, origin)
    if calibration.binning != (1, 1) or any(calibration.region):
        return RecordedCamera(rectifier.intrinsics, True)
    # The numbers of the file, without rounding.
    p = calibration.p if calibration.p[0] != 0.0 else (*calibration.k[:3], 0.0, *calibration.k[3:])
    return RecordedCamera(Intrinsics(p[0], p[5], p[2], p[6], width, height), True)
