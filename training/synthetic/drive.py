"""Writes a rendered drive as a KITTI odometry folder with its truth."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from sfm_odometry.errors import InputError, OutputError
from sfm_odometry.geometry.camera import Intrinsics
from training.synthetic.ego import camera_poses
from training.synthetic.render import RenderedFrame, Renderer
from training.synthetic.route import FRAME_S, draw_route
from training.synthetic.terrain import Terrain

MARKER = "synthetic.json"
ENTRIES = ("image_2", "depth", "motion_mask", "calib.txt", "times.txt", "poses.txt", MARKER)
DEPTH_SCALE = 256.0
FARTHEST_M = 65535 / DEPTH_SCALE
FOCAL, CENTER_X, CENTER_Y = 0.581, 0.4908, 0.461  # of the width, width and height, as KITTI's
PROGRESS_S = 1.0
MIN_SIDE, MAX_SIDE, MAX_FRAMES = 32, 4096, 100_000


@dataclass(frozen=True)
class DriveSpec:
    """What determines every byte of a drive."""

    frames: int
    seed: int
    width: int = 416
    height: int = 128

    def __post_init__(self) -> None:
        if not 1 <= self.frames <= MAX_FRAMES:
            raise InputError(f"--frames {self.frames}: expected 1 to {MAX_FRAMES}")
        if not 0 <= self.seed < 2**31:
            raise InputError(f"--seed {self.seed}: expected 0 to {2**31 - 1}")
        if not (MIN_SIDE <= self.width <= MAX_SIDE and MIN_SIDE <= self.height <= MAX_SIDE):
            raise InputError(
                f"--size {self.width}x{self.height}: expected sides of {MIN_SIDE} to {MAX_SIDE} pixels"
            )

    def intrinsics(self) -> Intrinsics:
        focal = FOCAL * self.width
        return Intrinsics(
            focal, focal, CENTER_X * self.width, CENTER_Y * self.height, self.width, self.height
        )


def write_drive(
    out: Path, spec: DriveSpec, workers: int = 2, overwrite: bool = False, quiet: bool = False
) -> None:
    """Render `spec` into `out`; the same spec gives the same bytes for any number of workers.

    Everything is written beside its final place and moved there at the end. Raises InputError where
    `out` holds foreign files, OutputError where it cannot be written.
    """
    _check_folder(out, overwrite)
    stage = out / f".rendering-{os.getpid()}"
    try:
        for name in ("image_2", "depth", "motion_mask"):
            (stage / name).mkdir(parents=True)
        _write_texts(stage, spec)
        _render_all(stage, spec, max(1, min(workers, spec.frames)), quiet)
        for name in ENTRIES:
            _replace(stage / name, out / name)
    except OSError as error:
        raise OutputError(
            f"{out}: cannot be written ({error.strerror or error}), expected a writable folder with room"
        ) from error
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def _check_folder(out: Path, overwrite: bool) -> None:
    if out.exists() and not out.is_dir():
        raise OutputError(f"{out}: is a file, expected a folder to write the drive into")
    if out.is_dir() and not overwrite and not (out / MARKER).exists():
        others = [entry.name for entry in out.iterdir() if not entry.name.startswith(".rendering-")]
        if others:
            raise InputError(
                f"{out}: holds other files ({min(others)}), expected an empty folder, a rendered drive or --overwrite"
            )


def _replace(source: Path, target: Path) -> None:
    if target.is_dir():
        shutil.rmtree(target)
    os.replace(source, target)


def _write_texts(stage: Path, spec: DriveSpec) -> None:
    k = spec.intrinsics()
    row = (k.fx, 0, k.cx, 0, 0, k.fy, k.cy, 0, 0, 0, 1, 0)
    line = " ".join(f"{value:.12e}" for value in row)
    (stage / "calib.txt").write_text("".join(f"P{camera}: {line}\n" for camera in range(4)))
    (stage / "times.txt").write_text(
        "".join(f"{frame * FRAME_S:.6e}\n" for frame in range(spec.frames))
    )
    poses = camera0_from_camera(spec)[:, :3].reshape(-1, 12)
    (stage / "poses.txt").write_text(
        "".join(" ".join(f"{value:.12e}" for value in pose) + "\n" for pose in poses)
    )
    marker = {
        "format": 1,
        "frames": spec.frames,
        "seed": spec.seed,
        "size": [spec.width, spec.height],
    }
    (stage / MARKER).write_text(json.dumps(marker) + "\n")


def camera0_from_camera(spec: DriveSpec) -> np.ndarray:
    """(frames, 4, 4) KITTI poses of a drive, without rendering it; the first is exactly the
    identity."""
    world_from_camera, _ = camera_poses(
        spec.seed, draw_route(spec.seed, spec.frames), Terrain(spec.seed), spec.frames
    )
    poses = np.linalg.inv(world_from_camera[0]) @ world_from_camera
    poses[0] = np.eye(4)
    return poses


def _render_all(stage: Path, spec: DriveSpec, workers: int, quiet: bool) -> None:
    """Each worker renders one stretch of the drive, so that neighbouring frames share its
    painted ground and shadows."""
    started = time.monotonic()
    bounds = np.linspace(0, spec.frames, workers + 1).astype(int)
    context = multiprocessing.get_context("spawn")
    done = context.Value("i", 0)
    with context.Pool(workers, _start_worker, (spec, stage, done)) as pool:
        result = pool.starmap_async(
            _render_stretch,
            list(zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)),
            chunksize=1,
        )
        while not result.ready():
            result.wait(PROGRESS_S)
            if not quiet:
                _report(done.value, spec.frames, time.monotonic() - started)
        result.get()
    if not quiet and sys.stderr.isatty():
        print(file=sys.stderr)


def _report(done: int, total: int, elapsed_s: float) -> None:
    end = "\r" if sys.stderr.isatty() else "\n"
    print(
        f"rendered {done} of {total} frames, {done / max(elapsed_s, 1e-6):.1f} frames/s",
        end=end,
        file=sys.stderr,
        flush=True,
    )


_worker: tuple = ()


def _start_worker(spec: DriveSpec, stage: Path, done) -> None:  # type: ignore[no-untyped-def]
    global _worker
    cv2.setNumThreads(1)
    _worker = (Renderer(spec.seed, spec.frames, spec.intrinsics()), stage, done)


def _render_stretch(first: int, last: int) -> None:
    renderer, stage, done = _worker
    for number in range(first, last):
        write_frame(stage, number, renderer.render(number))
        with done.get_lock():
            done.value += 1


def write_frame(folder: Path, number: int, frame: RenderedFrame) -> None:
    """One frame's three PNG files."""
    depth = np.round(frame.depth_m * DEPTH_SCALE)
    depth = np.where((frame.depth_m > 0) & (depth <= 65535), np.maximum(depth, 1), 0).astype(
        np.uint16
    )
    _write_png(folder / "image_2" / f"{number:06d}.png", frame.image[..., ::-1])
    _write_png(folder / "depth" / f"{number:06d}.png", depth)
    _write_png(folder / "motion_mask" / f"{number:06d}.png", frame.moving.astype(np.uint8) * 255)


def _write_png(path: Path, image: np.ndarray) -> None:
    encoded, data = cv2.imencode(".png", image, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    if not encoded:
        raise OutputError(f"{path}: cannot be encoded as PNG")
    path.write_bytes(data.tobytes())
