"""Measures on held-out frames, none of which needs truth, and what is lost on rendered drives."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from training.data.taught import TaughtBatch
from training.engine.learner import Learner
from training.engine.validation import validate
from training.objective.objective import objective
from training.objective.objective_config import ObjectiveConfig
from training.objective.teaching import point_log_ratios, weighted_median

EXPLAINED = 0.15
"""Greatest error of a corner's depth, up to one scale an image, that counts as explained."""

VIEWS = ObjectiveConfig(
    scales=1,
    ssim_weight=0.85,
    minimum_over_sources=True,
    explainability=0.0,
    smoothness=0.0,
    given_motion=True,
)
"""Photometric error that is measured: of the finest scale, without any mask that is learned."""


@dataclass(frozen=True)
class Measures:
    """Measures of one state of the networks."""

    photometric: float
    """Error of held-out views synthesised with the teacher's motions and the predicted depth."""
    corner_error: float
    """Mean error of the predicted depth at triangulated corners, a share, scaled by image."""
    explained: float
    """Share of the corners whose depth is predicted within EXPLAINED."""
    turn_deg: float
    """Mean error of the motion network's turns against the teacher's, degrees a step."""
    parallax: float
    """Mean error of its translations, as a share of the teacher's, scaled by snippet."""

    def score(self, before: "Measures") -> float:
        """Number to be minimised, 1 for the state before: mean of two ratios."""
        corners = self.corner_error / max(before.corner_error, 1e-6)
        return 0.5 * (corners + self.photometric / max(before.photometric, 1e-6))


@torch.no_grad()
def measure(learner: Learner, batches: Sequence[TaughtBatch]) -> Measures:
    """Measure the networks on held-out batches."""
    sums: dict[str, list[float]] = {name: [] for name in Measures.__dataclass_fields__}
    learner.eval()
    for host_batch in batches:
        batch = host_batch.to(learner.device)
        predictions = learner.predict(batch.frames)
        # Every snippet weighs alike, however sure its motion is.
        equal = replace(batch, taught_weight=(batch.taught_weight > 0).float())
        views = objective(equal, predictions, VIEWS)["photometric"]
        sums["photometric"] += [float(views)] * len(batch.frames)
        errors, weights = _corner_errors(batch, predictions.inverse_depth[0])
        sums["corner_error"] += _means(errors, weights)
        sums["explained"] += _means((errors < EXPLAINED).float(), weights)
        turns, lengths = _motion_errors(batch, predictions.previous_from_current())
        sums["turn_deg"] += turns.tolist()
        sums["parallax"] += lengths.tolist()
    learner.train()
    return Measures(**{name: float(np.mean(values)) for name, values in sums.items()})


def measure_rendered(learner: Learner, batches: Sequence[TaughtBatch]) -> dict[str, float]:
    """AbsRel of depth, and errors of motion, on a rendered drive; see `validate`."""
    return validate(batches, learner.evaluate, learner.device)


def _corner_errors(batch: TaughtBatch, inverse_depth: Tensor) -> tuple[Tensor, Tensor]:
    """Errors (B, K) of depth at the points, as shares, and the points' weights (B, K)."""
    target = inverse_depth[:, inverse_depth.shape[1] // 2]
    ratios = point_log_ratios(target, batch.points, batch.frames.shape[-2:])
    weights = batch.points[..., 3]
    median = weighted_median(ratios, weights)
    return ((median[:, None] - ratios).exp() - 1).abs(), weights


def _means(values: Tensor, weights: Tensor) -> list[float]:
    """Weighted means of each row that has weights."""
    total = weights.sum(1)
    means = (values * weights).sum(1) / total.clamp_min(1e-6)
    return means[total > 0].tolist()


def _motion_errors(batch: TaughtBatch, predicted: Tensor) -> tuple[Tensor, Tensor]:
    """Turn in degrees (B,) and relative translation error (B,) of predicted steps."""
    poses = batch.taught_poses
    taught = torch.linalg.inv(poses[:, :-1]) @ poses[:, 1:]
    relative = taught[..., :3, :3].transpose(-1, -2) @ predicted[..., :3, :3]
    cosine = (relative.diagonal(dim1=-2, dim2=-1).sum(-1) - 1) / 2
    turns = torch.rad2deg(torch.acos(cosine.clamp(-1, 1))).mean(1)
    # One scale for the snippet, as the unit is free.
    true, estimated = taught[..., :3, 3], predicted[..., :3, 3]
    scale = (true * estimated).sum((1, 2)) / estimated.square().sum((1, 2)).clamp_min(1e-12)
    error = (scale[:, None, None] * estimated - true).norm(dim=-1).mean(1)
    return turns, error / true.norm(dim=-1).mean(1).clamp_min(1e-9)
