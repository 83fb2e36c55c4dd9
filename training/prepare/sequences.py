"""Recordings of the image sequences that sfm_odometry.io.kitti opens."""

import argparse
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from sfm_odometry.errors import CalibrationError, InputError
from sfm_odometry.geometry.camera import Intrinsics
from sfm_odometry.io.bit_depth import BitDepth
from sfm_odometry.io.images import check_image_size, read_image
from sfm_odometry.io.kitti import (
    ImageSequence,
    ReadIntrinsics,
    first_readable_image,
    read_calibration,
)
from sfm_odometry.io.text import read_text
from training.prepare.calibration import RecordedCamera, bit_depth_text, camera_from_options
from training.prepare.damage import Outcome, tell_note
from training.prepare.recording import Recording, SceneView, SourceFrame


def sequence_recording(
    sequence: ImageSequence,
    drive: str,
    view: SceneView,
    arguments: argparse.Namespace,
    camera: int = 0,
) -> Recording:
    """Returns the recording of a sequence, with depth, masks and poses where it has them.

    Its own calibration is replaced by --calib or --fov. camera: index in files of several. Raises
    CalibrationError, also for rendered drives whose images would be undistorted without their
    depth.
    """
    _tell_notes(sequence)
    is_rendered = sequence.depth_paths is not None
    size = sequence.intrinsics.width, sequence.intrinsics.height
    recorded = camera_from_options(arguments, *size, camera) or RecordedCamera(
        sequence.intrinsics, known=True
    )
    if is_rendered and recorded.rectify is not None:
        raise CalibrationError(
            f"{arguments.calib}: has distortion, but {sequence.name} has depth maps, which are "
            "without; expected --rectified, or no --calib"
        )
    first = first_readable_image(sequence.image_paths)
    in_order = first.dtype == np.uint16 and arguments.bit_depth == "auto"
    return Recording(
        drive=drive,
        views=(view,),
        intrinsics=recorded.intrinsics,
        channels=1 if first.ndim == 2 else 3,
        frames=partial(_sequence_frames, sequence, recorded, arguments.bit_depth, in_order),
        count=len(sequence),
        origin=_origin(sequence, recorded) + bit_depth_text(arguments) + " range held" * in_order,
        intrinsics_known=recorded.known,
        poses=sequence.poses,
        poses_supervise=is_rendered and sequence.poses is not None,
        has_depth=is_rendered,
        has_motion_mask=sequence.mask_paths is not None,
    )


def _tell_notes(sequence: ImageSequence) -> None:
    for text in sequence.notes:
        tell_note(text)


def _origin(sequence: ImageSequence, camera: RecordedCamera) -> str:
    """Returns names and sizes of the images and the calibration that rectifies them, as text."""
    return file_origin(sequence.image_paths) + f" {camera.origin}" * bool(camera.origin)


def intrinsics_reader(arguments: argparse.Namespace) -> ReadIntrinsics:
    """Returns the reader of a sequence's intrinsics: from --calib or --fov, else from its file."""
    if arguments.calib is None and arguments.fov is None:
        return read_calibration

    def read(path: Path, camera: int, width: int, height: int) -> Intrinsics:
        recorded = camera_from_options(arguments, width, height, camera)
        assert recorded is not None
        return recorded.intrinsics

    return read


def _sequence_frames(
    sequence: ImageSequence,
    camera: RecordedCamera,
    bits: str,
    in_order: bool,
    is_needed: Callable[[int], bool],
) -> Iterator[SourceFrame]:
    """Yields the frames; images are read only when a worker asks for them.

    in_order: whether they are read here, as the range of 16-bit images is held from one to the
    next.
    """
    bit_depth = BitDepth(bits)
    for index, (number, path) in enumerate(
        zip(sequence.frame_numbers, sequence.image_paths, strict=True)
    ):
        image: Callable[[], np.ndarray] = partial(
            read_image_of_size, path, sequence.intrinsics, camera, bit_depth
        )
        if in_order:
            image = Outcome(image)
        yield SourceFrame(
            number,
            image if is_needed(index) else None,
            None if sequence.depth_paths is None else sequence.depth_paths[index],
            None if sequence.mask_paths is None else sequence.mask_paths[index],
        )


def read_image_of_size(
    path: Path,
    intrinsics: Intrinsics,
    camera: RecordedCamera | None = None,
    bit_depth: BitDepth | None = None,
) -> np.ndarray:
    """Returns an image file as uint8 (H, W) grey or (H, W, 3) RGB, rectified by its camera.

    Raises ImageError naming the file if its size is not that of the intrinsics.
    """
    image = read_image(path, bit_depth=bit_depth)
    check_image_size(path, image, intrinsics)
    return image if camera is None else camera.rectified(image)


def file_origin(paths: tuple[Path, ...]) -> str:
    """Returns names and sizes of files as text, to notice that files have changed."""
    return " ".join(f"{path.name}:{path.stat().st_size}" for path in paths)


def cut_sequence(sequence: ImageSequence, first: int, last: int | None) -> ImageSequence:
    """Returns the part of a sequence with frame numbers first..last, both included.

    `last` None is the last frame. Raises InputError if there is no such frame.
    """
    # Find the range of indices.
    last = sequence.frame_numbers[-1] if last is None else last
    indices = [
        index for index, number in enumerate(sequence.frame_numbers) if first <= number <= last
    ]
    if not indices:
        present = f"{sequence.frame_numbers[0]} to {sequence.frame_numbers[-1]}"
        raise InputError(
            f"{sequence.image_paths[0].parent}: no frames {first} to {last} in it, "
            f"its numbers go from {present}"
        )
    # Cut every array of the sequence.
    part = slice(indices[0], indices[-1] + 1)
    return replace(
        sequence,
        image_paths=sequence.image_paths[part],
        frame_numbers=sequence.frame_numbers[part],
        stamps_s=sequence.stamps_s[part],
        poses=None if sequence.poses is None else sequence.poses[part],
        depth_paths=None if sequence.depth_paths is None else sequence.depth_paths[part],
        mask_paths=None if sequence.mask_paths is None else sequence.mask_paths[part],
    )


def select_paths(root: Path, paths: list[Path], names: list[str]) -> list[Path]:
    """Returns the paths whose names without endings are in --sequences, or all without names.

    Raises InputError for a name that no path has.
    """
    missing = sorted(set(names) - {path.stem for path in paths})
    if missing:
        present = ", ".join(path.stem for path in paths)
        raise InputError(f"{root}: nothing called {', '.join(missing)}, expected some of {present}")
    return [path for path in paths if not names or path.stem in names]


def expand_sequence_names(names: list[str]) -> list[str]:
    """Returns the names in --sequences, with @FILE replaced by the names in that file.

    The file has a name on each line, as train.txt of SfMLearner's port.
    """
    return [
        expanded
        for name in names
        for expanded in (read_text(Path(name[1:])).split() if name.startswith("@") else [name])
    ]
