"""Pose errors of short snippets, and the baseline mean odometry."""

import cv2
import numpy as np
import pytest

from sfm_odometry.errors import InputError
from sfm_odometry.io.trajectories import read_poses
from training.evaluate.snippets import (
    evaluate_mean_odometry,
    evaluate_snippets,
    mean_odometry,
    positions_in_first,
    snippet_rotation_errors_rad,
    snippet_starts,
)


def straight(count, step=(0.0, 0.0, 1.0)):
    poses = np.tile(np.eye(4), (count, 1, 1))
    poses[:, :3, 3] = np.arange(count)[:, None] * np.array(step)
    return poses


def test_the_truth_against_itself_and_against_any_scale_has_no_error(winding):
    for scale in (1.0, 0.01, 30.0):
        pred = winding.copy()
        pred[:, :3, 3] *= scale
        scores = evaluate_snippets(winding, pred)
        assert scores["ate_sfmlearner_mean"] == pytest.approx(0, abs=1e-9)
        assert scores["snippets"] == 396


def test_the_world_frame_does_not_matter(winding):
    other = np.eye(4)
    other[:3, :3] = cv2.Rodrigues(np.array([0.4, -0.9, 0.2]))[0]
    other[:3, 3] = [7, -8, 9]
    assert evaluate_snippets(winding, other @ winding)["rmse_mean"] == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("angle_deg", [0.3, 5.0])
def test_a_constant_rotation_between_the_cameras_axes_is_taken_out(winding, angle_deg):
    other = np.eye(4)
    other[:3, :3] = cv2.Rodrigues(np.radians(angle_deg) * np.array([0.6, -0.8, 0.0]))[0]
    scores = evaluate_snippets(winding, other @ winding @ np.linalg.inv(other))
    assert scores["ate_axes_aligned_mean"] == pytest.approx(0, abs=1e-6)
    assert scores["axes_rotation_deg"] == pytest.approx(angle_deg, rel=1e-4)
    assert scores["ate_sfmlearner_mean"] > 0.002


def test_of_a_straight_drive_the_smallest_rotation_is_taken_out():
    scores = evaluate_snippets(straight(10), straight(10, step=(0.01, 0.0, 1.0)))
    assert scores["axes_rotation_deg"] == pytest.approx(np.degrees(0.01), rel=1e-3)
    assert scores["ate_axes_aligned_mean"] == pytest.approx(0, abs=1e-6)


def test_every_snippet_has_its_own_scale():
    pred = straight(20)
    pred[:, 2, 3] = np.cumsum(np.repeat([1.0, 50.0], 10))
    scores = evaluate_snippets(straight(20), pred)
    # Only the snippets across the change of step are wrong; drift of scale between snippets has no
    # effect.
    assert scores["ate_sfmlearner_mean"] > 0
    assert evaluate_snippets(straight(10), pred[10:])["ate_sfmlearner_mean"] == pytest.approx(
        0, abs=1e-12
    )


def test_one_snippet_by_hand():
    gt = straight(5)
    pred = straight(5, step=(1.0, 0.0, 1.0))
    # s = sum(gt . pred) / sum(pred . pred) = 30 / 60; e_k = (-k / 2, 0, k / 2); sum |e|^2 = 30 / 2.
    scores = evaluate_snippets(gt, pred)
    assert scores["ate_sfmlearner_mean"] == pytest.approx(np.sqrt(15) / 5)
    assert scores["rmse_mean"] == pytest.approx(np.sqrt(15 / 5))
    assert scores["ate_sfmlearner_std"] == 0.0 and scores["snippets"] == 1


def test_positions_are_in_the_first_cameras_frame():
    poses = straight(3)
    # The cameras look along world x while moving along world z.
    poses[:, :3, :3] = cv2.Rodrigues(np.array([0.0, np.pi / 2, 0.0]))[0]
    np.testing.assert_allclose(
        positions_in_first(poses, np.array([1]), 2)[0], [[0, 0, 0], [-1, 0, 0]], atol=1e-12
    )


@pytest.mark.parametrize("length", [2, 3, 5, 8])
def test_the_root_mean_square_is_sqrt_n_times_sfmlearners_value(winding, length):
    pred = winding.copy()
    pred[:, :3, 3] += np.random.default_rng(0).normal(size=(400, 3)) * 0.1
    scores = evaluate_snippets(winding, pred, length)
    assert scores["snippets"] == 401 - length
    assert scores["rmse_mean"] == pytest.approx(np.sqrt(length) * scores["ate_sfmlearner_mean"])


