"""Drift, ATE and RPE of whole trajectories."""

import cv2
import numpy as np
import pytest

from sfm_odometry.io.trajectories import read_poses
from training.evaluate.alignment import ALIGNMENTS
from training.evaluate.odometry import (
    driven_distances,
    evaluate_odometry,
    relative_to_first,
    rotation_angles_rad,
    segment_errors,
)

ERRORS = ("t_err_percent", "r_err_deg_per_100m", "ate_m", "rpe_m", "rpe_deg")


def straight(count, step_m=1.0):
    poses = np.tile(np.eye(4), (count, 1, 1))
    poses[:, 2, 3] = step_m * np.arange(count)
    return poses


def moved(poses, scale=1.0):
    """Copy of the poses in another world frame, with other units."""
    other = np.eye(4)
    other[:3, :3] = cv2.Rodrigues(np.array([0.4, -0.9, 0.2]))[0]
    other[:3, 3] = [7, -8, 9]
    copy = other @ poses
    copy[:, :3, 3] *= scale
    return copy


@pytest.mark.parametrize("align", ALIGNMENTS)
def test_the_truth_against_itself_has_no_error(winding, align):
    scores = evaluate_odometry(winding, winding, align)
    assert scores["frames"] == 400 and scores["scale"] == pytest.approx(1.0)
    for name in ERRORS:
        assert scores[name] == pytest.approx(0, abs=1e-6)


def test_a_rotated_scaled_and_shifted_copy_has_no_error_after_7dof(winding):
    scores = evaluate_odometry(winding, moved(winding, scale=0.04), "7dof")
    assert scores["scale"] == pytest.approx(25.0)
    for name in ERRORS:
        assert scores[name] == pytest.approx(0, abs=1e-6)


def test_errors_removed_by_each_alignment(winding):
    pred = moved(winding, scale=0.5)
    # Poses are relative to the first camera, so rotation and shift of the world never count; scale
    # does until it is aligned.
    assert evaluate_odometry(winding, pred, "none")["t_err_percent"] > 30
    assert evaluate_odometry(winding, pred, "6dof")["t_err_percent"] > 30
    assert evaluate_odometry(winding, pred, "scale")["t_err_percent"] == pytest.approx(0, abs=1e-6)
    assert evaluate_odometry(winding, pred, "scale")["scale"] == pytest.approx(2.0)


def test_ten_percent_too_short_is_ten_percent_of_drift():
    scores = evaluate_odometry(straight(1001), straight(1001, 0.9), "none")
    # Segments end past L: at L + 1 m with whole-metre steps, so the error is 0.1 (L + 1) / L, for
    # the segments that fit on 1000 m.
    expected = [
        0.1 * (length + 1) / length
        for start in range(0, 1001, 10)
        for length in range(100, 801, 100)
        if start + length + 1 <= 1000
    ]
    assert scores["t_err_percent"] == pytest.approx(100 * np.mean(expected))
    assert scores["r_err_deg_per_100m"] == 0.0
    assert scores["rpe_m"] == pytest.approx(0.1)
    assert scores["ate_m"] == pytest.approx(0.1 * np.sqrt(np.mean(np.arange(1001.0) ** 2)))


def test_constant_turn_in_degrees_per_100_m():
    pred = straight(301)
    angle_rad = np.radians(0.01) * np.arange(301)
    pred[:, :3, :3] = [cv2.Rodrigues(np.array([0.0, angle, 0.0]))[0] for angle in angle_rad]
    scores = evaluate_odometry(straight(301), pred, "none")
    expected = [
        0.01 * (length + 1) / length * 100
        for start in range(0, 301, 10)
        for length in (100, 200)
        if start + length + 1 <= 300
    ]
    assert scores["r_err_deg_per_100m"] == pytest.approx(np.mean(expected))
    assert scores["rpe_deg"] == pytest.approx(0.01)
    assert scores["ate_m"] == 0.0


def test_segments_end_at_the_first_frame_past_the_length():
    gt = straight(102)  # 101 m: only the start at frame 0 reaches a point more than 100 m away
    t_err, r_err = segment_errors(gt, gt)
    assert len(t_err) == len(r_err) == 1
    assert len(segment_errors(gt[:101], gt[:101])[0]) == 0


