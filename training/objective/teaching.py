"""Terms of the objective by which networks learn from a teacher's motions and sparse depth."""

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from sfm_odometry.geometry.projection import invert_transform
from training.data.lesson import MIN_SNIPPET_WEIGHT
from training.data.taught import TaughtBatch
from training.objective.losses import motion_error
from training.objective.objective_config import ObjectiveConfig
from training.objective.predictions import Predictions

SCALE_SHARE = 0.2
"""Weight of an image's scale against the errors around it: the unit of the motions is a hint."""
MIN_POINTS_WEIGHT = 5.0
"""Least sum of the points' weights for an image to have a scale of its own."""


def given_poses(batch: TaughtBatch, predicted: Tensor) -> tuple[Tensor, Tensor]:
    """Motions (B, N, 4, 4) frame_from_target for view synthesis, and their weights (B,).

    They are the teacher's where it is sure enough, else the predicted ones with weight 1.
    """
    sure = batch.taught_weight > MIN_SNIPPET_WEIGHT
    given = invert_transform(batch.taught_poses)
    return (
        torch.where(sure[:, None, None, None], given, predicted),
        torch.where(sure, batch.taught_weight, 1.0),
    )


def scaled_window(batch: TaughtBatch, scale_x: float, scale_y: float) -> Tensor:
    """The window (B, 4) of the frames in the pixels of resized ones: c' = (c + 0.5) s - 0.5.

    Pixels that are partly of the margins are left out.
    """
    scale = batch.window.new_tensor([scale_x, scale_y, scale_x, scale_y])
    window = (batch.window + 0.5) * scale - 0.5
    return torch.cat([window[:, :2].ceil(), window[:, 2:].floor()], dim=1)


def inside_window(pixels: Tensor, window: Tensor) -> Tensor:
    """Mask (K, 1, H, W) of pixels (K, 2, H, W) inside windows (K, 4)."""
    first, last = window[:, :2, None, None], window[:, 2:, None, None]
    return ((pixels >= first) & (pixels <= last)).all(dim=1, keepdim=True)


def teaching_terms(
    batch: TaughtBatch, predictions: Predictions, config: ObjectiveConfig
) -> dict[str, Tensor]:
    """Computes the terms (B,) of the points and of the motions."""
    terms: dict[str, Tensor] = {}
    if config.point_supervision:
        inverse_depth = predictions.inverse_depth[0]
        target = inverse_depth[:, inverse_depth.shape[1] // 2]
        error, scale = point_error(target, batch.points, batch.frames.shape[-2:])
        terms["points"] = config.point_supervision * (error + SCALE_SHARE * scale)
    if config.taught_motion:
        terms["taught_motion"] = config.taught_motion * _motion_error(batch, predictions, config)
    return terms


def point_log_ratios(inverse_depth: Tensor, points: Tensor, size: torch.Size) -> Tensor:
    """Returns log(rho / rho*) (B, K) of maps (B, 1, h, w) at points (B, K, 4) of images of a size.

    Points of weight 0 have any value.
    """
    scale = points.new_tensor([2.0 / size[1], 2.0 / size[0]])
    grid = (points[..., :2] + 0.5) * scale - 1.0
    sampled = F.grid_sample(
        inverse_depth, grid[:, :, None], mode="bilinear", padding_mode="border", align_corners=False
    )[:, 0, :, 0]
    return sampled.log() - points[..., 2].clamp_min(1e-6).log()


def weighted_median(values: Tensor, weights: Tensor) -> Tensor:
    """Returns the weighted median (B,) of values (B, K)."""
    order = values.argsort(dim=1)
    sums = weights.gather(1, order).cumsum(1)
    index = (sums < 0.5 * sums[:, -1:]).sum(1, keepdim=True).clamp_max(values.shape[1] - 1)
    return values.gather(1, order.gather(1, index))[:, 0]


def point_error(inverse_depth: Tensor, points: Tensor, size: torch.Size) -> tuple[Tensor, Tensor]:
    """Computes the error (B,) against points up to a scale, and that of the scale itself (B,).

    With r = log(rho / rho*) and their weighted median m: sum w |r - m| / sum w, and |m|. Both are 0
    for images with next to no points.
    """
    ratios = point_log_ratios(inverse_depth, points, size)
    weights = points[..., 3]
    total = weights.sum(1)
    known = total > MIN_POINTS_WEIGHT
    median = weighted_median(ratios, weights)
    error = (weights * (ratios - median[:, None]).abs()).sum(1) / total.clamp_min(1e-6)
    return torch.where(known, error, 0.0), torch.where(known, median.abs(), 0.0)


def _motion_error(batch: TaughtBatch, predictions: Predictions, config: ObjectiveConfig) -> Tensor:
    """Computes the error (B,) of the predicted motions against the teacher's.

    Translations are divided by the median depth of the target's points, as they count in the image.
    """
    # Translations in median depths.
    nearness = weighted_median(batch.points[..., 2], batch.points[..., 3])
    factor = torch.where(nearness > 0, config.rotation_weight * nearness, 1.0)
    taught = replace(predictions, frame_from_target=invert_transform(batch.taught_poses))
    error = motion_error(
        _in_unit(predictions.previous_from_current(), factor),
        _in_unit(taught.previous_from_current(), factor),
        config.rotation_weight,
    ) + motion_error(
        _in_unit(predictions.source_from_target(), factor),
        _in_unit(taught.source_from_target(), factor),
        config.rotation_weight,
    )
    return batch.taught_weight * error


def _in_unit(motions: Tensor, factor: Tensor) -> Tensor:
    """Multiplies the translations of motions (B, S, 4, 4) by a factor (B,)."""
    scaled = motions.clone()
    scaled[..., :3, 3] = motions[..., :3, 3] * factor[:, None, None]
    return scaled
