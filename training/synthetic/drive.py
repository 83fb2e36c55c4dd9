"""Writer of a rendered drive or walk as a KITTI odometry folder with its truth."""

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
from training.synthetic.frames import RenderedFrame
from training.synthetic.render import Renderer
from training.synthetic.rooms.room_renderer import RoomRenderer
from training.synthetic.rooms.walk import RIGS
from training.synthetic.route import FRAME_S, draw_route
from training.synthetic.terrain import Terrain

MARKER = "synthetic.json"
ENTRIES = ("image_2", "depth", "motion_mask", "calib.txt", "times.txt", "poses.txt", MARKER)
DEPTH_SCALE = 256.0  # value of a depth PNG per metre, as KITTI's
# Focal length and principal point in fractions of the image's width, width and height, as KITTI's.
FOCAL = 0.581
CENTER_X = 0.4908
CENTER_Y = 0.461
PROGRESS_S = 1.0  # time between two progress lines
MIN_SIDE = 32  # pixels
MAX_SIDE = 4096  # pixels
MAX_FRAMES = 100_000
WORLDS = ("street", "rooms")
ROOM_FOV_DEG = (50.0, 100.0)  # range of the horizontal fields of view that are drawn for rooms
ROOM_RATE_HZ = 10.0
RATES_HZ = (3.0, 30.0)
FOVS_DEG = (20.0, 130.0)


@dataclass(frozen=True)
class DriveSpec:
    """Parameters that determine every byte of a drive.

    `rig`, `fov_deg` and `rate_hz` are for rooms only: how the camera is carried, its horizontal
    field of view, frames a second. None draws the first two from the seed and takes 10 Hz. Raises
    InputError if a value is out of range.
    """

    frames: int
    seed: int
    width: int = 416
    height: int = 128
    world: str = "street"
    rig: str | None = None
    fov_deg: float | None = None
    rate_hz: float | None = None

    def __post_init__(self) -> None:
        self._check_camera()
        if not 1 <= self.frames <= MAX_FRAMES:
            raise InputError(f"--frames {self.frames}: expected 1 to {MAX_FRAMES}")
        if not 0 <= self.seed < 2**31:
            raise InputError(f"--seed {self.seed}: expected 0 to {2**31 - 1}")
        if not (MIN_SIDE <= self.width <= MAX_SIDE and MIN_SIDE <= self.height <= MAX_SIDE):
            raise InputError(
                f"--size {self.width}x{self.height}: "
                f"expected sides of {MIN_SIDE} to {MAX_SIDE} pixels"
            )

    def _check_camera(self) -> None:
        """Raises InputError if world, rig, field of view or rate do not fit."""
        if self.world not in WORLDS:
            raise InputError(f"--world {self.world}: expected {' or '.join(WORLDS)}")
        for option, value in (("rig", self.rig), ("fov", self.fov_deg), ("rate", self.rate_hz)):
            if self.world == "street" and value is not None:
                raise InputError(f"--{option} {value}: expected --world rooms with it")
        if self.rig is not None and self.rig not in RIGS:
            raise InputError(f"--rig {self.rig}: expected {', '.join(RIGS)}")
        for option, value, (low, high) in (
            ("fov", self.fov_deg, FOVS_DEG),
            ("rate", self.rate_hz, RATES_HZ),
        ):
            if value is not None and not low <= value <= high:
                raise InputError(f"--{option} {value:g}: expected {low:g} to {high:g}")

    @property
    def frame_s(self) -> float:
        """Time between two frames in seconds."""
        return FRAME_S if self.world == "street" else 1 / (self.rate_hz or ROOM_RATE_HZ)

    def intrinsics(self) -> Intrinsics:
        """Returns the camera's intrinsics."""
        if self.world == "rooms":
            return self._room_intrinsics()
        focal = FOCAL * self.width
        return Intrinsics(
            focal, focal, CENTER_X * self.width, CENTER_Y * self.height, self.width, self.height
        )

    def _room_intrinsics(self) -> Intrinsics:
        """Returns the intrinsics of a camera in rooms, its field of view given or drawn."""
        rng = np.random.default_rng([self.seed, 106])
        drawn_deg = float(rng.uniform(*ROOM_FOV_DEG))
        shift = rng.uniform(-0.02, 0.02, 2)
        fov_rad = np.radians(self.fov_deg or drawn_deg)
        focal = self.width / 2 / float(np.tan(fov_rad / 2))
        center = (0.5 + shift) * (self.width, self.height) - 0.5
        return Intrinsics(focal, focal, float(center[0]), float(center[1]), self.width, self.height)


