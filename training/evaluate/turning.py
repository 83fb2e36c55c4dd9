"""Pose error against how sharply the camera turns (Zhou et al., CVPR 2017, figure 9)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from training.evaluate.snippets import (
    mean_odometry,
    positions_in_first,
    snippet_starts,
    squared_errors,
)

MOST_BINS, FEWEST_BINS = 15, 5
SNIPPETS_A_BIN = 15  # on average, where there are few
FEWEST_SNIPPETS = 5  # a mean over fewer says nothing
COVERED_PERCENT = 99.0


@dataclass(frozen=True, eq=False)
class SnippetErrors:
    """Of S snippets: turning_m (S,), the true sideways shift from first to last frame, right
    positive; ate (S,), SfMLearner's value."""

    turning_m: np.ndarray
    ate: np.ndarray

    def mean_by_turning(self, edges_m: np.ndarray) -> np.ndarray:
        """(B,) mean ate of the snippets in each of the bins between (B + 1,) edges; NaN where
        there are fewer than FEWEST_SNIPPETS."""
        counts, _ = np.histogram(self.turning_m, edges_m)
        sums, _ = np.histogram(self.turning_m, edges_m, weights=self.ate)
        return np.where(counts >= FEWEST_SNIPPETS, sums / np.maximum(counts, 1), np.nan)


def errors_of_prediction(
    gt: np.ndarray, pred: np.ndarray, length: int = 5, frames: np.ndarray | None = None
) -> SnippetErrors:
    """Of the snippets of `evaluate_snippets`; gt and pred (N, 4, 4) world_from_camera of the
    same moments."""
    starts = snippet_starts(len(gt), length, frames)
    return _errors(positions_in_first(gt, starts, length), positions_in_first(pred, starts, length))


def errors_of_mean_odometry(
    gt: np.ndarray,
    trajectories: Sequence[np.ndarray],
    length: int = 5,
    frames: np.ndarray | None = None,
) -> SnippetErrors:
    """Of the baseline that always says the mean motion of `trajectories`, each (N, 4, 4)."""
    truth = positions_in_first(gt, snippet_starts(len(gt), length, frames), length)
    return _errors(truth, np.broadcast_to(mean_odometry(trajectories, length), truth.shape))


def turning_edges_m(errors: Sequence[SnippetErrors]) -> np.ndarray:
    """(B + 1,) edges of equal bins, symmetric about straight ahead, that hold COVERED_PERCENT of
    all snippets; B is odd."""
    turning = np.concatenate([one.turning_m for one in errors])
    furthest = max(float(np.percentile(np.abs(turning), COVERED_PERCENT)), 1e-3)
    bins = int(np.clip(len(turning) // len(errors) // SNIPPETS_A_BIN, FEWEST_BINS, MOST_BINS)) | 1
    return np.linspace(-furthest, furthest, bins + 1)


def _errors(gt_xyz: np.ndarray, pred_xyz: np.ndarray) -> SnippetErrors:
    ate = np.sqrt(squared_errors(gt_xyz, pred_xyz)) / gt_xyz.shape[1]
    return SnippetErrors(gt_xyz[:, -1, 0], ate)
