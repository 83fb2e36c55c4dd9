"""Pose error by turning magnitude (Zhou et al., CVPR 2017, figure 9)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from training.evaluate.snippets import (
    mean_odometry,
    positions_in_first,
    snippet_starts,
    squared_errors,
)

MIN_BINS = 5
MAX_BINS = 15
SNIPPETS_PER_BIN = 15
"""Average number of snippets in a bin where the drive is short."""
MIN_SNIPPETS = 5
"""Minimum number of snippets in a bin for a meaningful mean."""
COVERED_PERCENT = 99.0
"""Share of the snippets inside the bins."""
MIN_HALF_RANGE_M = 1e-3
"""Minimum turning magnitude of the outermost edges, for a straight drive."""


@dataclass(frozen=True, eq=False)
class SnippetErrors:
    """Errors of S snippets and their turning magnitude."""

    turning_m: np.ndarray
    """(S,) true sideways shift from first to last frame, right positive."""
    ate: np.ndarray
    """(S,) SfMLearner's value."""

    def mean_by_turning(self, edges_m: np.ndarray) -> np.ndarray:
        """Mean ATE (B,) of the snippets in each of the bins between the edges (B + 1,).

        It is NaN for bins with fewer than MIN_SNIPPETS.
        """
        counts, _ = np.histogram(self.turning_m, edges_m)
        sums, _ = np.histogram(self.turning_m, edges_m, weights=self.ate)
        return np.where(counts >= MIN_SNIPPETS, sums / np.maximum(counts, 1), np.nan)


def snippet_errors(
    gt: np.ndarray, pred: np.ndarray, length: int = 5, frames: np.ndarray | None = None
) -> SnippetErrors:
    """Errors of the snippets of `evaluate_snippets`.

    gt, pred: (N, 4, 4) world_from_camera of the same moments.
    """
    starts = snippet_starts(len(gt), length, frames)
    return _errors(positions_in_first(gt, starts, length), positions_in_first(pred, starts, length))


def mean_odometry_snippet_errors(
    gt: np.ndarray,
    trajectories: Sequence[np.ndarray],
    length: int = 5,
    frames: np.ndarray | None = None,
) -> SnippetErrors:
    """Errors of `mean_odometry`, the constant mean motion of `trajectories`, each (N, 4, 4)."""
    truth = positions_in_first(gt, snippet_starts(len(gt), length, frames), length)
    return _errors(truth, np.broadcast_to(mean_odometry(trajectories, length), truth.shape))


def turning_edges_m(errors: Sequence[SnippetErrors]) -> np.ndarray:
    """Edges (B + 1,) of equal bins, symmetric about straight ahead; B is odd.

    They hold COVERED_PERCENT of all snippets.
    """
    turning = np.concatenate([method.turning_m for method in errors])
    half_range = max(float(np.percentile(np.abs(turning), COVERED_PERCENT)), MIN_HALF_RANGE_M)
    count = len(turning) // len(errors)
    bins = int(np.clip(count // SNIPPETS_PER_BIN, MIN_BINS, MAX_BINS)) | 1
    return np.linspace(-half_range, half_range, bins + 1)


def _errors(gt_xyz: np.ndarray, pred_xyz: np.ndarray) -> SnippetErrors:
    """Errors of snippets with true and predicted positions (S, length, 3)."""
    ate = np.sqrt(squared_errors(gt_xyz, pred_xyz)) / gt_xyz.shape[1]
    return SnippetErrors(gt_xyz[:, -1, 0], ate)
