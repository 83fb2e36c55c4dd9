"""Association of predicted poses with true ones: by stamp, frame number or row."""

from dataclasses import dataclass

import numpy as np

from sfm_odometry.errors import InputError
from sfm_odometry.io.trajectories import PoseFile

STAMP_TOLERANCE_S = 0.01
STAMP_RESOLUTION_S = 1e-6
"""Rounding of stamps, added to the tolerance: decimals and float64 seconds since 1970 keep no
more of a difference of exactly the tolerance."""


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
        frames = in_gt
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
            f"the {len(gt.poses)} of {gt_name}, expected at least 2"
        )
    return PosePairs(gt.poses[in_gt], pred.poses[in_pred], frames)


def match_stamps(
    gt_s: np.ndarray, pred_s: np.ndarray, tolerance_s: float = STAMP_TOLERANCE_S
) -> tuple[np.ndarray, np.ndarray]:
    """Match increasing stamps (N,) and (M,) in seconds; returns the indices into both.

    Stamps match that are each other's nearest and at most `tolerance_s` apart.
    """
    nearest_pred = _nearest(gt_s, pred_s)
    nearest_gt = _nearest(pred_s, gt_s)
    in_gt = np.arange(len(gt_s))
    mutual = nearest_gt[nearest_pred] == in_gt
    close = np.abs(gt_s - pred_s[nearest_pred]) <= tolerance_s + STAMP_RESOLUTION_S
    return in_gt[mutual & close], nearest_pred[mutual & close]


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


def _nearest(values: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    """Index (N,) of the nearest of the increasing candidates (M,) for each of the values (N,)."""
    after = np.clip(np.searchsorted(candidates, values), 1, max(len(candidates) - 1, 1))
    before = after - 1
    after = np.minimum(after, len(candidates) - 1)
    nearer_after = np.abs(candidates[after] - values) < np.abs(values - candidates[before])
    return np.where(nearer_after, after, before)


def _frames(file: PoseFile, name: str) -> np.ndarray:
    """Frame numbers (N,), the rows' own where the file has none; InputError for stamps."""
    if file.stamps_s is not None:
        raise InputError(
            f"{name}: has stamps where the other file has frame numbers, expected the same in both"
        )
    return np.arange(len(file.poses)) if file.frame_numbers is None else file.frame_numbers
