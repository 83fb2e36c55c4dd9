"""The objective of a training step: view synthesis and what goes with it, over pairs of views and
scales.

Every term is a mean over snippets of one value a snippet: it does not matter how snippets are
grouped into batches or spread over devices.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from sfm_odometry.geometry.projection import (
    MIN_PROJECTION_DEPTH,
    backproject,
    invert_transform,
    project,
    transform_points,
)
from sfm_odometry.geometry.view_synthesis import (
    SynthesisedView,
    inside_image,
    sample_at,
    scaled_intrinsics,
    synthesise_view,
)
from training.data.batch import Batch
from training.objective.icp import alignment_loss
from training.objective.losses import (
    depth_inconsistency,
    divided_by_mean,
    edge_aware_smoothness,
    explainability_regulariser,
    log_depth_error,
    mask_error,
    mask_log_odds,
    masked_mean,
    motion_error,
    photometric_error,
    second_order_smoothness,
)
from training.objective.objective_config import ObjectiveConfig
from training.objective.predictions import Predictions
from training.objective.view_pairs import ViewPairs, view_pairs

FARTHEST = 0.005
"""Inverse depth that a true depth of infinity counts as: 200 m."""


def objective(batch: Batch, predictions: Predictions, config: ObjectiveConfig) -> dict[str, Tensor]:
    """Every term with its weight applied; their sum is what training minimises."""
    levels = _levels(batch, predictions, config)
    terms = _Sum(len(batch.frames))
    for level in [_at_full_size(levels, batch)] if config.full_size and levels else levels:
        terms.add(_view_terms(level, config))
    for scale, level in enumerate(levels):
        terms.add(_depth_map_terms(level, config), 1 / 2**scale)
    terms.add(_motion_terms(predictions, config))
    terms.add(_truth_terms(batch, predictions, config))
    return terms.values


class _Sum:
    """Adds up terms by name, each a mean over the snippets."""

    def __init__(self, snippets: int) -> None:
        self.snippets = snippets
        self.values: dict[str, Tensor] = {}

    def add(self, terms: dict[str, Tensor], weight: float = 1.0) -> None:
        """Terms of values (K,); K is a multiple of the number of snippets where several scales
        were folded into one."""
        for name, values in terms.items():
            mean = weight * values.sum() / self.snippets
            self.values[name] = self.values[name] + mean if name in self.values else mean


@dataclass(frozen=True)
class _Level:
    """The pairs of views of K snippets at one size of image."""

    pairs: ViewPairs
    frames: Tensor
    """(K, N, C, h, w)."""
    inverse_depth: Tensor
    """(K, D, 1, h, w)."""
    source_from_target: Tensor
    """(K, P, 4, 4)."""
    intrinsics: Tensor
    """(K, 3, 3)."""
    mask_log_odds: Tensor | None
    """(K, S, 1, h, w)."""

    def depth(self, frames: tuple[int, ...]) -> Tensor:
        """Depth (K P, 1, h, w) of the frame of each pair."""
        inverse_depth = self.inverse_depth
        if inverse_depth.shape[1] == 1:
            return (1.0 / inverse_depth).expand(-1, len(frames), -1, -1, -1).flatten(0, 1)
        return _pick(1.0 / inverse_depth, frames).flatten(0, 1)

    def images(self, frames: tuple[int, ...]) -> Tensor:
        """Images (K, P, C, h, w) of the frame of each pair; (K, 1, C, h, w) where it is the same
        of all."""
        return (
            self.frames[:, frames[0], None] if len(set(frames)) == 1 else _pick(self.frames, frames)
        )

    def pair_intrinsics(self) -> Tensor:
        """(K P, 3, 3)."""
        return self.intrinsics.repeat_interleave(len(self.pairs.targets), dim=0)

    def by_pair(self, values: Tensor) -> Tensor:
        """(K P, ...) as (K, P, ...)."""
        return values.unflatten(0, (-1, len(self.pairs.targets)))


def _levels(batch: Batch, predictions: Predictions, config: ObjectiveConfig) -> list[_Level]:
    """One level a scale, finest first; the images of coarser ones are area-resized, as the
    papers' pyramids are."""
    pairs = view_pairs(batch.frames.shape[1], config.pairs)
    motions = predictions.frame_from_target
    source_from_target = _pick(motions, pairs.sources) @ invert_transform(
        _pick(motions, pairs.targets)
    )
    logits = predictions.mask_logits if config.explainability else []
    levels: list[_Level] = []
    frames = batch.frames.contiguous()
    for scale, inverse_depth in enumerate(predictions.inverse_depth[: config.scales]):
        size = inverse_depth.shape[-2:]
        intrinsics = scaled_intrinsics(
            batch.intrinsics, size[1] / batch.frames.shape[-1], size[0] / batch.frames.shape[-2]
        )
        log_odds = mask_log_odds(logits[scale]) if logits else None
        frames = _reduced(frames if _divides(frames, size) else batch.frames, size)
        levels.append(
            _Level(pairs, frames, inverse_depth, source_from_target, intrinsics, log_odds)
        )
    return levels


