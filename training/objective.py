"""The objective of a training step: which terms, on which views, with which weights."""

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from sfm_odometry.geometry import invert_transform
from sfm_odometry.networks.motion_network import star_to_chain
from sfm_odometry.view_synthesis import scaled_intrinsics, synthesise_view
from training.batch import Batch
from training.losses import (
    edge_aware_smoothness,
    explainability_regulariser,
    log_depth_error,
    mask_error,
    masked_mean,
    motion_error,
    photometric_error,
    second_order_smoothness,
)


@dataclass(frozen=True)
class ObjectiveConfig:
    """Weights of the terms; zero leaves a term out. The defaults are SfMLearner's."""

    scales: int = 4
    photometric: float = 1.0
    ssim_weight: float = 0.0
    """Share of SSIM in the photometric error; the rest is L1."""
    minimum_over_sources: bool = False
    """Each pixel counts with its best source alone, instead of with all."""
    auto_mask: bool = False
    """Leave out pixels that the source explains better without any motion."""
    explainability: float = 0.2
    """Weight of the masks' regulariser; zero trains without masks."""
    smoothness: float = 0.5
    """Divided by 2^scale."""
    smoothness_kind: Literal["second_order", "edge_aware"] = "second_order"
    normalised_smoothness: bool = False
    depth_supervision: float = 0.0
    """For snippets with true depth: a warm start on rendered drives."""
    motion_supervision: float = 0.0
    rotation_weight: float = 50.0
    mask_supervision: float = 0.0

    @property
    def needs_masks(self) -> bool:
        """Whether any term looks at the masks."""
        return bool(self.explainability or self.mask_supervision)

    @property
    def needs_depth(self) -> bool:
        """Whether any term looks at the depth; a warm start of the pose network alone is many times faster without."""
        return bool(self.photometric or self.smoothness or self.depth_supervision)


@dataclass(frozen=True)
class Predictions:
    """What the networks say of a batch of B snippets with S sources."""

    inverse_depth: list[Tensor]
    """Of the target, (B, 1, h, w), finest first; empty where no term needs depth."""
    source_from_target: Tensor
    """(B, S, 4, 4)."""
    mask_logits: list[Tensor]
    """(B, S, 2, h, w), finest first; empty without masks."""


def objective(batch: Batch, predictions: Predictions, config: ObjectiveConfig) -> dict[str, Tensor]:
    """Every term with its weight applied; their sum is what training minimises."""
    terms: dict[str, Tensor] = {}
    for scale, inverse_depth in enumerate(predictions.inverse_depth[: config.scales]):
        logits = predictions.mask_logits[scale] if config.explainability and predictions.mask_logits else None
        for name, value in _scale_terms(batch, predictions.source_from_target, inverse_depth, logits, scale, config).items():
            terms[name] = terms.get(name, 0.0) + value
    if config.depth_supervision and batch.has_depth.any():
        terms["depth"] = config.depth_supervision * _depth_term(batch, predictions.inverse_depth)
    if config.mask_supervision and predictions.mask_logits and batch.has_depth.any():
        terms["mask"] = config.mask_supervision * _mask_term(batch, predictions.mask_logits)
    if config.motion_supervision and batch.has_motion.any():
        terms["motion"] = config.motion_supervision * _motion_term(batch, predictions.source_from_target, config.rotation_weight)
    return terms


def _scale_terms(
    batch: Batch, source_from_target: Tensor, inverse_depth: Tensor, logits: Tensor | None, scale: int, config: ObjectiveConfig
) -> dict[str, Tensor]:
    size = inverse_depth.shape[-2:]
    frames = _resize_frames(batch.frames, size)
    target = frames[:, batch.target]
    terms = {}
    if config.photometric:
        intrinsics = scaled_intrinsics(batch.intrinsics, size[1] / batch.frames.shape[-1], size[0] / batch.frames.shape[-2])
        terms["photometric"] = config.photometric * _photometric_term(frames, inverse_depth, source_from_target, intrinsics, logits, config)
        if logits is not None:
            terms["explainability"] = config.explainability * logits.shape[1] * explainability_regulariser(logits)
    if config.smoothness:
        terms["smoothness"] = config.smoothness / 2**scale * _smoothness_term(inverse_depth, target, config)
    return terms


