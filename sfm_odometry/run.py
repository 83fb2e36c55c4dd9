"""The odometry over a folder of images, without ROS: `python -m sfm_odometry.run --images DIR
--calib FILE --out poses.txt`."""

import argparse
import sys
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from sfm_odometry.backends.names import BACKEND_NAMES
from sfm_odometry.cli import run_cli
from sfm_odometry.errors import InputError, OutputError
from sfm_odometry.geometry.camera import Intrinsics
from sfm_odometry.inference.estimator import Estimator
from sfm_odometry.io.kitti import (
    NOMINAL_RATE_HZ,
    camera_of_folder,
    check_image_size,
    frame_number,
    list_images,
    read_calibration,
    read_image,
    read_times,
)
from sfm_odometry.io.trajectories import write_kitti, write_tum
from sfm_odometry.odometry import MonocularOdometry
from sfm_odometry.params import OdometryParams
from sfm_odometry.results import DenseMap, OdometryResult
from sfm_odometry.scale import ScaleEstimate
from sfm_odometry.scale.arguments import Speed, add_scale_arguments, read_speeds, scale_options


@dataclass
class FolderResult:
    """What the odometry said of a folder: poses by stamp, and what happened on the way."""

    start_from_camera: dict[int, np.ndarray] = field(default_factory=dict)
    events: list[str] = field(default_factory=list)
    inference_ms: list[float] = field(default_factory=list)
    scales: list[ScaleEstimate] = field(default_factory=list)
    """One a frame."""

    def add(self, name: str, result: OdometryResult) -> None:
        """Note the result of the frame called `name`."""
        for motion in result.motions:
            self.start_from_camera[motion.stamp_ns] = motion.start_from_camera
        self.events += [f"{name}: {event}" for event in result.events]
        if result.refused:
            self.events.append(f"{name}: {result.refused}")
        self.scales.append(result.scale)
        self.inference_ms.append(result.preprocess_ms + result.inference_ms)

    @property
    def scale_said(self) -> str:
        """One line about the scale, for people."""
        newest, metric = self.scales[-1], sum(scale.is_metric for scale in self.scales)
        if newest.source == "none":
            return "scale: unknown, lengths are in the model's own unit"
        why = f", not metric at the end: {newest.reason}" if newest.reason else ""
        value = f"{newest.value:.3f} +- {newest.relative_sigma * newest.value:.3f}"
        counts = f"metric at {metric} of {len(self.scales)} frames"
        return f"scale by {newest.source}: {value} at the end, {counts}{why}"

    def poses(self, stamps_ns: Sequence[int]) -> np.ndarray:
        """One pose a stamp (N, 4, 4); a frame that was never in a full window has the pose
        before it."""
        poses, newest = [], np.eye(4)
        for stamp_ns in stamps_ns:
            newest = self.start_from_camera.get(stamp_ns, newest)
            poses.append(newest)
        return np.stack(poses)


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    arguments = _parser().parse_args(argv)
    return run_cli(lambda: command(arguments))


def command(arguments: argparse.Namespace) -> None:
    """Track the folder, then write the poses; what can be checked is checked before the long
    work."""
    images = list_images(arguments.images)
    stamps_ns = _stamps_ns(images, arguments.times)
    intrinsics = _intrinsics(images[0], arguments)
    params = OdometryParams(refine=not arguments.no_refine, **scale_options(arguments))
    speeds = read_speeds(arguments.speeds) if arguments.speeds is not None else []
    estimator = Estimator.from_file(arguments.model, arguments.device, arguments.backend)
    if len(images) < estimator.window_length:
        raise InputError(
            f"{arguments.images}: {len(images)} images, "
            f"expected at least the {estimator.window_length} of one window"
        )
    for folder in (arguments.out.parent, arguments.depth_dir, arguments.masks_dir):
        _make_folder(folder)
    recording = track(
        estimator,
        params,
        images,
        stamps_ns,
        intrinsics,
        arguments.depth_dir,
        arguments.masks_dir,
        speeds,
    )
    write = (
        write_kitti
        if arguments.format == "kitti"
        else lambda path, poses: write_tum(path, np.array(stamps_ns) / 1e9, poses)
    )
    write(arguments.out, recording.poses(stamps_ns))
    for event in recording.events:
        print(event, file=sys.stderr)
    print(
        f"{arguments.out}: {len(images)} poses, {np.median(recording.inference_ms):.1f} ms a frame "
        "(median, without reading the image)"
    )
    print(recording.scale_said)


