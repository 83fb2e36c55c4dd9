"""Association of predicted poses with true ones: by stamp, frame number or row."""

from dataclasses import dataclass

import numpy as np

from sfm_odometry.errors import InputError
from sfm_odometry.io.stamps import seconds_text
from sfm_odometry.io.trajectories import PoseFile
from training.evaluate.clock_offset import find_clock_offset, offset_words
from training.evaluate.stamps import match_stamps

__all__ = ["PosePairs", "associate", "match_stamps", "select_common_frames", "select_frames"]


SPARSER = 1.5
"""Ratio of the steps of two trajectories from which on the sparser one counts the frames."""


@dataclass(frozen=True, eq=False)
class PosePairs:
    """M pairs of a true and a predicted pose of the same moment."""

    gt: np.ndarray
    """(M, 4, 4) float64."""
    pred: np.ndarray
    """(M, 4, 4) float64."""
    frames: np.ndarray
    """(M,) int64, increasing; pairs are neighbours in time where it differs by one."""


def associate(
    gt: PoseFile, pred: PoseFile, gt_name: str = "gt", pred_name: str = "pred"
) -> PosePairs:
    """Pair the poses of two trajectories.

    By stamps where both have them, by frame number where one has them (row k of a KITTI file is
    frame k), else row by row. Raises InputError with both counts where rows are paired and the
    counts differ, and where fewer than two poses have a partner.
    """
    # Indices of the pairs.
    if gt.stamps_s is not None and pred.stamps_s is not None:
        in_gt, in_pred = match_stamps(gt.stamps_s, pred.stamps_s)
        frames = in_pred if _is_sparser(pred.stamps_s, gt.stamps_s) else in_gt
    elif gt.frame_numbers is not None or pred.frame_numbers is not None:
        frames, in_gt, in_pred = np.intersect1d(
            _frames(gt, gt_name), _frames(pred, pred_name), assume_unique=True, return_indices=True
        )
    elif len(gt.poses) == len(pred.poses):
        frames = in_gt = in_pred = np.arange(len(gt.poses))
    else:
        raise InputError(
            f"{pred_name}: {len(pred.poses)} poses, expected {len(gt.poses)} as in {gt_name}"
        )
    # Poses of the pairs.
    if len(frames) < 2:
        raise InputError(
            f"{pred_name}: {len(frames)} of {len(pred.poses)} poses have a partner among "
            f"the {len(gt.poses)} of {gt_name}, expected at least 2{_offset_offer(gt, pred)}"
        )
    return PosePairs(gt.poses[in_gt], pred.poses[in_pred], frames)


def _is_sparser(stamps_s: np.ndarray, others_s: np.ndarray) -> bool:
    """Whether stamps have clearly longer steps than others, whose neighbours then have no pair."""
    if min(len(stamps_s), len(others_s)) < 2:
        return False
    return bool(np.median(np.diff(stamps_s)) > SPARSER * np.median(np.diff(others_s)))


def _offset_offer(gt: PoseFile, pred: PoseFile) -> str:
    """Words on the stamps of two trajectories that do not meet, and on the offset that helps."""
    if gt.stamps_s is None or pred.stamps_s is None:
        return ""
    overlap = gt.stamps_s[0] <= pred.stamps_s[-1] and pred.stamps_s[0] <= gt.stamps_s[-1]
    spans = [
        f"{seconds_text(round(stamps_s[0] * 1e9))} to {seconds_text(round(stamps_s[-1] * 1e9))} s"
        for stamps_s in (pred.stamps_s, gt.stamps_s)
    ]
    found = "" if overlap else f"; the stamps do not overlap: {spans[0]} against {spans[1]}"
    offset = find_clock_offset(gt, pred)
    if offset is None:
        return found
    return (
        f"{found}; with --time-offset {offset_words(offset)} (seconds) {offset.matches} of "
        f"{len(pred.poses)} would match"
    )


def select_frames(file: PoseFile, first: int, last: int, name: str) -> PoseFile:
    """Poses of frames `first` to `last`, both included.

    Row k of a file without frame numbers is frame k. Raises InputError where the first or the last
    frame is missing.
    """
    frames = np.arange(len(file.poses)) if file.frame_numbers is None else file.frame_numbers
    selected = (frames >= first) & (frames <= last)
    if (
        not 0 <= first < last
        or not selected.any()
        or frames[selected][-1] != last
        or frames[selected][0] != first
    ):
        raise InputError(
            f"{name}: has frames {frames[0]} to {frames[-1]}, expected {first} to {last} among them"
        )
    if file.stamps_s is not None:
        return PoseFile(file.stamps_s[selected], None, file.poses[selected])
    return PoseFile(None, frames[selected], file.poses[selected])


def select_common_frames(
    gt: PoseFile, pred: PoseFile, first: int, last: int, gt_name: str, pred_name: str
) -> tuple[PoseFile, PoseFile]:
    """Both trajectories over frames `first` to `last` of gt.

    pred covers either the whole sequence or, with as many rows as frames are selected, only these
    frames. Where both have stamps, pred is left as it is, since `associate` selects its poses.
    """
    gt = select_frames(gt, first, last, gt_name)
    if gt.stamps_s is not None and pred.stamps_s is not None:
        return gt, pred
    if pred.frame_numbers is None and len(pred.poses) == len(gt.poses):
        return gt, PoseFile(None, gt.frame_numbers, pred.poses)
    return gt, select_frames(pred, first, last, pred_name)


def _frames(file: PoseFile, name: str) -> np.ndarray:
    """Frame numbers (N,), the rows' own where the file has none; InputError for stamps."""
    if file.stamps_s is not None:
        raise InputError(
            f"{name}: has stamps where the other file has frame numbers, expected the same in both"
        )
    return np.arange(len(file.poses)) if file.frame_numbers is None else file.frame_numbers