def make_renderer(spec: DriveSpec) -> Renderer | RoomRenderer:
    """Returns the renderer of a drive's frames, with their poses."""
    if spec.world == "street":
        return Renderer(spec.seed, spec.frames, spec.intrinsics())
    return RoomRenderer(spec.seed, spec.frames, spec.intrinsics(), spec.rig, 1 / spec.frame_s)


def write_drive(
    out: Path, spec: DriveSpec, workers: int = 2, overwrite: bool = False, quiet: bool = False
) -> None:
    """Renders a drive into the folder `out`.

    The same spec gives the same bytes for any number of workers. Everything is written into a
    temporary folder in `out` and moved to its place at the end. Raises InputError if `out` holds
    foreign files, OutputError if it cannot be written.
    """
    # Write all files into the temporary folder.
    _check_folder(out, overwrite)
    stage = out / f".rendering-{os.getpid()}"
    try:
        for name in ("image_2", "depth", "motion_mask"):
            (stage / name).mkdir(parents=True)
        _write_texts(stage, spec)
        _render_all(stage, spec, max(1, min(workers, spec.frames)), quiet)
        # Move them to their places.
        for name in ENTRIES:
            _replace(stage / name, out / name)
    except OSError as error:
        raise OutputError(
            f"{out}: cannot be written ({error.strerror or error}), "
            "expected a writable folder with room"
        ) from error
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def _check_folder(out: Path, overwrite: bool) -> None:
    """Raises OutputError if `out` is a file, InputError if it holds files of another origin."""
    if out.exists() and not out.is_dir():
        raise OutputError(f"{out}: is a file, expected a folder to write the drive into")
    if out.is_dir() and not overwrite and not (out / MARKER).exists():
        others = [entry.name for entry in out.iterdir() if not entry.name.startswith(".rendering-")]
        if others:
            raise InputError(
                f"{out}: holds other files ({min(others)}), "
                "expected an empty folder, a rendered drive or --overwrite"
            )


def _replace(source: Path, target: Path) -> None:
    """Moves a file or folder, replacing what `target` holds."""
    if target.is_dir():
        shutil.rmtree(target)
    os.replace(source, target)


def _write_texts(stage: Path, spec: DriveSpec) -> None:
    """Writes calibration, times, poses and the marker file."""
    # Calibration, the same for all of KITTI's four cameras.
    k = spec.intrinsics()
    row = (k.fx, 0, k.cx, 0, 0, k.fy, k.cy, 0, 0, 0, 1, 0)
    line = " ".join(f"{value:.12e}" for value in row)
    (stage / "calib.txt").write_text("".join(f"P{camera}: {line}\n" for camera in range(4)))
    # Times and poses.
    (stage / "times.txt").write_text(
        "".join(f"{frame * spec.frame_s:.6e}\n" for frame in range(spec.frames))
    )
    poses = camera0_from_camera(spec)[:, :3].reshape(-1, 12)
    (stage / "poses.txt").write_text(
        "".join(" ".join(f"{value:.12e}" for value in pose) + "\n" for pose in poses)
    )
    # The marker of a folder that may be overwritten.
    marker: dict[str, object] = {
        "format": 1,
        "frames": spec.frames,
        "seed": spec.seed,
        "size": [spec.width, spec.height],
    }
    if spec.world != "street":
        marker |= {"world": spec.world, "rig": spec.rig, "fov_deg": spec.fov_deg}
        marker |= {"rate_hz": 1 / spec.frame_s}
    (stage / MARKER).write_text(json.dumps(marker) + "\n")