def track(
    estimator: Estimator,
    params: OdometryParams,
    images: Sequence[Path],
    stamps_ns: Sequence[int],
    intrinsics: Intrinsics,
    depth_dir: Path | None = None,
    masks_dir: Path | None = None,
    speeds: Sequence[Speed] = (),
) -> FolderResult:
    """Run the odometry over image files; depth and masks are written as they come, <image
    name>.npy, float32 (H, W)."""
    odometry, recording = MonocularOdometry(estimator, params), FolderResult()
    waiting = deque(speeds)
    names = {stamp_ns: path.stem for stamp_ns, path in zip(stamps_ns, images, strict=True)}
    started = time.monotonic()
    for done, (path, stamp_ns) in enumerate(zip(images, stamps_ns, strict=True), start=1):
        image = read_image(path)
        check_image_size(path, image, intrinsics)
        while waiting and waiting[0].stamp_ns <= stamp_ns:
            odometry.observe_speed(*waiting.popleft())
        result = odometry.process(
            image, intrinsics, stamp_ns, depth_dir is not None, masks_dir is not None
        )
        recording.add(path.name, result)
        _save_panel(depth_dir, result.depth, names)
        _save_panel(masks_dir, result.mask, names)
        _show_progress(done, len(images), time.monotonic() - started)
    return recording


def _stamps_ns(images: Sequence[Path], times: Path | None) -> list[int]:
    """One stamp a frame: from the file, or the nominal rate by frame number."""
    if times is None:
        return [round(frame_number(path) / NOMINAL_RATE_HZ * 1e9) for path in images]
    stamps_s = read_times(times)
    if len(stamps_s) != len(images):
        raise InputError(
            f"{times}: {len(stamps_s)} times for {len(images)} images, expected one for each"
        )
    return [round(stamp * 1e9) for stamp in stamps_s]


def _intrinsics(first_image: Path, arguments: argparse.Namespace) -> Intrinsics:
    height, width = read_image(first_image).shape[:2]
    camera = (
        arguments.camera if arguments.camera is not None else camera_of_folder(arguments.images)
    )
    return read_calibration(arguments.calib, camera or 0, width, height)


def _make_folder(folder: Path | None) -> None:
    if folder is None:
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: folder cannot be made: {error.strerror}") from error


def _save_panel(folder: Path | None, panel: DenseMap | None, names: dict[int, str]) -> None:
    if folder is None or panel is None:
        return
    path = folder / f"{names[panel.stamp_ns]}.npy"
    try:
        np.save(path, panel.values)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from error


def _show_progress(done: int, total: int, elapsed_s: float) -> None:
    if sys.stderr.isatty() and (done % 10 == 0 or done == total):
        end = "\n" if done == total else ""
        print(
            f"\r{done}/{total} frames, {done / elapsed_s:.1f} frames/s",
            end=end,
            file=sys.stderr,
            flush=True,
        )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m sfm_odometry.run", description=__doc__)
    _add_input_arguments(parser)
    _add_odometry_arguments(parser)
    _add_output_arguments(parser)
    return parser


def _add_input_arguments(parser: argparse.ArgumentParser) -> None:
    images_help = "folder of PNG or JPEG images, rectified, numbered"
    calib_help = "KITTI calib.txt or calib_cam_to_cam.txt, or a 3x3 camera matrix"
    camera_help = "which of KITTI's cameras; default: by the folder's name, else 0"
    times_help = "one time in seconds a frame; default: 10 frames a second"
    parser.add_argument("--images", type=Path, required=True, help=images_help)
    parser.add_argument("--calib", type=Path, required=True, help=calib_help)
    parser.add_argument("--camera", type=int, help=camera_help)
    parser.add_argument("--times", type=Path, help=times_help)


def _add_odometry_arguments(parser: argparse.ArgumentParser) -> None:
    model_help = "a .safetensors model; default: the packaged one"
    backend_help = "what computes the networks; auto: measured at the start"
    refine_help = "the networks' motions as they are, without aligning the images"
    parser.add_argument("--model", type=Path, help=model_help)
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda:N")
    parser.add_argument("--backend", choices=BACKEND_NAMES, default="auto", help=backend_help)
    add_scale_arguments(parser)
    parser.add_argument("--no-refine", action="store_true", help=refine_help)


def _add_output_arguments(parser: argparse.ArgumentParser) -> None:
    out_help = "file of poses, camera0_from_camera, one a frame"
    depth_help = (
        "folder for depth along z as .npy, one a frame, at the network's size, NaN = unknown"
    )
    masks_help = (
        "folder for explainability masks as .npy, of every frame that was a window's target"
    )
    parser.add_argument("--out", type=Path, required=True, help=out_help)
    parser.add_argument("--format", choices=("kitti", "tum"), default="kitti")
    parser.add_argument("--depth-dir", type=Path, help=depth_help)
    parser.add_argument("--masks-dir", type=Path, help=masks_help)


if __name__ == "__main__":
    raise SystemExit(main())
