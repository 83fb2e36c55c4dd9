"""Pairs of true and predicted poses by stamp, frame number and row."""

import numpy as np
import pytest

from sfm_odometry.errors import InputError
from sfm_odometry.io.trajectories import PoseFile
from training.evaluate.association import (
    associate,
    match_stamps,
    select_common_frames,
    select_frames,
)


def numbered(numbers):
    """Poses at x = number, by which a pair is recognised."""
    poses = np.tile(np.eye(4), (len(numbers), 1, 1))
    poses[:, 0, 3] = numbers
    return poses


def kitti(count):
    return PoseFile(None, None, numbered(range(count)))


def with_frames(*numbers):
    return PoseFile(None, np.array(numbers), numbered(numbers))


def with_stamps(stamps_s):
    return PoseFile(np.asarray(stamps_s), None, numbered(np.round(np.asarray(stamps_s) * 10)))


def xs(poses):
    return poses[:, 0, 3].tolist()


def test_kitti_rows_pair_one_by_one():
    pairs = associate(kitti(4), kitti(4))
    assert xs(pairs.gt) == xs(pairs.pred) == [0, 1, 2, 3]
    assert pairs.frames.tolist() == [0, 1, 2, 3]


def test_kitti_rows_of_other_lengths_are_refused_with_both_counts():
    with pytest.raises(InputError, match=r"pred\.txt: 3 poses, expected 4 as in gt\.txt"):
        associate(kitti(4), kitti(3), "gt.txt", "pred.txt")


def test_frame_numbers_pair_with_rows_and_with_each_other():
    pairs = associate(kitti(10), with_frames(2, 3, 7, 12))
    assert xs(pairs.gt) == xs(pairs.pred) == pairs.frames.tolist() == [2, 3, 7]
    pairs = associate(with_frames(1, 2, 5), with_frames(2, 5, 6))
    assert xs(pairs.gt) == xs(pairs.pred) == [2, 5]


def test_stamps_pair_within_ten_milliseconds():
    gt = with_stamps(np.arange(6) * 0.1)
    pred = with_stamps([0.101, 0.195, 0.32, 0.41, 0.9])
    pairs = associate(gt, pred)
    assert pairs.frames.tolist() == [1, 2, 4]
    assert xs(pairs.gt) == xs(pairs.pred) == [1, 2, 4]


def test_no_stamp_is_used_twice():
    in_gt, in_pred = match_stamps(np.array([0.0, 0.004, 0.008]), np.array([0.0041, 5.0]))
    assert in_gt.tolist() == [1] and in_pred.tolist() == [0]


@pytest.mark.parametrize("seed", range(5))
def test_matching_agrees_with_trying_all_pairs(seed):
    rng = np.random.default_rng(seed)
    gt_s = np.sort(rng.uniform(0, 1, 40))
    pred_s = np.sort(rng.uniform(0, 1, 30))
    distance = np.abs(gt_s[:, None] - pred_s)
    expected = [
        (i, j)
        for i in range(40)
        for j in range(30)
        if distance[i, j] <= 0.01 and j == distance[i].argmin() and i == distance[:, j].argmin()
    ]
    in_gt, in_pred = match_stamps(gt_s, pred_s)
    assert list(zip(in_gt, in_pred, strict=True)) == expected


def test_a_single_stamp_matches_or_not():
    assert match_stamps(np.array([1.0]), np.array([1.005]))[0].tolist() == [0]
    assert match_stamps(np.array([1.0]), np.array([1.5]))[0].tolist() == []


def test_trajectories_without_common_stamps_are_refused():
    with pytest.raises(
        InputError, match="0 of 3 poses have a partner among the 3 of gt, expected at least 2"
    ):
        associate(with_stamps([0.0, 1.0, 2.0]), with_stamps([10.0, 11.0, 12.0]))
    with pytest.raises(InputError, match="1 of 1 poses have a partner"):
        associate(kitti(1), kitti(1))


def test_stamps_against_rows_need_equal_lengths():
    assert len(associate(kitti(2), with_stamps([0.0, 1.0])).frames) == 2
    with pytest.raises(InputError, match="3 poses, expected 2"):
        associate(kitti(2), with_stamps([0.0, 1.0, 2.0]))
    with pytest.raises(InputError, match="has stamps where the other file has frame numbers"):
        associate(with_frames(0, 1), with_stamps([0.0, 1.0]))


def test_selected_frames_keep_their_numbers():
    part = select_frames(kitti(520), 440, 519, "gt")
    assert part.frame_numbers.tolist() == xs(part.poses) == list(range(440, 520))
    for first, last in ((440, 520), (-1, 3), (5, 5), (600, 700)):
        with pytest.raises(InputError, match=f"has frames 0 to 519, expected {first} to {last}"):
            select_frames(kitti(520), first, last, "gt")


@pytest.mark.parametrize(
    "pred",
    [kitti(10), PoseFile(None, None, numbered(range(4, 8))), with_frames(3, 4, 5, 6, 7, 8)],
    ids=["whole", "part", "numbered"],
)
def test_frames_are_selected_from_a_whole_or_a_partial_prediction(pred):
    pairs = associate(*select_common_frames(kitti(10), pred, 4, 7, "gt", "pred"))
    assert xs(pairs.gt) == xs(pairs.pred) == pairs.frames.tolist() == [4, 5, 6, 7]


def test_frame_selection_leaves_stamped_predictions_whole():
    stamps_s = np.arange(10) * 0.1
    pairs = associate(
        *select_common_frames(with_stamps(stamps_s), with_stamps(stamps_s), 4, 7, "gt", "pred")
    )
    assert xs(pairs.gt) == xs(pairs.pred) == [4, 5, 6, 7]


def test_the_sparser_of_two_trajectories_counts_the_frames():
    fast = with_stamps(np.arange(200) * 0.01)
    slow = with_stamps(np.array([0, 1, 2, 3, 5, 6]) * 0.1 + 0.002)
    assert associate(fast, slow).frames.tolist() == [0, 1, 2, 3, 4, 5]
    assert associate(slow, fast).frames.tolist() == [0, 1, 2, 3, 4, 5]
