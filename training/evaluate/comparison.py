"""Several predictions of one drive side by side, beside the mean-odometry baseline."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from training.evaluate.association import Pairs
from training.evaluate.odometry import (
    SEGMENT_LENGTHS_M,
    aligned_to_gt,
    evaluate_odometry,
    translation_error_by_length,
)
from training.evaluate.snippets import evaluate_mean_odometry, evaluate_snippets
from training.evaluate.turning import (
    SnippetErrors,
    errors_of_mean_odometry,
    errors_of_prediction,
    turning_edges_m,
)

BASELINE = "mean odometry"


@dataclass(frozen=True, eq=False)
class Compared:
    """One method on one drive.

    scores: of `evaluate_odometry` and `evaluate_snippets`, the baseline's of the latter only.
    errors: of its snippets. path_m: (N, 3) positions aligned to the truth, in its first camera's
    frame; t_err_percent: (8,) by SEGMENT_LENGTHS_M, NaN where there is no such segment; both None
    for the baseline, which is no trajectory.
    """

    name: str
    scores: dict[str, float | int]
    errors: SnippetErrors
    path_m: np.ndarray | None = None
    t_err_percent: np.ndarray | None = None


def compared(name: str, pairs: Pairs, align: str = "7dof", length: int = 5) -> Compared:
    """A prediction."""
    gt, aligned, _ = aligned_to_gt(pairs.gt, pairs.pred, align)
    scores = {
        **evaluate_odometry(pairs.gt, pairs.pred, align),
        **evaluate_snippets(pairs.gt, pairs.pred, length, pairs.frames),
    }
    errors = errors_of_prediction(pairs.gt, pairs.pred, length, pairs.frames)
    return Compared(
        name, scores, errors, aligned[:, :3, 3], translation_error_by_length(gt, aligned)
    )


def compared_baseline(
    gt: np.ndarray,
    trajectories: Sequence[np.ndarray],
    length: int = 5,
    frames: np.ndarray | None = None,
) -> Compared:
    """The baseline that always says the mean motion of `trajectories`, each (N, 4, 4), on gt (N,
    4, 4)."""
    scores = evaluate_mean_odometry(gt, trajectories, length, frames)
    return Compared(BASELINE, scores, errors_of_mean_odometry(gt, trajectories, length, frames))


def as_dictionary(methods: Sequence[Compared]) -> dict[str, Any]:
    """Everything that is drawn, for JSON: scores by name, the error by turning magnitude and
    t_err by length; NaN where not known."""
    edges_m = turning_edges_m([method.errors for method in methods])
    counts, _ = np.histogram(methods[0].errors.turning_m, edges_m)
    by_turning = {
        method.name: method.errors.mean_by_turning(edges_m).tolist() for method in methods
    }
    by_length = {
        method.name: method.t_err_percent.tolist()
        for method in methods
        if method.t_err_percent is not None
    }
    return {
        "results": {method.name: method.scores for method in methods},
        "by_turning": {
            "edges_m": edges_m.tolist(),
            "snippets": counts.tolist(),
            "ate_sfmlearner_mean": by_turning,
        },
        "by_length": {"lengths_m": list(SEGMENT_LENGTHS_M), "t_err_percent": by_length},
    }
