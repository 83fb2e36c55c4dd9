"""The files that the demo leaves."""

import json
import shutil
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from demo.measure import Measures
from demo.pictures import depth_colours, write_png
from demo.recording import Track
from sfm_odometry.errors import OutputError
from sfm_odometry.io.text import write_text
from sfm_odometry.io.trajectories import write_kitti, write_tum

REPORT, METRICS, KITTI, TUM = (
    "report.html",
    "metrics.json",
    "odometry_kitti.txt",
    "odometry_tum.txt",
)
DEPTH, MASKS, LOGS, DRIVE = "depth", "masks", "logs", "drive"


def prepare(folder: Path) -> Path:
    """Make `folder` ready for results, without those of an earlier run; returns its absolute path.

    Raises OutputError at once when it cannot be written, long before there is anything to write.
    """
    folder = folder.absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
        for name in (REPORT, METRICS, KITTI, TUM):
            (folder / name).unlink(missing_ok=True)
        for name in (DEPTH, MASKS, LOGS):
            shutil.rmtree(folder / name, ignore_errors=True)
            (folder / name).mkdir()
    except OSError as error:
        raise OutputError(
            f"{folder}: cannot be written: {error.strerror}; expected a folder for the demo's results"
        ) from None
    return folder


def write_trajectory(folder: Path, track: Track) -> None:
    """The camera's poses in its first optical frame as KITTI and TUM files.

    One row a frame; where frames were lost the KITTI rows carry their frame's number in front, so
    that they still find their truth.
    """
    write_tum(folder / TUM, track.stamps_s, track.start_from_camera)
    write_kitti(folder / KITTI, track.start_from_camera)
    if len(track.frames) < track.frames_in:
        rows = (folder / KITTI).read_text(encoding="utf-8").splitlines()
        write_text(
            folder / KITTI,
            "".join(f"{frame} {row}\n" for frame, row in zip(track.frames, rows, strict=True)),
        )


def write_panel(folder: Path, frame: int, depth: np.ndarray, mask: np.ndarray | None) -> None:
    """Sample panels of one frame: depth as float32 .npy in the odometry's unit and as a picture;
    the mask as 8-bit PNG."""
    np.save(folder / DEPTH / f"{frame:06d}.npy", depth.astype(np.float32))
    write_png(folder / DEPTH / f"{frame:06d}.png", depth_colours(depth))
    if mask is not None:
        write_png(folder / MASKS / f"{frame:06d}.png", mask)


def write_metrics(folder: Path, measures: Measures, facts: dict[str, Any]) -> None:
    """metrics.json: the measures, then what they were measured on."""
    write_text(folder / METRICS, json.dumps(asdict(measures) | facts, indent=2) + "\n")
