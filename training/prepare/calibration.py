"""Intrinsics from the command line, for sources without them: --calib or --fov."""

import argparse
import math
from pathlib import Path

from sfm_odometry.errors import CalibrationError
from sfm_odometry.geometry.camera import Intrinsics
from sfm_odometry.io.kitti_calibration import read_calibration


def add_camera_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the mutually exclusive options --calib and --fov."""
    group = parser.add_mutually_exclusive_group()
    group.add_argument(
        "--calib",
        type=Path,
        help="a 3x3 matrix as in cam.txt, or KITTI's calib.txt, for the images' full size",
    )
    group.add_argument(
        "--fov",
        type=float,
        help="horizontal field of view in degrees, when there is no calibration; "
        "the intrinsics count as unknown then",
    )


def intrinsics_from_options(
    arguments: argparse.Namespace, width: int, height: int
) -> tuple[Intrinsics, bool] | None:
    """Returns the intrinsics of --calib or --fov for images of a size, and whether they are known.

    None if neither option is given. Raises CalibrationError if an option cannot be used.
    """
    if arguments.calib is not None:
        return read_calibration(arguments.calib, 0, width, height), True
    if arguments.fov is not None:
        return intrinsics_from_field_of_view(arguments.fov, width, height), False
    return None


def intrinsics_from_field_of_view(fov_deg: float, width: int, height: int) -> Intrinsics:
    """Returns intrinsics with square pixels and a centred principal point.

    f = W / 2 / tan(fov / 2), with the horizontal field of view. Raises CalibrationError if it is
    not 1 to 170 degrees.
    """
    if not 1.0 <= fov_deg <= 170.0:
        raise CalibrationError(f"--fov {fov_deg:g}: expected 1 to 170 degrees")
    focal = width / 2 / math.tan(math.radians(fov_deg) / 2)
    return Intrinsics(focal, focal, (width - 1) / 2, (height - 1) / 2, width, height)
