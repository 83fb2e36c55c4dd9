"""Metrics of a drive on trajectories with known errors."""

import numpy as np
import pytest

from demo.metrics import align_path, compute_metrics, published_motion, true_motion
from demo.recording import EstimatedTrajectory

RATE_HZ = 10.0


def arc(frames: int, step: float, turn_rad: float) -> np.ndarray:
    """Returns optical poses of a camera on an arc.

    Each frame it drives `step` along its axis and turns right by `turn_rad`.
    """
    cosine = np.cos(turn_rad)
    sine = np.sin(turn_rad)
    motion = np.array([[cosine, 0, sine, 0], [0, 1, 0, 0], [-sine, 0, cosine, step], [0, 0, 0, 1]])
    poses = [np.eye(4)]
    for _ in range(frames - 1):
        poses.append(poses[-1] @ motion)
    return np.stack(poses)


def trajectory_of_poses(
    poses: np.ndarray, frames_in: int | None = None, latencies_ms: np.ndarray | None = None
) -> EstimatedTrajectory:
    count = len(poses)
    return EstimatedTrajectory(
        frames=np.arange(count),
        stamps_ns=(np.arange(count) * 1e9 / RATE_HZ).astype(np.int64),
        start_from_camera=poses,
        twists=np.zeros((count, 6)),
        latencies_ms=np.full(count, 30.0) if latencies_ms is None else latencies_ms,
        frames_in=frames_in or count,
    )


def test_a_perfect_path_of_unknown_scale_has_no_error_and_gives_the_scale():
    truth = arc(200, 1.0, 0.01)
    estimate = truth.copy()
    estimate[:, :3, 3] /= 25.0
    metrics = compute_metrics(trajectory_of_poses(estimate), truth)
    assert metrics.scale == pytest.approx(25.0)
    assert metrics.path_length_m == pytest.approx(199.0)
    for error in (
        metrics.ate_5frame,
        metrics.ate_7dof_m,
        metrics.t_err_percent,
        metrics.r_err_deg_per_100m,
    ):
        assert error == pytest.approx(0.0, abs=1e-5)


def test_a_known_drift_in_rotation_is_found():
    truth = arc(300, 1.0, 0.0)
    estimate = arc(300, 1.0, np.radians(0.01))
    # 0.01 degrees per metre are 1 degree in 100 m, whatever the alignment.
    metrics = compute_metrics(trajectory_of_poses(estimate), truth)
    assert metrics.r_err_deg_per_100m == pytest.approx(1.0, rel=0.02)


def test_a_drive_too_short_for_segments_has_the_other_metrics():
    truth = arc(30, 1.0, 0.01)
    metrics = compute_metrics(trajectory_of_poses(truth), truth)
    assert metrics.t_err_percent is None
    assert metrics.r_err_deg_per_100m is None
    assert metrics.ate_7dof_m == pytest.approx(0.0, abs=1e-9)


def test_without_truth_there_are_counts_and_latencies_only():
    metrics = compute_metrics(trajectory_of_poses(arc(20, 1.0, 0.0), frames_in=22), None)
    assert (metrics.frames_in, metrics.frames_processed) == (22, 20)
    assert metrics.latency_ms_median == 30.0
    assert metrics.ate_5frame is None
    assert metrics.scale is None


def test_the_startup_frames_count_in_their_own_latency_only():
    latencies_ms = np.concatenate([[400.0, 300.0, 200.0, 100.0], np.linspace(10.0, 20.0, 101)])
    trajectory = trajectory_of_poses(arc(105, 1.0, 0.0), latencies_ms=latencies_ms)
    metrics = compute_metrics(trajectory, None)
    assert metrics.startup_latency_ms_max == 400.0
    assert metrics.latency_ms_median == pytest.approx(15.0)
    assert metrics.latency_ms_p99 == pytest.approx(19.9)
    assert metrics.latency_ms_max == 20.0


def test_a_single_frame_has_no_path_and_is_no_failure():
    metrics = compute_metrics(trajectory_of_poses(np.eye(4)[None]), np.eye(4)[None])
    assert metrics.frames_processed == 1
    assert metrics.ate_7dof_m is None
    assert metrics.latency_ms_median is None


def test_the_aligned_path_lies_on_the_truth_in_its_first_frame():
    truth = arc(50, 0.8, 0.02)
    elsewhere = arc(4, 5.0, 0.7)[-1]
    estimate = truth.copy()
    estimate[:, :3, 3] *= 0.04
    path, true_path = align_path(trajectory_of_poses(estimate), elsewhere @ truth)
    np.testing.assert_allclose(path, true_path, atol=1e-9)
    np.testing.assert_allclose(true_path, truth[:, :3, 3], atol=1e-9)


def test_true_motion_is_speed_ahead_and_yaw_to_the_left():
    poses = arc(10, 1.2, np.radians(2.0))
    motion = true_motion(trajectory_of_poses(poses), poses)
    np.testing.assert_allclose(motion.speed, 12.0)
    np.testing.assert_allclose(motion.yaw_rate_deg_s, -20.0)  # a right turn
    np.testing.assert_allclose(motion.seconds, np.arange(1, 10) / RATE_HZ)


def test_published_motion_is_the_twist_with_scaled_speed():
    trajectory = trajectory_of_poses(arc(3, 1.0, 0.0))
    trajectory.twists[:, 0] = 0.5
    trajectory.twists[:, 5] = np.radians(-20.0)
    motion = published_motion(trajectory, scale=24.0)
    np.testing.assert_allclose(motion.speed, [12.0, 12.0])
    np.testing.assert_allclose(motion.yaw_rate_deg_s, [-20.0, -20.0])
