"""Source `kitti-raw`: KITTI raw drives, both colour cameras, without the Eigen test split."""

import argparse
from pathlib import Path

from sfm_odometry.errors import InputError
from sfm_odometry.io.kitti import open_sequence
from training.prepare.calibration import add_camera_arguments
from training.prepare.recording import Recording, SceneView
from training.prepare.sequences import (
    expand_sequence_names,
    intrinsics_reader,
    sequence_recording,
)

HELP = (
    "KITTI raw drives: <date>/<date>_drive_<number>_sync/image_0X/data "
    "and <date>/calib_cam_to_cam.txt"
)
EIGEN_TEST_DRIVES = frozenset((Path(__file__).parent / "eigen_test_drives.txt").read_text().split())
"""Names of the 28 drives that the 697 test images of Eigen et al. (NIPS 2014) are from."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options that only this source has."""
    # Drives and cameras.
    add_camera_arguments(parser, own="calib_cam_to_cam.txt")
    parser.add_argument(
        "--sequences",
        nargs="*",
        default=[],
        help="drives to take, all by default; @drives.txt takes the names in a file",
    )
    parser.add_argument(
        "--camera",
        type=int,
        nargs="+",
        choices=(0, 1, 2, 3),
        default=[2, 3],
        help="default: both colour cameras",
    )
    # Test drives.
    parser.add_argument(
        "--split",
        choices=("eigen", "all"),
        default="eigen",
        help="eigen (default) leaves out the 28 drives of the Eigen test split, "
        "but for those named by --sequences; all takes every drive",
    )


def find(arguments: argparse.Namespace) -> list[Recording]:
    """Returns one recording for each drive under root/<date> and each requested camera it has.

    Raises InputError if there are none.
    """
    # Select the drives.
    drives = sorted(path for path in arguments.root.glob("*/*_sync") if path.is_dir())
    if not drives:
        raise InputError(
            f"{arguments.root}: no <date>/<drive>_sync folders in it, expected KITTI raw data"
        )
    names = expand_sequence_names(arguments.sequences)
    drives = _select_drives(arguments.root, drives, names, arguments.split)
    # Find the cameras of each.
    found = [
        (drive, camera)
        for drive in drives
        for camera in arguments.camera
        if (drive / f"image_{camera:02d}").is_dir()
    ]
    if not found:
        folders = ", ".join(f"image_{camera:02d}" for camera in arguments.camera)
        raise InputError(f"{arguments.root}: no {folders} in any of {len(drives)} drives")
    return [_recording(drive, camera, arguments) for drive, camera in found]


def _select_drives(root: Path, drives: list[Path], names: list[str], split: str) -> list[Path]:
    """Returns the named drives, or without names those of the split.

    Raises InputError if a drive is missing or no drive is left.
    """
    # Names take precedence over the split.
    if names:
        missing = set(names) - {drive.name for drive in drives}
        if missing:
            present = ", ".join(drive.name for drive in drives)
            raise InputError(
                f"{root}: no drive called {', '.join(sorted(missing))}, expected some of {present}"
            )
        return [drive for drive in drives if drive.name in names]
    # Leave out the drives of the test split, unless all are requested.
    selected = [
        drive
        for drive in drives
        if split == "all" or drive.name.removesuffix("_sync") not in EIGEN_TEST_DRIVES
    ]
    if not selected:
        raise InputError(
            f"{root}: all of its {len(drives)} drives are of the Eigen test split, "
            "expected others; --split all takes them"
        )
    if len(selected) < len(drives):
        print(
            f"{root}: {len(drives) - len(selected)} drives of the Eigen test split are left out; "
            "--split all takes them"
        )
    return selected


def _recording(drive: Path, camera: int, arguments: argparse.Namespace) -> Recording:
    """Returns the recording of one camera of a drive."""
    view = SceneView(f"{drive.name}_{camera:02d}", f"{drive.parent.name}/{camera:02d}")
    sequence = open_sequence(drive, camera, intrinsics_reader(arguments))
    return sequence_recording(sequence, drive.name, view, arguments, camera)