def camera0_from_camera(spec: DriveSpec) -> np.ndarray:
    """Returns the KITTI poses (frames, 4, 4) of a drive, without rendering it.

    The first is exactly the identity.
    """
    if spec.world == "rooms":
        return make_renderer(spec).camera0_from_camera
    world_from_camera, _ = camera_poses(
        spec.seed, draw_route(spec.seed, spec.frames), Terrain(spec.seed), spec.frames
    )
    poses = np.linalg.inv(world_from_camera[0]) @ world_from_camera
    poses[0] = np.eye(4)
    return poses


def _render_all(stage: Path, spec: DriveSpec, workers: int, quiet: bool) -> None:
    """Renders all frames, each worker one stretch of the drive.

    Within a stretch, neighbouring frames share painted ground and shadow maps.
    """
    start_s = time.monotonic()
    # Start the workers.
    bounds = np.linspace(0, spec.frames, workers + 1).astype(int)
    context = multiprocessing.get_context("spawn")
    rendered = context.Value("i", 0)
    with context.Pool(workers, _start_worker, (spec, stage, rendered)) as pool:
        result = pool.starmap_async(
            _render_stretch,
            list(zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)),
            chunksize=1,
        )
        # Report progress until all frames are written; get() raises the error of a worker.
        while not result.ready():
            result.wait(PROGRESS_S)
            if not quiet:
                _report(rendered.value, spec.frames, time.monotonic() - start_s)
        result.get()
    if not quiet and sys.stderr.isatty():
        print(file=sys.stderr)


def _report(rendered: int, total: int, elapsed_s: float) -> None:
    """Prints a line of progress to stderr; on a terminal it overwrites the one before."""
    end = "\r" if sys.stderr.isatty() else "\n"
    print(
        f"rendered {rendered} of {total} frames, {rendered / max(elapsed_s, 1e-6):.1f} frames/s",
        end=end,
        file=sys.stderr,
        flush=True,
    )


_worker: tuple = ()  # renderer, folder and shared count of rendered frames of this process


def _start_worker(spec: DriveSpec, stage: Path, rendered) -> None:  # type: ignore[no-untyped-def]
    """Sets up the renderer of a worker process."""
    global _worker
    cv2.setNumThreads(1)
    _worker = (make_renderer(spec), stage, rendered)


def _render_stretch(first: int, end: int) -> None:
    """Renders and writes the frames from `first` up to, not including, `end`."""
    renderer, stage, rendered = _worker
    for number in range(first, end):
        write_frame(stage, number, renderer.render(number))
        with rendered.get_lock():
            rendered.value += 1


def write_frame(folder: Path, number: int, frame: RenderedFrame) -> None:
    """Writes one frame's image, depth and motion mask as PNG files.

    Depth is uint16 in 1/256 m, 0 where it is unknown or beyond 65535/256 m.
    """
    depth = np.round(frame.depth_m * DEPTH_SCALE)
    depth = np.where((frame.depth_m > 0) & (depth <= 65535), np.maximum(depth, 1), 0).astype(
        np.uint16
    )
    _write_png(folder / "image_2" / f"{number:06d}.png", frame.image[..., ::-1])
    _write_png(folder / "depth" / f"{number:06d}.png", depth)
    _write_png(folder / "motion_mask" / f"{number:06d}.png", frame.moving.astype(np.uint8) * 255)


def _write_png(path: Path, image: np.ndarray) -> None:
    """Writes a PNG file with the lowest compression; raises OutputError if it cannot be encoded."""
    is_encoded, data = cv2.imencode(".png", image, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    if not is_encoded:
        raise OutputError(f"{path}: cannot be encoded as PNG")
    path.write_bytes(data.tobytes())