def test_path_too_short_for_segments_has_no_drift():
    scores = evaluate_odometry(straight(50), straight(50, 2.0), "7dof")
    assert np.isnan(scores["t_err_percent"]) and np.isnan(scores["r_err_deg_per_100m"])
    assert scores["ate_m"] == pytest.approx(0, abs=1e-9) and scores["scale"] == pytest.approx(0.5)


@pytest.mark.parametrize("align", ALIGNMENTS)
def test_a_prediction_that_stands_still_is_scored_without_nan(winding, align):
    scores = evaluate_odometry(winding, np.tile(np.eye(4), (400, 1, 1)), align)
    assert all(np.isfinite(score) for score in scores.values())
    assert scores["scale"] == 1.0 and scores["rpe_m"] > 1.0


def test_distances_and_first_frame(winding):
    assert driven_distances(straight(4, 2.5)).tolist() == [0, 2.5, 5, 7.5]
    np.testing.assert_allclose(relative_to_first(moved(winding)), winding, atol=1e-9)


def test_small_angles_keep_their_digits():
    for angle in (0.0, 1e-9, 1e-5, 0.3, 3.0, np.pi):
        rotation = cv2.Rodrigues(np.array([0.6, 0.0, 0.8]) * angle)[0]
        assert rotation_angles_rad(rotation[None])[0] == pytest.approx(angle, rel=1e-6, abs=1e-15)


def plain_segment_errors(gt, pred):
    """Drift by the loops of the devkit's evaluate_odometry.cpp, to check the vectorised one."""
    # Driven distance by frame.
    driven = [0.0]
    for before, after in zip(gt, gt[1:]):  # noqa: B905, RUF007
        driven.append(driven[-1] + np.sqrt(np.sum((after[:3, 3] - before[:3, 3]) ** 2)))
    errors = []
    for first in range(0, len(gt), 10):
        for length in (100, 200, 300, 400, 500, 600, 700, 800):
            last = next(
                (i for i in range(first, len(gt)) if driven[i] > driven[first] + length), -1
            )
            if last == -1:
                continue
            # Error of the motion over the segment.
            delta_gt = np.linalg.solve(gt[first], gt[last])
            delta_pred = np.linalg.solve(pred[first], pred[last])
            error = np.linalg.solve(delta_pred, delta_gt)
            cosine = np.clip(0.5 * (np.trace(error[:3, :3]) - 1), -1, 1)
            errors.append(
                (
                    np.sqrt(error[0, 3] ** 2 + error[1, 3] ** 2 + error[2, 3] ** 2) / length,
                    np.arccos(cosine) / length,
                )
            )
    return np.array(errors).T


def test_drift_agrees_with_the_devkit(winding):
    rng = np.random.default_rng(0)
    pred = winding.copy()
    pred[:, :3, 3] += rng.normal(size=(400, 3)).cumsum(axis=0) * 0.05
    pred[:, :3, :3] = [
        cv2.Rodrigues(rng.normal(size=3) * 0.01)[0] @ rotation for rotation in winding[:, :3, :3]
    ]
    np.testing.assert_allclose(
        segment_errors(winding, pred), plain_segment_errors(winding, pred), rtol=1e-6
    )


@pytest.mark.parametrize(
    ("sequence", "t_err", "r_err", "ate"),
    [("09", 9.948, 3.916, 35.74), ("10", 13.497, 6.008, 22.07)],
)
def test_published_trajectories_score_as_known(kitti, sequence, t_err, r_err, ate):
    gt, pred = (
        read_poses(kitti / folder / f"{sequence}.txt").poses
        for folder in ("odometry/poses", "peers/trianflow")
    )
    scores = evaluate_odometry(gt, pred, "7dof")
    assert scores["t_err_percent"] == pytest.approx(t_err, abs=5e-4)
    assert scores["r_err_deg_per_100m"] == pytest.approx(r_err, abs=5e-4)
    assert scores["ate_m"] == pytest.approx(ate, abs=5e-3)
