"""Validation: the label-free objective, and the errors of depth, motion and masks where scenes
have their truth."""

from collections.abc import Callable, Iterable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sfm_odometry.geometry.projection import invert_transform, rotation_angle
from training.data.batch import Batch
from training.evaluate.depth import METRICS, MIN_DEPTH_M, depth_metrics, median_scaled
from training.evaluate.masks import mask_auc
from training.evaluate.snippets import squared_errors
from training.objective.predictions import Predictions

CAP_M = 80.0
SUPERVISED = ("depth", "motion", "mask")
"""Terms that look at the truth: they are no part of the validation loss, so that drives with and
without truth compare."""

Judge = Callable[[Batch], tuple[Batch, Predictions, dict[str, Tensor]]]


@torch.no_grad()
def validate(batches: Iterable[Batch], judge: Judge, device: torch.device) -> dict[str, float]:
    """Means over all snippets; empty where there are none. Keys, as far as the scenes have the
    truth for them:

    loss: the label-free terms. ate_sfmlearner, rotation_deg: of whole snippets, the rotation of the
    last frame against the first. abs_rel, a1: depth of the target, median-scaled, nearer than 80 m.
    mask_auc: masks against moving things (training.evaluate.masks). judge: the batch, what the
    networks predict of it, and the objective's terms.
    """
    scores = _Scores()
    for host_batch in batches:
        batch, predictions, terms = judge(host_batch.to(device))
        scores.add(
            "loss",
            [sum(float(value) for name, value in terms.items() if name not in SUPERVISED)]
            * len(batch.frames),
        )
        _add_motion_errors(scores, batch, predictions)
        if predictions.inverse_depth:
            _add_depth_errors(scores, batch, predictions.inverse_depth[0])
        if predictions.mask_logits:
            scores.add_masks(*_masks(batch, predictions.mask_logits[0]))
    return scores.means()


class _Scores:
    """Gathers values by name, and the pixels of masks."""

    def __init__(self) -> None:
        self._values: dict[str, list[float]] = {}
        self._masks: list[tuple[np.ndarray, np.ndarray]] = []

    def add(self, name: str, values: list[float]) -> None:
        """One value a snippet."""
        self._values.setdefault(name, []).extend(values)

    def add_masks(self, explained: np.ndarray, moving: np.ndarray) -> None:
        """Pixels of any number of images."""
        self._masks.append((explained, moving))

    def means(self) -> dict[str, float]:
        """Of everything that was gathered."""
        means = {name: float(np.mean(values)) for name, values in self._values.items()}
        if self._masks:
            auc = mask_auc(*(np.concatenate(pixels) for pixels in zip(*self._masks, strict=True)))
            if not np.isnan(auc):
                means["mask_auc"] = auc
        return means


def _add_motion_errors(scores: _Scores, batch: Batch, predictions: Predictions) -> None:
    true = first_from_frame(invert_transform(batch.camera_from_frame.cpu().double()))
    known = (true - torch.eye(4, dtype=true.dtype)).abs().amax(
        dim=(1, 2, 3)
    ) > 0  # the identity everywhere stands for unknown
    if not known.any():
        return
    true, estimated = (
        true[known],
        first_from_frame(predictions.frame_from_target.cpu().double())[known],
    )
    squared = squared_errors(true[..., :3, 3].numpy(), estimated[..., :3, 3].numpy())
    scores.add("ate_sfmlearner", (np.sqrt(squared) / true.shape[1]).tolist())
    relative = true[:, -1, :3, :3].transpose(-1, -2) @ estimated[:, -1, :3, :3]
    scores.add("rotation_deg", torch.rad2deg(rotation_angle(relative)).tolist())


def first_from_frame(frame_from_target: Tensor) -> Tensor:
    """Poses (B, N, 4, 4) of a snippet's frames in the first one's coordinates, from motions out
    of any common frame."""
    return frame_from_target[:, :1] @ invert_transform(frame_from_target)


def _add_depth_errors(scores: _Scores, batch: Batch, inverse_depth: Tensor) -> None:
    target = inverse_depth[:, inverse_depth.shape[1] // 2]
    enlarged = 1 / F.interpolate(
        target, size=batch.depth.shape[-2:], mode="bilinear", align_corners=False
    )
    truth, depth = batch.depth[:, 0].cpu().double().numpy(), enlarged[:, 0].cpu().double().numpy()
    for has_depth, true, predicted in zip(batch.has_depth.tolist(), truth, depth, strict=True):
        known = (true > MIN_DEPTH_M) & (true < CAP_M)
        if not has_depth or not known.any():
            continue
        scaled = np.clip(
            median_scaled(true[known], predicted[known], "validation"), MIN_DEPTH_M, CAP_M
        )
        metrics = dict(zip(METRICS, depth_metrics(true[known], scaled), strict=True))
        for name in ("abs_rel", "a1"):
            scores.add(name, [metrics[name]])


def _masks(batch: Batch, logits: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """How far the target's pixels are explained, on average over the sources, and which of them
    move; of snippets with truth."""
    explained = torch.softmax(logits[batch.has_depth], dim=2)[:, :, 1].mean(dim=1, keepdim=True)
    moving = (
        F.interpolate(
            batch.moving[batch.has_depth], size=explained.shape[-2:], mode="nearest-exact"
        )
        > 0.5
    )
    return explained.flatten().cpu().numpy(), moving.flatten().cpu().numpy()
