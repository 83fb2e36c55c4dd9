"""Validation scores: label-free objective, and errors of depth, motion and masks with truth."""

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

MAX_DEPTH_M = 80.0
SUPERVISED = ("depth", "motion", "mask")
"""Terms that need the truth.

They are excluded from the validation loss, which then compares drives with and without truth.
"""

Evaluation = Callable[[Batch], tuple[Batch, Predictions, dict[str, Tensor]]]
"""Function from a batch to the batch, the predictions and the objective's terms."""


@torch.no_grad()
def validate(
    batches: Iterable[Batch], evaluate: Evaluation, device: torch.device
) -> dict[str, float]:
    """Computes the mean scores over all snippets; empty where there are none.

    evaluate: runs the networks on a batch, see :meth:`training.engine.learner.Learner.evaluate`.

    Keys, where the scenes have the truth for them:
    loss: sum of the label-free terms. ate_sfmlearner: error of whole snippets' positions.
    rotation_deg: rotation error of the last frame relative to the first. abs_rel, a1: depth of the
    target, median-scaled, up to 80 m. mask_auc: masks against moving objects
    (training.evaluate.masks).
    """
    scores = _Scores()
    for host_batch in batches:
        # Run the networks and the objective.
        batch, predictions, terms = evaluate(host_batch.to(device))
        loss = sum(float(value) for name, value in terms.items() if name not in SUPERVISED)
        scores.add("loss", [loss] * len(batch.frames))
        # Compare with the truth.
        _add_motion_errors(scores, batch, predictions)
        if predictions.inverse_depth:
            _add_depth_errors(scores, batch, predictions.inverse_depth[0])
        if predictions.mask_logits:
            scores.add_masks(*_mask_pixels(batch, predictions.mask_logits[0]))
    return scores.means()


class _Scores:
    """Accumulator of values by name, and of the pixels of masks."""

    def __init__(self) -> None:
        self._values: dict[str, list[float]] = {}
        self._masks: list[tuple[np.ndarray, np.ndarray]] = []

    def add(self, name: str, values: list[float]) -> None:
        """Adds one value per snippet."""
        self._values.setdefault(name, []).extend(values)

    def add_masks(self, explained: np.ndarray, moving: np.ndarray) -> None:
        """Adds mask values and moving pixels, each (n,), of any number of images."""
        self._masks.append((explained, moving))

    def means(self) -> dict[str, float]:
        """Returns the mean of each score, and the AUC of the masks."""
        means = {name: float(np.mean(values)) for name, values in self._values.items()}
        if self._masks:
            auc = mask_auc(*(np.concatenate(pixels) for pixels in zip(*self._masks, strict=True)))
            if not np.isnan(auc):
                means["mask_auc"] = auc
        return means


def _add_motion_errors(scores: _Scores, batch: Batch, predictions: Predictions) -> None:
    """Adds the errors of the motions of snippets with true poses."""
    # Poses relative to the first frame; identities everywhere mean that the truth is unknown.
    true = first_from_frame(invert_transform(batch.camera_from_frame.cpu().double()))
    estimated = first_from_frame(predictions.frame_from_target.cpu().double())
    known = (true - torch.eye(4, dtype=true.dtype)).abs().amax(dim=(1, 2, 3)) > 0
    if not known.any():
        return
    true = true[known]
    estimated = estimated[known]
    squared = squared_errors(true[..., :3, 3].numpy(), estimated[..., :3, 3].numpy())
    scores.add("ate_sfmlearner", (np.sqrt(squared) / true.shape[1]).tolist())
    relative = true[:, -1, :3, :3].transpose(-1, -2) @ estimated[:, -1, :3, :3]
    scores.add("rotation_deg", torch.rad2deg(rotation_angle(relative)).tolist())


def first_from_frame(frame_from_target: Tensor) -> Tensor:
    """Returns the poses (B, N, 4, 4) of a snippet's frames relative to the first one.

    frame_from_target: (B, N, 4, 4); the target may be any common frame.
    """
    return frame_from_target[:, :1] @ invert_transform(frame_from_target)


def _add_depth_errors(scores: _Scores, batch: Batch, inverse_depth: Tensor) -> None:
    """Adds the errors of the target's depth, given inverse depth (B, D, 1, h, w), with truth."""
    # Upsample the prediction to the size of the truth.
    target = inverse_depth[:, inverse_depth.shape[1] // 2]
    upsampled = 1 / F.interpolate(
        target, size=batch.depth.shape[-2:], mode="bilinear", align_corners=False
    )
    truth = batch.depth[:, 0].cpu().double().numpy()
    depth = upsampled[:, 0].cpu().double().numpy()
    # Scale each image by the ratio of the medians, and compare.
    for has_depth, true, predicted in zip(batch.has_depth.tolist(), truth, depth, strict=True):
        known = (true > MIN_DEPTH_M) & (true < MAX_DEPTH_M)
        if not has_depth or not known.any():
            continue
        scaled = median_scaled(true[known], predicted[known], "validation")
        scaled = np.clip(scaled, MIN_DEPTH_M, MAX_DEPTH_M)
        metrics = dict(zip(METRICS, depth_metrics(true[known], scaled), strict=True))
        for name in ("abs_rel", "a1"):
            scores.add(name, [metrics[name]])


def _mask_pixels(batch: Batch, logits: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Returns masks, averaged over the sources, and whether pixels move, each (n,), with truth.

    logits: (B, S, 2, h, w). Only snippets with truth are included.
    """
    explained = torch.softmax(logits[batch.has_depth], dim=2)[:, :, 1].mean(dim=1, keepdim=True)
    moving = (
        F.interpolate(
            batch.moving[batch.has_depth], size=explained.shape[-2:], mode="nearest-exact"
        )
        > 0.5
    )
    return explained.flatten().cpu().numpy(), moving.flatten().cpu().numpy()
