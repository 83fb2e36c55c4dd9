"""Alignment of a predicted trajectory with the true one: scale, SE(3) or Sim(3)."""

from dataclasses import dataclass

import numpy as np

from sfm_odometry.errors import InputError

ALIGNMENTS = ("none", "scale", "6dof", "7dof")


@dataclass(frozen=True, eq=False)
class Similarity:
    """Similarity transform x_gt = scale * rotation @ x_pred + translation."""

    scale: float
    rotation: np.ndarray
    """(3, 3)."""
    translation: np.ndarray
    """(3,)."""

    def apply(self, poses: np.ndarray) -> np.ndarray:
        """Transform poses (N, 4, 4): positions by the similarity, orientations by its rotation."""
        transformed = np.array(poses, dtype=np.float64)
        transformed[:, :3, :3] = self.rotation @ poses[:, :3, :3]
        transformed[:, :3, 3] = self.scale * poses[:, :3, 3] @ self.rotation.T + self.translation
        return transformed


def alignment(gt_xyz: np.ndarray, pred_xyz: np.ndarray, mode: str) -> Similarity:
    """Similarity of `mode` that brings positions (N, 3) `pred_xyz` closest to `gt_xyz`.

    mode: one of ALIGNMENTS; see `umeyama` and `least_squares_scale`. InputError for another mode.
    """
    if mode == "none":
        return Similarity(1.0, np.eye(3), np.zeros(3))
    if mode == "scale":
        return Similarity(least_squares_scale(gt_xyz, pred_xyz), np.eye(3), np.zeros(3))
    if mode in ("6dof", "7dof"):
        return umeyama(gt_xyz, pred_xyz, with_scale=mode == "7dof")
    raise InputError(f"alignment {mode!r}, expected one of {', '.join(ALIGNMENTS)}")


def least_squares_scale(gt_xyz: np.ndarray, pred_xyz: np.ndarray) -> float:
    """Scale argmin_s sum |gt - s pred|^2 = sum(gt . pred) / sum(pred . pred).

    It is 1 for a prediction that never moves.
    """
    power = float(np.sum(pred_xyz * pred_xyz))
    return float(np.sum(gt_xyz * pred_xyz)) / power if power > 0 else 1.0


def umeyama(gt_xyz: np.ndarray, pred_xyz: np.ndarray, with_scale: bool = True) -> Similarity:
    """Similarity argmin_{s, R, t} sum |gt - (s R pred + t)|^2 in closed form.

    Umeyama, TPAMI 1991, equations 38 to 43. With the covariance
    1/N sum (gt - mean)(pred - mean)^T = U D V^T:  R = U S V^T,  s = tr(D S) / var(pred),
    t = mean_gt - s R mean_pred, where S = diag(1, 1, +-1) makes det R = 1. s stays 1 for a
    prediction that never moves.
    """
    gt_mean = gt_xyz.mean(axis=0)
    pred_mean = pred_xyz.mean(axis=0)
    gt_centred = gt_xyz - gt_mean
    pred_centred = pred_xyz - pred_mean
    u, d, vt = np.linalg.svd(gt_centred.T @ pred_centred / len(gt_xyz))
    s = np.array([1.0, 1.0, np.sign(np.linalg.det(u) * np.linalg.det(vt))])
    rotation = (u * s) @ vt
    variance = float(np.mean(np.sum(pred_centred**2, axis=1)))
    scale = float(d @ s) / variance if with_scale and variance > 0 else 1.0
    return Similarity(scale, rotation, gt_mean - scale * rotation @ pred_mean)