def _at_full_size(levels: list[_Level], batch: Batch) -> _Level:
    """All scales enlarged and folded into the snippets of one level: K = scales x B, one warp
    for all."""
    size, count = batch.frames.shape[-2:], len(levels)
    log_odds = [level.mask_log_odds for level in levels if level.mask_log_odds is not None]
    return _Level(
        levels[0].pairs,
        batch.frames.repeat(count, 1, 1, 1, 1),
        torch.cat([_enlarged(level.inverse_depth, size) for level in levels]),
        levels[0].source_from_target.repeat(count, 1, 1, 1),
        batch.intrinsics.repeat(count, 1, 1),
        torch.cat([_enlarged(maps, size) for maps in log_odds]) if log_odds else None,
    )


def _view_terms(level: _Level, config: ObjectiveConfig) -> dict[str, Tensor]:
    """What is seen by moving pixels from one view into another: view synthesis, and whether the
    depths agree."""
    terms: dict[str, Tensor] = {}
    if not config.needs_views:
        return terms
    view = synthesise_view(
        level.images(level.pairs.sources).flatten(0, 1),
        level.depth(level.pairs.targets),
        level.source_from_target.flatten(0, 1),
        level.pair_intrinsics(),
    )
    if config.photometric:
        terms["photometric"] = config.photometric * _photometric_term(level, view, config)
        if level.mask_log_odds is not None:
            regulariser = explainability_regulariser(level.mask_log_odds)
            terms["explainability"] = (
                config.explainability * level.mask_log_odds.shape[1] * regulariser
            )
    if config.geometry_consistency:
        sampled = sample_at(level.depth(level.pairs.sources), view.pixels)
        inconsistency = depth_inconsistency(view.depth.clamp_min(MIN_PROJECTION_DEPTH), sampled)
        terms["geometry"] = config.geometry_consistency * masked_mean(
            level.by_pair(inconsistency), level.by_pair(view.valid)
        )
    return terms


def _photometric_term(level: _Level, view: SynthesisedView, config: ObjectiveConfig) -> Tensor:
    """Each re-synthesised view against the true one: (K,), summed over pairs, as both papers do,
    or, of the best sources, over views."""
    targets = level.images(level.pairs.targets)
    error = photometric_error(level.by_pair(view.image), targets, config.ssim_weight)
    counted = level.by_pair(view.valid)
    if config.auto_mask:
        unmoved = photometric_error(level.images(level.pairs.sources), targets, config.ssim_weight)
        counted = counted & (error.detach() < unmoved)
    if level.mask_log_odds is not None:
        error = error * torch.sigmoid(level.mask_log_odds)
    if not config.minimum_over_sources:
        return error.shape[1] * masked_mean(error, counted)
    total = error.new_zeros(len(error))
    for pairs in level.pairs.by_target():
        best = torch.where(_pick(counted, pairs), _pick(error, pairs), torch.inf).amin(dim=1)
        total = total + masked_mean(torch.where(best.isfinite(), best, 0.0), best.isfinite())
    return total


def _depth_map_terms(level: _Level, config: ObjectiveConfig) -> dict[str, Tensor]:
    """What the depth maps of one scale are held to at their own size: smoothness, and 3D
    alignment, summed over frames and over pairs."""
    terms: dict[str, Tensor] = {}
    if config.smoothness:
        maps, depth_frames = level.inverse_depth.flatten(0, 1), level.inverse_depth.shape[1]
        middle = level.frames.shape[1] // 2
        images = level.frames if depth_frames > 1 else level.frames[:, middle : middle + 1]
        terms["smoothness"] = config.smoothness * _smoothness(
            maps, images.flatten(0, 1), config
        ).view(-1, depth_frames).sum(1)
    if config.alignment_3d:
        terms["alignment_3d"] = config.alignment_3d * _alignment_term(level)
    return terms


def _smoothness(inverse_depth: Tensor, images: Tensor, config: ObjectiveConfig) -> Tensor:
    """Smoothness (B,) of maps (B, 1, h, w) of the kind that is configured."""
    rho = divided_by_mean(inverse_depth) if config.normalised_smoothness else inverse_depth
    return (
        edge_aware_smoothness(rho, images)
        if config.smoothness_kind == "edge_aware"
        else second_order_smoothness(rho)
    )


