"""Pose errors of short snippets, each scaled by itself, as SfMLearner and its followers report.

Zhou et al., CVPR 2017.
"""

from collections.abc import Sequence

import numpy as np

from sfm_odometry.errors import InputError
from sfm_odometry.geometry.se3 import nearest_rotation, so3_log
from training.evaluate.odometry import rotation_angles_rad

METRES_PER_RADIAN = 6.0
"""Error of a position, in metres, that counts like one of a rotation by a radian: what odometry
errs by over five frames of a car, 1 cm and 0.1 degrees."""


def evaluate_snippets(
    gt: np.ndarray, pred: np.ndarray, length: int = 5, frames: np.ndarray | None = None
) -> dict[str, float | int]:
    """Scores over all snippets of `length` frames, stride 1.

    gt, pred: (N, 4, 4) world_from_camera of the same moments. frames: (N,) frame numbers; snippets
    that would cross a gap in them are left out. Raises InputError when no snippet is left.
    ate_sfmlearner is SfMLearner's sqrt(sum |e|^2) / length; rmse is the root mean square
    sqrt(sum |e|^2 / length) it is often taken for. ate_axes_aligned_mean is ate_sfmlearner_mean
    after `axes_rotation`, whose angle is axes_rotation_deg.
    """
    starts = snippet_starts(len(gt), length, frames)
    true = positions_in_first(gt, starts, length)
    predicted = positions_in_first(pred, starts, length)
    rotation = axes_rotation(gt, pred, starts, length)
    aligned = summarise_errors(squared_errors(true, predicted @ rotation.T), length)
    return {
        **summarise_errors(squared_errors(true, predicted), length),
        "ate_axes_aligned_mean": aligned["ate_sfmlearner_mean"],
        "axes_rotation_deg": float(np.degrees(rotation_angles_rad(rotation[None])[0])),
    }


def axes_rotation(gt: np.ndarray, pred: np.ndarray, starts: np.ndarray, length: int) -> np.ndarray:
    """Rotation (3, 3) between the axes of two cameras that made the same motions.

    gt, pred: (N, 4, 4) world_from_camera; snippets of `length` frames start at the indices (S,).
    argmin_R sum |t_gt - s R t_pred|^2 + METRES_PER_RADIAN^2 |w_gt - R w_pred|^2 in closed form by
    Kabsch's algorithm, with positions t in the first camera's frame, an s for each snippet by its
    squared lengths, and the rotation vectors w from the first to the last frame. The camera whose
    poses are the truth may have other axes than the one that was tracked: KITTI's, which come from
    a GPS unit by a calibration, are off by 0.1 to 0.4 degrees.
    """
    # Positions, which say where ahead is.
    true = positions_in_first(gt, starts, length)
    predicted = positions_in_first(pred, starts, length)
    power = np.sum(predicted**2, axis=(1, 2))
    scale = np.sqrt(np.sum(true**2, axis=(1, 2)) / np.where(power > 0, power, 1.0))
    covariance = np.einsum("s,ski,skj->ij", scale, true, predicted)
    # Rotation vectors, which say where up is.
    true_turns, turns = (
        np.stack([so3_log(rotation) for rotation in _rotations_over(poses, starts, length)])
        for poses in (gt, pred)
    )
    covariance += METRES_PER_RADIAN**2 * true_turns.T @ turns
    # Of the rotations that a straight drive cannot tell apart, the smallest.
    covariance += 1e-6 * np.linalg.norm(covariance) * np.eye(3)
    return nearest_rotation(covariance)


def mean_odometry(trajectories: Sequence[np.ndarray], length: int = 5) -> np.ndarray:
    """Positions (length, 3) of the baseline "mean odometry", in a straight line.

    The mean frame-to-frame translation is repeated. trajectories: each (N, 4, 4) world_from_camera;
    all their motions have the same weight. Raises InputError when they hold no motion.
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
    """Scores of `mean_odometry` of `trajectories` on gt (N, 4, 4).

    They are the baseline that a learned pose network has to beat.
    """
    starts = snippet_starts(len(gt), length, frames)
    truth = positions_in_first(gt, starts, length)
    return summarise_errors(
        squared_errors(truth, np.broadcast_to(mean_odometry(trajectories, length), truth.shape)),
        length,
    )


def snippet_starts(count: int, length: int, frames: np.ndarray | None = None) -> np.ndarray:
    """Indices (S,) of the poses at which a snippet of `length` consecutive frames starts.

    frames: (count,) frame numbers; None: no gaps. Raises InputError where no snippet fits.
    """
    if length < 2:
        raise InputError(f"snippets of {length} frames, expected at least 2")
    frames = np.arange(count) if frames is None else frames
    starts = np.arange(max(count - length + 1, 0))
    starts = starts[frames[starts + length - 1] - frames[starts] == length - 1]
    if len(starts) == 0:
        raise InputError(f"no snippet of {length} consecutive frames among {count} poses")
    return starts


def positions_in_first(poses: np.ndarray, starts: np.ndarray, length: int) -> np.ndarray:
    """Positions (S, length, 3) of each snippet's frames in its first camera's frame.

    R_0^T (t_k - t_0) of poses (N, 4, 4) for snippets that start at the indices (S,).
    """
    windows = poses[starts[:, None] + np.arange(length)]
    offsets = windows[:, :, :3, 3] - windows[:, :1, :3, 3]
    return np.einsum("sji,skj->ski", windows[:, 0, :3, :3], offsets)


def snippet_rotation_errors_rad(
    gt: np.ndarray, pred: np.ndarray, length: int = 5, frames: np.ndarray | None = None
) -> np.ndarray:
    """Angles (S,) between true and predicted rotation from each snippet's first to last frame."""
    starts = snippet_starts(len(gt), length, frames)
    true, predicted = (_rotations_over(poses, starts, length) for poses in (gt, pred))
    return rotation_angles_rad(np.swapaxes(true, 1, 2) @ predicted)


def _rotations_over(poses: np.ndarray, starts: np.ndarray, length: int) -> np.ndarray:
    """Rotations (S, 3, 3) first_from_last of each snippet's first and last frame."""
    return np.swapaxes(poses[starts, :3, :3], 1, 2) @ poses[starts + length - 1, :3, :3]


def squared_errors(gt_xyz: np.ndarray, pred_xyz: np.ndarray) -> np.ndarray:
    """Sums (S,) of |gt - s pred|^2 over positions (S, length, 3), each snippet with its own s.

    s = sum(gt . pred) / sum(pred . pred); it is 1 where the prediction does not move (Zhou et al.,
    CVPR 2017, kitti_eval/pose_evaluation_utils.py divides by zero there).
    """
    power = np.sum(pred_xyz**2, axis=(1, 2))
    moving = power > 0
    scale = np.where(
        moving, np.sum(gt_xyz * pred_xyz, axis=(1, 2)) / np.where(moving, power, 1.0), 1.0
    )
    return np.sum((gt_xyz - scale[:, None, None] * pred_xyz) ** 2, axis=(1, 2))


def summarise_errors(squared: np.ndarray, length: int) -> dict[str, float | int]:
    """Scores of squared errors (S,) of snippets of `length` frames.

    ate_sfmlearner_std is the population's standard deviation over the snippets.
    """
    ate_sfmlearner = np.sqrt(squared) / length
    return {
        "ate_sfmlearner_mean": float(ate_sfmlearner.mean()),
        "ate_sfmlearner_std": float(ate_sfmlearner.std()),
        "rmse_mean": float(np.sqrt(squared / length).mean()),
        "snippets": len(squared),
    }
