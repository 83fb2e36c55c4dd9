"""Matching of the stamps of two trajectories."""

import numpy as np

STAMP_TOLERANCE_S = 0.01
STAMP_RESOLUTION_S = 1e-6
"""Rounding of stamps, added to the tolerance: decimals and float64 seconds since 1970 keep no
more of a difference of exactly the tolerance."""


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


def _nearest(values: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    """Index (N,) of the nearest of the increasing candidates (M,) for each of the values (N,)."""
    after = np.clip(np.searchsorted(candidates, values), 1, max(len(candidates) - 1, 1))
    before = after - 1
    after = np.minimum(after, len(candidates) - 1)
    nearer_after = np.abs(candidates[after] - values) < np.abs(values - candidates[before])
    return np.where(nearer_after, after, before)
