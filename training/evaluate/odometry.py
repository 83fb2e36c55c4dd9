"""Scores of whole trajectories: KITTI's drift over segments, ATE and RPE."""

import numpy as np

from training.evaluate.alignment import alignment

SEGMENT_LENGTHS_M = (100, 200, 300, 400, 500, 600, 700, 800)
START_STEP = 10
"""Stride of the frames at which segments start."""


def evaluate_odometry(
    gt: np.ndarray, pred: np.ndarray, align: str = "7dof"
) -> dict[str, float | int]:
    """Scores of a predicted trajectory against the true one, both (N, 4, 4) world_from_camera.

    Both are of the same N >= 2 moments, gt in metres. They are first expressed in their own first
    camera's frame; then pred is aligned by `align` (none, scale, 6dof, 7dof), and everything below
    is measured on the aligned trajectory. t_err_percent and r_err_deg_per_100m are NaN where the
    path is shorter than 100 m.
    """
    # Align, then measure drift over segments and between neighbouring frames.
    gt, aligned, scale = aligned_to_gt(gt, pred, align)
    t_err, r_err = segment_errors(gt, aligned)
    rpe_m, rpe_rad = frame_to_frame_errors(gt, aligned)
    return {
        "t_err_percent": 100 * float(t_err.mean()) if t_err.size else float("nan"),
        "r_err_deg_per_100m": 100 * float(np.degrees(r_err.mean())) if r_err.size else float("nan"),
        "ate_m": absolute_trajectory_error(gt, aligned),
        "rpe_m": float(rpe_m.mean()),
        "rpe_deg": float(np.degrees(rpe_rad.mean())),
        "scale": scale,
        "frames": len(gt),
    }


def aligned_to_gt(
    gt: np.ndarray, pred: np.ndarray, align: str
) -> tuple[np.ndarray, np.ndarray, float]:
    """True poses in their first camera's frame, predicted poses aligned to them, and the scale.

    gt, pred: (N, 4, 4), as are the first two results. The scale is the alignment's.
    """
    gt = relative_to_first(gt)
    pred = relative_to_first(pred)
    similarity = alignment(gt[:, :3, 3], pred[:, :3, 3], align)
    return gt, similarity.apply(pred), similarity.scale


def segment_errors(gt: np.ndarray, pred: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Translation error per metre and rotation error in rad per metre, (K,) each, by segment.

    Over all `segments` (Geiger et al., CVPR 2012, devkit) of poses (N, 4, 4).
    E = (pred_i^-1 pred_j)^-1 (gt_i^-1 gt_j); the errors are |t(E)| / L and angle(E) / L.
    """
    starts, ends, lengths_m = segments(gt)
    error = _motion_errors(gt, pred, starts, ends)
    t_err = np.linalg.norm(error[:, :3, 3], axis=1) / lengths_m
    r_err = rotation_angles_rad(error[:, :3, :3]) / lengths_m
    return t_err, r_err


def segments(gt: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Start frames, end frames and nominal lengths in metres, (K,) each, of KITTI's segments.

    They start at every 10th frame i and have lengths L of 100..800 m. A segment ends at the first
    frame j whose driven distance passes that of i by L; segments beyond the end are left out.
    """
    driven = driven_distances(gt)
    found = []
    for start in range(0, len(gt), START_STEP):
        for length in SEGMENT_LENGTHS_M:
            end = int(np.searchsorted(driven, driven[start] + length, side="right"))
            if end < len(gt):
                found.append((start, end, length))
    starts, ends, lengths = np.array(found, dtype=int).reshape(-1, 3).T
    return starts, ends, lengths.astype(np.float64)


def translation_error_by_length(gt: np.ndarray, pred: np.ndarray) -> np.ndarray:
    """Mean translation error (8,) in % of the segments of each of SEGMENT_LENGTHS_M.

    It is NaN for lengths of which the path holds no segment.
    """
    t_err, _ = segment_errors(gt, pred)
    _, _, lengths_m = segments(gt)
    by_length = [t_err[lengths_m == length] for length in SEGMENT_LENGTHS_M]
    return np.array([100 * errors.mean() if errors.size else np.nan for errors in by_length])


def frame_to_frame_errors(gt: np.ndarray, pred: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Relative pose errors of neighbouring frames: length and angle in rad, (N - 1,) each.

    Of E = (pred_i^-1 pred_i+1)^-1 (gt_i^-1 gt_i+1) (RPE of Sturm et al., IROS 2012).
    """
    starts = np.arange(len(gt) - 1)
    error = _motion_errors(gt, pred, starts, starts + 1)
    return np.linalg.norm(error[:, :3, 3], axis=1), rotation_angles_rad(error[:, :3, :3])


def absolute_trajectory_error(gt: np.ndarray, pred: np.ndarray) -> float:
    """Absolute trajectory error sqrt(1/N sum |t_gt - t_pred|^2) of aligned trajectories.

    ATE of Sturm et al., IROS 2012.
    """
    return float(np.sqrt(np.mean(np.sum((gt[:, :3, 3] - pred[:, :3, 3]) ** 2, axis=1))))


def driven_distances(poses: np.ndarray) -> np.ndarray:
    """Length (N,) of the path from the first pose to each, in the poses' unit."""
    steps = np.linalg.norm(np.diff(poses[:, :3, 3], axis=0), axis=1)
    return np.concatenate([[0.0], np.cumsum(steps)])


def relative_to_first(poses: np.ndarray) -> np.ndarray:
    """Poses (N, 4, 4) first_from_camera: the same trajectory in its first camera's frame."""
    return np.linalg.inv(poses[0]) @ poses


def rotation_angles_rad(rotations: np.ndarray) -> np.ndarray:
    """Angles (N,) of rotations (N, 3, 3).

    atan2(|axis part|, (trace - 1) / 2), which unlike acos keeps its digits near 0.
    """
    skew = (rotations - np.swapaxes(rotations, 1, 2)) / 2
    sine = np.sqrt(skew[:, 2, 1] ** 2 + skew[:, 0, 2] ** 2 + skew[:, 1, 0] ** 2)
    return np.arctan2(sine, (np.trace(rotations, axis1=1, axis2=2) - 1) / 2)


def _motion_errors(
    gt: np.ndarray, pred: np.ndarray, starts: np.ndarray, ends: np.ndarray
) -> np.ndarray:
    """Errors (K, 4, 4) of the predicted motions between the frames with indices (K,)."""
    gt_motion = np.linalg.inv(gt[starts]) @ gt[ends]
    pred_motion = np.linalg.inv(pred[starts]) @ pred[ends]
    return np.linalg.inv(pred_motion) @ gt_motion
