"""Files and folders of the demo's results."""

import json
import shutil
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from demo.metrics import DriveMetrics
from demo.pictures import depth_colours, write_png
from demo.recording import EstimatedTrajectory
from sfm_odometry.errors import OutputError
from sfm_odometry.io.text import write_text
from sfm_odometry.io.trajectories import write_kitti, write_tum

REPORT_FILE = "report.html"
METRICS_FILE = "metrics.json"
KITTI_FILE = "odometry_kitti.txt"
TUM_FILE = "odometry_tum.txt"
DEPTH_FOLDER = "depth"
MASKS_FOLDER = "masks"
LOGS_FOLDER = "logs"
DRIVE_FOLDER = "drive"


def prepare_folder(folder: Path) -> Path:
    """Make `folder` ready for results, without those of an earlier run; returns its absolute path.

    Raises OutputError where it cannot be written, long before there is anything to write.
    """
    folder = folder.absolute()
    try:
        # See whether files can be made.
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass

        # Remove the results of an earlier run.
        for name in (REPORT_FILE, METRICS_FILE, KITTI_FILE, TUM_FILE):
            (folder / name).unlink(missing_ok=True)
        for name in (DEPTH_FOLDER, MASKS_FOLDER, LOGS_FOLDER):
            shutil.rmtree(folder / name, ignore_errors=True)
            (folder / name).mkdir()
    except OSError as error:
        raise OutputError(
            f"{folder}: cannot be written: {error.strerror}; "
            "expected a folder for the demo's results"
        ) from None
    return folder


def write_trajectory(folder: Path, trajectory: EstimatedTrajectory) -> None:
    """Write the camera's poses in its first optical frame as KITTI and TUM files.

    One row per frame. Where frames were lost, the KITTI rows begin with the number of their frame,
    by which evaluation finds their true poses.
    """
    write_tum(folder / TUM_FILE, trajectory.stamps_s, trajectory.start_from_camera)
    write_kitti(folder / KITTI_FILE, trajectory.start_from_camera)
    if len(trajectory.frames) < trajectory.frames_in:
        rows = (folder / KITTI_FILE).read_text(encoding="utf-8").splitlines()
        numbered = zip(trajectory.frames, rows, strict=True)
        write_text(folder / KITTI_FILE, "".join(f"{frame} {row}\n" for frame, row in numbered))


def write_sample(folder: Path, frame: int, depth: np.ndarray, mask: np.ndarray | None) -> None:
    """Write depth and mask of one frame.

    Depth (H, W) as float32 .npy in the odometry's unit and as a picture, the mask (H, W) as 8-bit
    PNG.
    """
    np.save(folder / DEPTH_FOLDER / f"{frame:06d}.npy", depth.astype(np.float32))
    write_png(folder / DEPTH_FOLDER / f"{frame:06d}.png", depth_colours(depth))
    if mask is not None:
        write_png(folder / MASKS_FOLDER / f"{frame:06d}.png", mask)


def write_metrics(folder: Path, metrics: DriveMetrics, facts: dict[str, Any]) -> None:
    """Write metrics.json: the metrics, then facts about model, machine and recording."""
    write_text(folder / METRICS_FILE, json.dumps(asdict(metrics) | facts, indent=2) + "\n")
