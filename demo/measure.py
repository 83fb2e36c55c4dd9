"""The numbers of one drive, by the functions of `training.evaluate`."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from demo.recording import STARTUP_FRAMES, Track
from sfm_odometry.errors import InputError
from training.evaluate.alignment import umeyama
from training.evaluate.odometry import driven_distances, evaluate_odometry
from training.evaluate.snippets import evaluate_snippets


@dataclass(frozen=True)
class Measures:
    """The headline numbers; None where there is no truth, or where the drive is too short for a
    number.

    ate_5frame, ate_5frame_std: SfMLearner's 5-frame protocol, in the truth's metres. ate_7dof_m:
    RMSE after 7-DoF alignment, whose factor is `scale` (metres for one unit of the odometry).
    t_err_percent, r_err_deg_per_100m: KITTI's, after the same alignment. Latencies are from
    publishing an image to receiving its odometry, without the first `startup_frames`.
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
class Motion:
    """Forward speed (N,) in the path's unit per second and yaw rate (N,), left positive, of a
    body over `seconds` (N,)."""

    seconds: np.ndarray
    speed: np.ndarray
    yaw_rate_deg_s: np.ndarray


def measure(track: Track, truth: np.ndarray | None) -> Measures:
    """All numbers of a track; `truth` (M, 4, 4) has the true poses of its rows, or is None."""
    return Measures(
        frames_in=track.frames_in,
        frames_processed=len(track.frames),
        **latency_measures(track),
        **({} if truth is None else trajectory_measures(track, truth)),
    )


def latency_measures(track: Track) -> dict[str, float | None]:
    """Statistics of the steady frames, and the longest of the first ones, which wait for the
    window to fill."""
    steady, startup = track.steady_latencies_ms, track.startup_latencies_ms
    return {
        "startup_latency_ms_max": _none_if_empty(startup, np.max),
        "latency_ms_median": _none_if_empty(steady, np.median),
        "latency_ms_p99": _none_if_empty(steady, lambda values: np.percentile(values, 99)),
        "latency_ms_max": _none_if_empty(steady, np.max),
    }


def trajectory_measures(track: Track, truth: np.ndarray) -> dict[str, float | None]:
    """Errors against the truth; what needs more frames or a longer way than there is stays None."""
    if len(track.frames) < 2:
        return {}
    whole = evaluate_odometry(truth, track.start_from_camera, align="7dof")
    numbers = {
        "path_length_m": driven_distances(truth)[-1],
        "ate_7dof_m": whole["ate_m"],
        "t_err_percent": whole["t_err_percent"],
        "r_err_deg_per_100m": whole["r_err_deg_per_100m"],
        "scale": whole["scale"],
    } | _snippet_measures(track, truth)
    return {
        name: float(number) if np.isfinite(number) else None for name, number in numbers.items()
    }


def aligned_path(track: Track, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Positions (M, 3) of the track after 7-DoF alignment, and of the truth, both in the truth's
    first optical frame."""
    true_positions = (np.linalg.inv(truth[0]) @ truth)[:, :3, 3]
    similarity = umeyama(true_positions, track.start_from_camera[:, :3, 3])
    return similarity.apply(track.start_from_camera)[:, :3, 3], true_positions


def published_motion(track: Track, scale: float) -> Motion:
    """The twists as published (base_link: x ahead, z up), speeds times `scale`; the first frame
    has no motion and is left out."""
    return Motion(_seconds(track)[1:], track.twists[1:, 0] * scale, np.degrees(track.twists[1:, 5]))


def true_motion(track: Track, poses: np.ndarray) -> Motion:
    """The same of true poses (M, 4, 4) in optical axes (z ahead, y down), one for each row of
    the track."""
    previous_from_current = np.linalg.inv(poses[:-1]) @ poses[1:]
    seconds = _seconds(track)
    dt_s = np.diff(seconds)
    yaw_rad = -np.arctan2(previous_from_current[:, 0, 2], previous_from_current[:, 2, 2])
    return Motion(seconds[1:], previous_from_current[:, 2, 3] / dt_s, np.degrees(yaw_rad / dt_s))


def _seconds(track: Track) -> np.ndarray:
    return (track.stamps_ns - track.stamps_ns[0]) * 1e-9


def _snippet_measures(track: Track, truth: np.ndarray) -> dict[str, float]:
    try:
        snippets = evaluate_snippets(truth, track.start_from_camera, frames=track.frames)
    except InputError:  # fewer than five frames in a row
        return {}
    return {
        "ate_5frame": snippets["ate_sfmlearner_mean"],
        "ate_5frame_std": snippets["ate_sfmlearner_std"],
    }


def _none_if_empty(values: np.ndarray, statistic: Callable[[np.ndarray], float]) -> float | None:
    return float(statistic(values)) if values.size else None
