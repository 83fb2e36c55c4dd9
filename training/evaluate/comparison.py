"""Comparison of several predictions of one drive with each other and with mean odometry."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from training.evaluate.association import PosePairs
from training.evaluate.odometry import (
    SEGMENT_LENGTHS_M,
    aligned_to_gt,
    evaluate_odometry,
    translation_error_by_length,
)
from training.evaluate.snippets import evaluate_mean_odometry, evaluate_snippets
from training.evaluate.turning import (
    SnippetErrors,
    mean_odometry_snippet_errors,
    snippet_errors,
    turning_edges_m,
)

BASELINE = "mean odometry"


@dataclass(frozen=True, eq=False)
class MethodResult:
    """Scores and curves of one method on one drive."""

    name: str
    scores: dict[str, float | int]
    """Scores of `evaluate_odometry` and `evaluate_snippets`; the baseline has the latter only."""
    errors: SnippetErrors
    path_m: np.ndarray | None = None
    """(N, 3) positions aligned to the truth, in its first camera's frame; None: baseline."""
    t_err_percent: np.ndarray | None = None
    """(8,) by SEGMENT_LENGTHS_M, NaN where no segment has the length; None: baseline."""


def evaluate_method(
    name: str, pairs: PosePairs, align: str = "7dof", length: int = 5
) -> MethodResult:
    """Evaluate a predicted trajectory; snippets have `length` frames."""
    gt, aligned, _ = aligned_to_gt(pairs.gt, pairs.pred, align)
    return MethodResult(
        name=name,
        scores={
            **evaluate_odometry(pairs.gt, pairs.pred, align),
            **evaluate_snippets(pairs.gt, pairs.pred, length, pairs.frames),
        },
        errors=snippet_errors(pairs.gt, pairs.pred, length, pairs.frames),
        path_m=aligned[:, :3, 3],
        t_err_percent=translation_error_by_length(gt, aligned),
    )


def evaluate_baseline(
    gt: np.ndarray,
    trajectories: Sequence[np.ndarray],
    length: int = 5,
    frames: np.ndarray | None = None,
) -> MethodResult:
    """Evaluate mean odometry, the constant mean motion of `trajectories`, on gt (N, 4, 4).

    trajectories: (N, 4, 4) each. Snippets have `length` frames.
    """
    scores = evaluate_mean_odometry(gt, trajectories, length, frames)
    errors = mean_odometry_snippet_errors(gt, trajectories, length, frames)
    return MethodResult(BASELINE, scores, errors)


def as_dictionary(methods: Sequence[MethodResult]) -> dict[str, Any]:
    """Results for JSON: scores by name, the error by turning magnitude and t_err by length.

    Unknown values are NaN.
    """
    # Errors of the snippets by turning magnitude, over bins that all methods share.
    edges_m = turning_edges_m([method.errors for method in methods])
    counts, _ = np.histogram(methods[0].errors.turning_m, edges_m)
    by_turning = {
        method.name: method.errors.mean_by_turning(edges_m).tolist() for method in methods
    }
    # Drift by length of the path.
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
