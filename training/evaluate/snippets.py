"""Short snippets, each scaled by itself: the pose score of SfMLearner and its followers."""

from collections.abc import Sequence

import numpy as np

from sfm_odometry.errors import InputError
from training.evaluate.odometry import rotation_angles_rad


def evaluate_snippets(
    gt: np.ndarray, pred: np.ndarray, length: int = 5, frames: np.ndarray | None = None
) -> dict[str, float | int]:
    """Scores over all snippets of `length` frames, stride 1; gt and pred (N, 4, 4)
    world_from_camera of the same moments.

    frames: (N,) frame numbers; snippets that would cross a gap in them are left out. Raises
    InputError when no snippet is left. ate_sfmlearner is SfMLearner's sqrt(sum |e|^2) / length;
    rmse is the root mean square sqrt(sum |e|^2 / length) it is often taken for.
    """
    starts = snippet_starts(len(gt), length, frames)
    squared = squared_errors(
        positions_in_first(gt, starts, length), positions_in_first(pred, starts, length)
    )
    return summary(squared, length)


def mean_odometry(trajectories: Sequence[np.ndarray], length: int = 5) -> np.ndarray:
    """(length, 3) positions of the baseline "mean odometry": the mean frame-to-frame translation,
    repeated, in a straight line.

    trajectories: each (N, 4, 4) world_from_camera; all their motions count alike. Raises InputError
    when there is no motion among them.
    """
    motions = [(np.linalg.inv(poses[:-1]) @ poses[1:])[:, :3, 3] for poses in trajectories]
    if sum(len(motion) for motion in motions) == 0:
        raise InputError("mean odometry of no motion, expected trajectories of at least 2 poses")
    return np.arange(length)[:, None] * np.concatenate(motions).mean(axis=0)


def evaluate_mean_odometry(
    gt: np.ndarray,
    trajectories: Sequence[np.ndarray],
    length: int = 5,
    frames: np.ndarray | None = None,
) -> dict[str, float | int]:
    """The scores that `mean_odometry` of `trajectories` reaches on gt (N, 4, 4): what a learned
    pose network has to beat."""
    starts = snippet_starts(len(gt), length, frames)
    truth = positions_in_first(gt, starts, length)
    return summary(
        squared_errors(truth, np.broadcast_to(mean_odometry(trajectories, length), truth.shape)),
        length,
    )


def snippet_starts(count: int, length: int, frames: np.ndarray | None = None) -> np.ndarray:
    """(S,) indices of the poses at which a snippet of `length` consecutive frames starts."""
    if length < 2:
        raise InputError(f"snippets of {length} frames, expected at least 2")
    frames = np.arange(count) if frames is None else frames
    starts = np.arange(max(count - length + 1, 0))
    starts = starts[frames[starts + length - 1] - frames[starts] == length - 1]
    if len(starts) == 0:
        raise InputError(f"no snippet of {length} consecutive frames among {count} poses")
    return starts


def positions_in_first(poses: np.ndarray, starts: np.ndarray, length: int) -> np.ndarray:
    """(S, length, 3) positions of each snippet's frames in its first camera's frame: R_0^T (t_k
    - t_0)."""
    windows = poses[starts[:, None] + np.arange(length)]
    offsets = windows[:, :, :3, 3] - windows[:, :1, :3, 3]
    return np.einsum("sji,skj->ski", windows[:, 0, :3, :3], offsets)


def snippet_rotation_errors_rad(
    gt: np.ndarray, pred: np.ndarray, length: int = 5, frames: np.ndarray | None = None
) -> np.ndarray:
    """(S,) angles between the true and the predicted rotation from the first to the last frame
    of each snippet."""
    starts = snippet_starts(len(gt), length, frames)
    true, found = (
        np.swapaxes(poses[starts, :3, :3], 1, 2) @ poses[starts + length - 1, :3, :3]
        for poses in (gt, pred)
    )
    return rotation_angles_rad(np.swapaxes(true, 1, 2) @ found)


def squared_errors(gt_xyz: np.ndarray, pred_xyz: np.ndarray) -> np.ndarray:
    """(S,) sums |gt - s pred|^2 over (S, length, 3) positions, with each snippet's own s = sum(gt .
    pred) / sum(pred . pred).

    s is 1 where the prediction does not move (Zhou et al., CVPR 2017,
    kitti_eval/pose_evaluation_utils.py divides by zero there).
    """
    power = np.sum(pred_xyz**2, axis=(1, 2))
    moving = power > 0
    scale = np.where(
        moving, np.sum(gt_xyz * pred_xyz, axis=(1, 2)) / np.where(moving, power, 1.0), 1.0
    )
    return np.sum((gt_xyz - scale[:, None, None] * pred_xyz) ** 2, axis=(1, 2))


def summary(squared: np.ndarray, length: int) -> dict[str, float | int]:
    """The scores of (S,) squared errors; ate_sfmlearner_std is the population's standard
    deviation over the snippets."""
    ate_sfmlearner = np.sqrt(squared) / length
    return {
        "ate_sfmlearner_mean": float(ate_sfmlearner.mean()),
        "ate_sfmlearner_std": float(ate_sfmlearner.std()),
        "rmse_mean": float(np.sqrt(squared / length).mean()),
        "snippets": len(squared),
    }