def _photometric_term(
    frames: Tensor, inverse_depth: Tensor, source_from_target: Tensor, intrinsics: Tensor, logits: Tensor | None, config: ObjectiveConfig
) -> Tensor:
    """View synthesis from all sources at once: the sources are folded into the batch; their mean errors are summed, as the paper does."""
    middle = frames.shape[1] // 2
    sources = torch.cat([frames[:, :middle], frames[:, middle + 1 :]], dim=1)
    count = sources.shape[1]
    targets = frames[:, middle : middle + 1].expand_as(sources).flatten(0, 1)
    depth = (1.0 / inverse_depth).repeat_interleave(count, dim=0)
    view = synthesise_view(sources.flatten(0, 1), depth, source_from_target.flatten(0, 1), intrinsics.repeat_interleave(count, dim=0))
    error = photometric_error(targets, view.image, config.ssim_weight).unflatten(0, (-1, count))
    counted = view.valid.unflatten(0, (-1, count))
    if config.auto_mask:
        unmoved = photometric_error(targets, sources.flatten(0, 1), config.ssim_weight).unflatten(0, (-1, count))
        counted = counted & (error.detach() < unmoved)
    if logits is not None:
        error = error * torch.softmax(logits, dim=2)[:, :, 1:]
    if config.minimum_over_sources:
        best = torch.where(counted, error, torch.inf).amin(dim=1)
        return masked_mean(torch.where(best.isfinite(), best, 0.0), best.isfinite())
    return count * masked_mean(error, counted)


def _smoothness_term(inverse_depth: Tensor, image: Tensor, config: ObjectiveConfig) -> Tensor:
    if config.smoothness_kind == "edge_aware":
        return edge_aware_smoothness(inverse_depth, image, config.normalised_smoothness)
    return second_order_smoothness(inverse_depth)


def _resize_frames(frames: Tensor, size: torch.Size) -> Tensor:
    """Frames (B, N, C, H, W) area-resized, as the paper's pyramid is."""
    if frames.shape[-2:] == size:
        return frames
    return F.interpolate(frames.flatten(0, 1), size=tuple(size), mode="area").unflatten(0, frames.shape[:2])


def _depth_term(batch: Batch, predictions: list[Tensor]) -> Tensor:
    """Supervised depth at the two finest scales; a coarser truth is picked, not averaged, as averages of depth are no depth."""
    truth = batch.depth[batch.has_depth]
    total = truth.new_zeros(())
    for scale, inverse_depth in enumerate(predictions[:2]):
        picked = F.interpolate(truth, size=inverse_depth.shape[-2:], mode="nearest-exact")
        total = total + log_depth_error(inverse_depth[batch.has_depth], picked, floor=0.005) / 2**scale
    return total


def _mask_term(batch: Batch, mask_logits: list[Tensor]) -> Tensor:
    """Supervised masks at the finest scale."""
    logits = mask_logits[0][batch.has_depth]
    moving = F.interpolate(batch.moving[batch.has_depth], size=logits.shape[-2:], mode="nearest-exact")
    return mask_error(logits, moving)


def _motion_term(batch: Batch, source_from_target: Tensor, rotation_weight: float) -> Tensor:
    """Supervised motion: of every source against the target, and of the neighbours, which odometry chains."""
    poses = batch.camera_from_frame[batch.has_motion]
    middle = batch.target
    sources = torch.cat([poses[:, :middle], poses[:, middle + 1 :]], dim=1)
    true = invert_transform(sources) @ poses[:, middle : middle + 1]
    estimated = source_from_target[batch.has_motion]
    return motion_error(estimated, true, rotation_weight) + motion_error(star_to_chain(estimated), star_to_chain(true), rotation_weight)