def _alignment_term(level: _Level) -> Tensor:
    """3D alignment (Mahjourian et al. 2018, section 3.3), (K,): of the points of each pair's
    target that project into its source."""
    intrinsics = level.pair_intrinsics()
    target_points, source_points = (
        backproject(level.depth(frames), intrinsics)
        for frames in (level.pairs.targets, level.pairs.sources)
    )
    source_from_target = level.source_from_target.flatten(0, 1)
    with torch.no_grad():
        points = transform_points(source_from_target, target_points)
        valid = inside_image(project(points, intrinsics), *points.shape[-2:]) & (
            points[:, 2:] > MIN_PROJECTION_DEPTH
        )
    return level.by_pair(
        alignment_loss(target_points, source_from_target, source_points, intrinsics, valid)
    ).sum(1)


def _motion_terms(predictions: Predictions, config: ObjectiveConfig) -> dict[str, Tensor]:
    """What motions are held to among themselves."""
    terms: dict[str, Tensor] = {}
    chain = predictions.previous_from_current()
    if predictions.reversed_frame_from_target is not None:
        backwards = replace(
            predictions, frame_from_target=predictions.reversed_frame_from_target
        ).previous_from_current()
        terms["forward_backward"] = config.forward_backward * motion_error(
            chain, backwards, config.rotation_weight
        )
    if predictions.two_steps is not None:
        composed = chain[:, :-1] @ chain[:, 1:]
        terms["composed_motion"] = config.composed_motion * motion_error(
            predictions.two_steps, composed, config.rotation_weight
        )
    return terms


def _truth_terms(
    batch: Batch, predictions: Predictions, config: ObjectiveConfig
) -> dict[str, Tensor]:
    """Supervision by the truth of rendered drives; snippets without truth count as free of
    error."""
    terms: dict[str, Tensor] = {}
    if config.depth_supervision:
        terms["depth"] = (
            config.depth_supervision
            * batch.has_depth
            * _depth_term(batch, predictions.inverse_depth)
        )
    if config.mask_supervision and predictions.mask_logits:
        terms["mask"] = (
            config.mask_supervision
            * batch.has_depth
            * _mask_term(batch, predictions.mask_logits[0])
        )
    if config.motion_supervision:
        terms["motion"] = (
            config.motion_supervision
            * batch.has_motion
            * _motion_term(batch, predictions, config.rotation_weight)
        )
    return terms


def _depth_term(batch: Batch, predictions: list[Tensor]) -> Tensor:
    """Supervised depth of the target at the two finest scales; a coarser truth is picked, not
    averaged: averages of depth are no depth."""
    total = batch.depth.new_zeros(len(batch.depth))
    for scale, inverse_depth in enumerate(predictions[:2]):
        target = inverse_depth[:, inverse_depth.shape[1] // 2]
        picked = F.interpolate(batch.depth, size=target.shape[-2:], mode="nearest-exact")
        total = total + log_depth_error(target, picked, FARTHEST) / 2**scale
    return total


def _mask_term(batch: Batch, logits: Tensor) -> Tensor:
    """Supervised masks at the finest scale."""
    return mask_error(
        logits, F.interpolate(batch.moving, size=logits.shape[-2:], mode="nearest-exact")
    )


def _motion_term(batch: Batch, predictions: Predictions, rotation_weight: float) -> Tensor:
    """Supervised motion: of every source against the target, and of the neighbours, which
    odometry chains."""
    target_pose = batch.camera_from_frame[:, batch.target, None]
    true = replace(
        predictions, frame_from_target=invert_transform(batch.camera_from_frame) @ target_pose
    )
    of_sources = motion_error(
        predictions.source_from_target(), true.source_from_target(), rotation_weight
    )
    return of_sources + motion_error(
        predictions.previous_from_current(), true.previous_from_current(), rotation_weight
    )


def _pick(frames: Tensor, indices: Sequence[int]) -> Tensor:
    """Some of frames (K, N, ...): (K, P, ...). Indexing by a list would take several times as
    long, and copy it to the device."""
    return torch.stack([frames[:, index] for index in indices], dim=1)


def _divides(frames: Tensor, size: torch.Size) -> bool:
    """Whether every pixel of the smaller size is a whole number of pixels of the frames: then
    areas of areas are areas."""
    return all(large % small == 0 for large, small in zip(frames.shape[-2:], size, strict=True))


def _reduced(frames: Tensor, size: torch.Size) -> Tensor:
    """Frames (B, N, C, H, W) area-resized to a smaller size."""
    if frames.shape[-2:] == size:
        return frames
    return F.interpolate(frames.flatten(0, 1), size=tuple(size), mode="area").unflatten(
        0, frames.shape[:2]
    )


def _enlarged(maps: Tensor, size: torch.Size) -> Tensor:
    """Maps (B, N, C, h, w) brought to a larger size, bilinearly."""
    if maps.shape[-2:] == size:
        return maps
    return F.interpolate(
        maps.flatten(0, 1), size=tuple(size), mode="bilinear", align_corners=False
    ).unflatten(0, maps.shape[:2])
