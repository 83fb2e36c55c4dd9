"""Source `kitti-odometry`: KITTI odometry sequences and folders in similar layouts.

These are drives rendered by training.synthetic, and scenes in the layout of SfMLearner's port
(*.jpg and cam.txt).
"""

import argparse
import re
from pathlib import Path

from sfm_odometry.errors import InputError
from sfm_odometry.io.images import image_files
from sfm_odometry.io.kitti import CAMERAS, camera_of_folder, open_sequence
from training.prepare.calibration import add_camera_arguments
from training.prepare.recording import Recording, SceneView
from training.prepare.sequences import (
    cut_sequence,
    expand_sequence_names,
    intrinsics_reader,
    sequence_recording,
)

HELP = (
    "KITTI odometry sequences, rendered drives, or scenes of SfMLearner's port: "
    "a folder of them or a single one"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options that only this source has."""
    add_camera_arguments(parser, own="calib.txt or cam.txt")
    parser.add_argument(
        "--sequences",
        nargs="*",
        default=[],
        help="folders to take, all by default; 03:0-439 takes a range of frame numbers, "
        "@train.txt the names in a file",
    )
    parser.add_argument(
        "--camera",
        type=int,
        nargs="+",
        choices=(0, 1, 2, 3),
        help="default: colour left where it is there",
    )


def find(arguments: argparse.Namespace) -> list[Recording]:
    """Returns one recording for each sequence and camera.

    Sequences are folders under root/sequences or under root, or root itself. Raises InputError if
    there are none.
    """
    # Find the folder that holds the sequences.
    root: Path = arguments.root
    base = root / "sequences" if (root / "sequences").is_dir() else root
    if not base.is_dir():
        raise InputError(
            f"{root}: no such folder, expected KITTI odometry sequences or rendered drives"
        )
    # Select sequences by name: all by default, or root itself if it is one.
    names = expand_sequence_names(arguments.sequences)
    has_camera = arguments.calib is not None or arguments.fov is not None
    if _is_sequence(base, has_camera):
        base = base.absolute()
        names = names or [base.name]
        base = base.parent
    names = names or sorted(path.name for path in base.iterdir() if _is_sequence(path, has_camera))
    if not names:
        raise InputError(
            f"{root}: no folder with a calib.txt or cam.txt in it, "
            "expected KITTI odometry sequences or rendered drives, or --calib or --fov"
        )
    return [
        _recording(base, name, camera, arguments)
        for name in names
        for camera in arguments.camera or [None]
    ]


def _is_sequence(folder: Path, has_camera: bool) -> bool:
    """Returns whether a folder has a calibration in one of the layouts.

    has_camera: whether the camera is given, so that images are enough.
    """
    if (folder / "calib.txt").is_file() or (folder / "cam.txt").is_file():
        return True
    if not has_camera or not folder.is_dir():
        return False
    cameras = any((folder / f"image_{camera}").is_dir() for camera in CAMERAS)
    return cameras or bool(image_files(folder))


def _recording(
    base: Path, text: str, camera: int | None, arguments: argparse.Namespace
) -> Recording:
    """Returns the recording of one --sequences entry and one camera, None for the default camera.

    With several requested cameras, scenes are named by camera too.
    """
    match = re.fullmatch(r"([^:]+)(?::(\d+)-(\d+))?", text)
    if match is None:
        raise InputError(
            f"sequence '{text}' not understood, "
            "expected a folder's name, or a range of it as 03:0-439"
        )
    # Open the sequence and cut out the range of frame numbers.
    folder, first, last = match.groups()
    sequence = open_sequence(base / folder, camera, intrinsics_reader(arguments))
    name = folder.replace("/", "_")
    if first is not None:
        sequence = cut_sequence(sequence, int(first), int(last))
        name = f"{name}_{int(first):06d}-{int(last):06d}"
    if arguments.camera is not None and len(arguments.camera) > 1:
        name = f"{name}_{camera:02d}"
    # Name drive and camera.
    images = sequence.image_paths[0].parent
    drive, camera_name = _drive_and_camera(folder, images.name)
    number = camera_of_folder(images) or 0
    view = SceneView(name, camera_name)
    return sequence_recording(sequence, drive, view, arguments, number)


def _drive_and_camera(folder: str, image_folder: str) -> tuple[str, str]:
    """Returns the names of drive and camera.

    SfMLearner's port writes both into one name, as 2011_09_26_drive_0001_sync_02; otherwise they
    are the names of the folders.
    """
    match = re.fullmatch(r"((\d{4}_\d\d_\d\d)_drive_\d+_sync)_(0[0-3])", Path(folder).name)
    return (match[1], f"{match[2]}/{match[3]}") if match else (folder, image_folder)
