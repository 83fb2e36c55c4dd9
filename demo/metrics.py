"""Metrics of one drive, computed by the functions of `training.evaluate`."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from demo.recording import STARTUP_FRAMES, EstimatedTrajectory
from sfm_odometry.errors import InputError
from training.evaluate.alignment import umeyama
from training.evaluate.odometry import driven_distances, evaluate_odometry
from training.evaluate.snippets import evaluate_snippets


@dataclass(frozen=True)
class DriveMetrics:
    """Metrics of one drive; None where there is no ground truth, or the drive is too short.

    ate_5frame, ate_5frame_std: SfMLearner's 5-frame protocol, in the ground truth's metres.
    ate_7dof_m: RMSE after 7-DoF alignment, whose factor is `scale` (metres for one unit of the
    odometry). t_err_percent, r_err_deg_per_100m: KITTI's, after the same alignment. Latencies are
    from publishing an image to receiving its odometry, without the first `startup_frames`.
    """

    frames_in: int
    frames_processed: int
    startup_frames: int = STARTUP_FRAMES
    startup_latency_ms_max: float | None = None
    latency_ms_median: float | None = None
    latency_ms_p99: float | None = None
    latency_ms_max: float | None = None
    path_length_m: float | None = None
    ate_5frame: float | None = None
    ate_5frame_std: float | None = None
    ate_7dof_m: float | None = None
    t_err_percent: float | None = None
    r_err_deg_per_100m: float | None = None
    scale: float | None = None


@dataclass(frozen=True)
class BodyMotion:
    """Forward speed and yaw rate of a body over time."""

    seconds: np.ndarray
    """Times (N,) since the first frame."""
    speed: np.ndarray
    """Forward speed (N,) in the path's unit per second."""
    yaw_rate_deg_s: np.ndarray
    """Yaw rate (N,), left positive."""


def compute_metrics(trajectory: EstimatedTrajectory, truth: np.ndarray | None) -> DriveMetrics:
    """Returns all metrics of a trajectory.

    truth: true poses (M, 4, 4) of its rows, or None where unknown.
    """
    values = latency_metrics(trajectory)
    if truth is not None:
        values |= trajectory_metrics(trajectory, truth)
    return DriveMetrics(
        frames_in=trajectory.frames_in,
        frames_processed=len(trajectory.frames),
        startup_frames=STARTUP_FRAMES,
        **values,
    )


def latency_metrics(trajectory: EstimatedTrajectory) -> dict[str, float | None]:
    """Returns statistics of the steady frames' latencies, and the longest of the first frames'.

    The first frames wait for the window to fill.
    """
    steady_ms = trajectory.steady_latencies_ms
    return {
        "startup_latency_ms_max": _none_if_empty(trajectory.startup_latencies_ms, np.max),
        "latency_ms_median": _none_if_empty(steady_ms, np.median),
        "latency_ms_p99": _none_if_empty(steady_ms, lambda values: np.percentile(values, 99)),
        "latency_ms_max": _none_if_empty(steady_ms, np.max),
    }


def trajectory_metrics(
    trajectory: EstimatedTrajectory, truth: np.ndarray
) -> dict[str, float | None]:
    """Returns errors against the true poses (M, 4, 4).

    None, or no entry, where an error needs more frames or a longer path.
    """
    if len(trajectory.frames) < 2:
        return {}
    errors = evaluate_odometry(truth, trajectory.start_from_camera, align="7dof")
    metrics = {
        "path_length_m": driven_distances(truth)[-1],
        "ate_7dof_m": errors["ate_m"],
        "t_err_percent": errors["t_err_percent"],
        "r_err_deg_per_100m": errors["r_err_deg_per_100m"],
        "scale": errors["scale"],
    } | _snippet_metrics(trajectory, truth)
    return {name: float(value) if np.isfinite(value) else None for name, value in metrics.items()}


def align_path(trajectory: EstimatedTrajectory, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns estimated positions (M, 3) after 7-DoF alignment, and the true ones.

    Both are in the first optical frame of the true poses (M, 4, 4).
    """
    true_positions = (np.linalg.inv(truth[0]) @ truth)[:, :3, 3]
    similarity = umeyama(true_positions, trajectory.start_from_camera[:, :3, 3])
    return similarity.apply(trajectory.start_from_camera)[:, :3, 3], true_positions


def published_motion(trajectory: EstimatedTrajectory, scale: float) -> BodyMotion:
    """Returns the published twists (base_link: x ahead, z up), with speeds times `scale`.

    The first frame has no motion and is left out.
    """
    return BodyMotion(
        seconds=_seconds(trajectory)[1:],
        speed=trajectory.twists[1:, 0] * scale,
        yaw_rate_deg_s=np.degrees(trajectory.twists[1:, 5]),
    )


def true_motion(trajectory: EstimatedTrajectory, poses: np.ndarray) -> BodyMotion:
    """Returns the true motion, without the first frame.

    poses: true poses (M, 4, 4) of the trajectory's rows, in optical axes (z ahead, y down).
    """
    previous_from_current = np.linalg.inv(poses[:-1]) @ poses[1:]
    seconds = _seconds(trajectory)
    dt_s = np.diff(seconds)
    yaw_rad = -np.arctan2(previous_from_current[:, 0, 2], previous_from_current[:, 2, 2])
    return BodyMotion(
        seconds=seconds[1:],
        speed=previous_from_current[:, 2, 3] / dt_s,
        yaw_rate_deg_s=np.degrees(yaw_rad / dt_s),
    )


def _seconds(trajectory: EstimatedTrajectory) -> np.ndarray:
    """Returns the stamps (M,) in seconds since the first."""
    return (trajectory.stamps_ns - trajectory.stamps_ns[0]) * 1e-9


def _snippet_metrics(trajectory: EstimatedTrajectory, truth: np.ndarray) -> dict[str, float]:
    """Returns SfMLearner's 5-frame errors; empty for fewer than five frames in a row."""
    try:
        errors = evaluate_snippets(truth, trajectory.start_from_camera, frames=trajectory.frames)
    except InputError:
        return {}
    return {
        "ate_5frame": errors["ate_sfmlearner_mean"],
        "ate_5frame_std": errors["ate_sfmlearner_std"],
    }


def _none_if_empty(values: np.ndarray, statistic: Callable[[np.ndarray], float]) -> float | None:
    return float(statistic(values)) if values.size else None
