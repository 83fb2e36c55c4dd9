"""Which predicted pose belongs to which true one."""

from dataclasses import dataclass

import numpy as np

from sfm_odometry.errors import InputError
from sfm_odometry.io.trajectories import PoseFile

STAMP_TOLERANCE_S = 0.01


@dataclass(frozen=True, eq=False)
class Pairs:
    """M true and predicted poses of the same moments.

    gt, pred: (M, 4, 4) float64. frames: (M,) int64, increasing; two pairs are neighbours in time
    where it differs by one.
    """

    gt: np.ndarray
    pred: np.ndarray
    frames: np.ndarray


def associate(gt: PoseFile, pred: PoseFile, gt_name: str = "gt", pred_name: str = "pred") -> Pairs:
    """Pair two trajectories: by stamps where both have them, by frame number where one has them
    (row k of a KITTI file is frame k), else row by row.

    Raises InputError, naming both counts, where rows must match one by one and do not, or where
    fewer than two poses have a partner.
    """
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
    if len(frames) < 2:
        counts = f"{len(frames)} of {len(pred.poses)} poses have a partner among the {len(gt.poses)} of {gt_name}"
        raise InputError(f"{pred_name}: {counts}, expected at least 2")
    return Pairs(gt.poses[in_gt], pred.poses[in_pred], frames)


def match_stamps(
    gt_s: np.ndarray, pred_s: np.ndarray, tolerance_s: float = STAMP_TOLERANCE_S
) -> tuple[np.ndarray, np.ndarray]:
    """Indices into (N,) and (M,) increasing stamps of those that are each other's nearest and at
    most `tolerance_s` apart."""
    nearest_pred, nearest_gt = _nearest(gt_s, pred_s), _nearest(pred_s, gt_s)
    in_gt = np.arange(len(gt_s))
    mutual = nearest_gt[nearest_pred] == in_gt
    # A microsecond is forgiven: that is what decimals and float64 seconds since 1970 leave of
    # exactly the tolerance.
    close = np.abs(gt_s - pred_s[nearest_pred]) <= tolerance_s + 1e-6
    return in_gt[mutual & close], nearest_pred[mutual & close]


def select_frames(file: PoseFile, first: int, last: int, name: str) -> PoseFile:
    """The poses of frames `first` to `last`, both included; row k of a file without frame numbers
    is frame k.

    Raises InputError where the first or the last of them is missing.
    """
    frames = np.arange(len(file.poses)) if file.frame_numbers is None else file.frame_numbers
    kept = (frames >= first) & (frames <= last)
    if (
        not 0 <= first < last
        or not kept.any()
        or frames[kept][-1] != last
        or frames[kept][0] != first
    ):
        raise InputError(
            f"{name}: has frames {frames[0]} to {frames[-1]}, expected {first} to {last} among them"
        )
    if file.stamps_s is not None:
        return PoseFile(file.stamps_s[kept], None, file.poses[kept])
    return PoseFile(None, frames[kept], file.poses[kept])


def select_common_frames(
    gt: PoseFile, pred: PoseFile, first: int, last: int, gt_name: str, pred_name: str
) -> tuple[PoseFile, PoseFile]:
    """Both trajectories over frames `first` to `last` of gt.

    pred may cover the whole sequence, or, by as many rows as there are frames selected, only these;
    stamps are left to `associate`.
    """
    gt = select_frames(gt, first, last, gt_name)
    if gt.stamps_s is not None and pred.stamps_s is not None:
        return gt, pred
    if pred.frame_numbers is None and len(pred.poses) == len(gt.poses):
        return gt, PoseFile(None, gt.frame_numbers, pred.poses)
    return gt, select_frames(pred, first, last, pred_name)


def _nearest(values: np.ndarray, among: np.ndarray) -> np.ndarray:
    after = np.clip(np.searchsorted(among, values), 1, max(len(among) - 1, 1))
    before = after - 1
    after = np.minimum(after, len(among) - 1)
    return np.where(np.abs(among[after] - values) < np.abs(values - among[before]), after, before)


def _frames(file: PoseFile, name: str) -> np.ndarray:
    if file.stamps_s is not None:
        raise InputError(
            f"{name}: has stamps where the other file has frame numbers, expected the same in both"
        )
    return np.arange(len(file.poses)) if file.frame_numbers is None else file.frame_numbers