def plain_ate(gt_xyz, pred_xyz):
    """ATE by compute_ate of SfMLearner's kitti_eval/pose_evaluation_utils.py.

    Both are relative to their first frame.
    """
    scale = np.sum(gt_xyz * pred_xyz) / np.sum(pred_xyz**2)
    alignment_error = pred_xyz * scale - gt_xyz
    return np.sqrt(np.sum(alignment_error**2)) / len(gt_xyz)


def test_agrees_with_sfmlearner(winding):
    pred = winding.copy()
    pred[:, :3, 3] += np.random.default_rng(0).normal(size=(400, 3)) * 0.1
    values = []
    for start in range(396):
        windows = [
            np.linalg.inv(poses[start]) @ poses[start : start + 5] for poses in (winding, pred)
        ]
        values.append(plain_ate(windows[0][:, :3, 3], windows[1][:, :3, 3]))
    scores = evaluate_snippets(winding, pred)
    assert scores["ate_sfmlearner_mean"] == pytest.approx(np.mean(values), rel=1e-9)
    assert scores["ate_sfmlearner_std"] == pytest.approx(np.std(values), rel=1e-9)


def test_a_prediction_that_stands_still_is_scored_without_nan():
    scores = evaluate_snippets(straight(6), np.tile(np.eye(4), (6, 1, 1)))
    assert scores["ate_sfmlearner_mean"] == pytest.approx(np.sqrt(30) / 5)


def test_snippets_never_cross_a_gap():
    frames = np.array([0, 1, 2, 3, 4, 5, 9, 10, 11, 12])
    assert snippet_starts(10, 5, frames).tolist() == [0, 1]
    assert evaluate_snippets(straight(10), straight(10), frames=frames)["snippets"] == 2


@pytest.mark.parametrize(
    ("count", "length", "message"),
    [(4, 5, "no snippet of 5 consecutive frames among 4"), (9, 1, "at least 2")],
)
def test_invalid_lengths_are_refused(count, length, message):
    with pytest.raises(InputError, match=message):
        evaluate_snippets(straight(count), straight(count), length)


def test_mean_odometry_is_the_mean_motion_in_a_straight_line():
    turned = straight(11, step=(3.0, 0.0, 0.0))
    # It looks along x: the camera still moves forward, by 3.
    turned[:, :3, :3] = cv2.Rodrigues(np.array([0.0, np.pi / 2, 0.0]))[0]
    np.testing.assert_allclose(
        mean_odometry([straight(11), turned], 3), [[0, 0, 0], [0, 0, 2], [0, 0, 4]], atol=1e-12
    )
    assert evaluate_mean_odometry(straight(30), [straight(11), turned])[
        "ate_sfmlearner_mean"
    ] == pytest.approx(0, abs=1e-12)
    with pytest.raises(InputError, match="mean odometry of no motion"):
        mean_odometry([straight(1)])


@pytest.mark.parametrize(("sequence", "known"), [("09", 0.0969), ("10", 0.0932)])
def test_published_trajectories_score_as_known(kitti, sequence, known):
    gt, pred = (
        read_poses(kitti / folder / f"{sequence}.txt").poses
        for folder in ("odometry/poses", "peers/trianflow")
    )
    assert evaluate_snippets(gt, pred)["ate_sfmlearner_mean"] == pytest.approx(known, abs=5e-5)


def test_the_baseline_to_beat_on_the_validation_frames(kitti):
    training = [
        read_poses(kitti / f"odometry/poses/{name}.txt").poses
        for name in ("00", "02", "04", "05", "08")
    ]
    validation = read_poses(kitti / "odometry/poses/03.txt").poses[440:520]
    assert evaluate_mean_odometry(validation, training)["ate_sfmlearner_mean"] == pytest.approx(
        0.0246, abs=5e-5
    )


def test_rotation_errors_from_the_first_to_the_last_frame(winding):
    np.testing.assert_allclose(
        snippet_rotation_errors_rad(winding, np.linalg.inv(winding[7]) @ winding), 0, atol=1e-7
    )
    truth = straight(20)
    rolling = straight(20)
    for index, pose in enumerate(rolling):
        cosine = np.cos(0.001 * index)
        sine = np.sin(0.001 * index)
        pose[:2, :2] = [[cosine, -sine], [sine, cosine]]
    np.testing.assert_allclose(snippet_rotation_errors_rad(truth, rolling), 0.004, atol=1e-9)
    with_a_gap = snippet_rotation_errors_rad(truth, rolling, 3, np.r_[0:10, 30:40])
    np.testing.assert_allclose(with_a_gap, [0.002] * 16, atol=1e-9)
