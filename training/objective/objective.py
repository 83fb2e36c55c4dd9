"""Objective of a training step: view synthesis and regularisers, over pairs of views and scales.

The papers' objectives are sums over the scales s of the image pyramid:

- Zhou et al. 2017, equation 4: sum_s L_vs + lambda_s L_smooth + lambda_e L_reg;
- Mahjourian et al. 2018, equation 11: sum_s alpha L_rec + beta L_3D + gamma L_sm + omega L_SSIM.

Every term is the mean over the snippets of one value per snippet: the result does not depend on the
grouping of snippets into batches, nor on their distribution over devices.
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
from training.data.taught import TaughtBatch, visible_pixels
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
from training.objective.teaching import (
    given_poses,
    inside_window,
    scaled_window,
    teaching_terms,
)
from training.objective.view_pairs import ViewPairs, view_pairs

MIN_TRUE_INVERSE_DEPTH = 0.005
"""Inverse depth, in 1/m, that replaces a true depth of infinity: 200 m."""
SUPERVISED_SCALES = 2
"""Number of scales, from the finest, at which depth is supervised by the truth."""


def objective(batch: Batch, predictions: Predictions, config: ObjectiveConfig) -> dict[str, Tensor]:
    """Computes the weighted terms of the objective, by name; training minimises their sum."""
    scales = _image_pyramid(batch, predictions, config)
    terms = _TermSums(len(batch.frames))
    # Synthesise the target of each pair of views at each scale: photometric error, masks, depth
    # consistency (Zhou et al., equations 1 to 3; Mahjourian et al., equation 3).
    compared = [_at_full_size(scales, batch)] if config.full_size and scales else scales
    for scale in compared:
        terms.add(_view_synthesis_terms(scale, config))
    # Regularise the depth maps of each scale: smoothness and 3D alignment.
    for level, scale in enumerate(scales):
        terms.add(_depth_map_terms(scale, config), weight=1 / 2**level)
    # Compare the motions among each other.
    terms.add(_motion_consistency_terms(predictions, config))
    # Supervise depth, masks and motion by the truth of rendered drives.
    terms.add(_supervision_terms(batch, predictions, config))
    # Hold depth and motion to what a teacher said.
    if isinstance(batch, TaughtBatch):
        terms.add(teaching_terms(batch, predictions, config))
    return terms.sums


class _TermSums:
    """Sums of terms by name, each a mean over the snippets of the batch."""

    def __init__(self, snippets: int) -> None:
        """snippets: number of snippets in the batch."""
        self.snippets = snippets
        self.sums: dict[str, Tensor] = {}

    def add(self, terms: dict[str, Tensor], weight: float = 1.0) -> None:
        """Adds terms with one value (K,) per snippet.

        K is a multiple of the number of snippets where several scales were folded into one.
        """
        for name, values in terms.items():
            mean = weight * values.sum() / self.snippets
            self.sums[name] = self.sums[name] + mean if name in self.sums else mean


@dataclass(frozen=True)
class _Scale:
    """Views and predictions of K snippets at one scale of the image pyramid.

    Each snippet has N frames, of which D have depth, and P pairs of views; S sources have masks.
    """

    pairs: ViewPairs
    frames: Tensor
    """Images (K, N, C, h, w) in [0, 1]."""
    inverse_depth: Tensor
    """Inverse depth (K, D, 1, h, w): of the target (D = 1) or of all frames (D = N)."""
    source_from_target: Tensor
    """Motion (K, P, 4, 4) of each pair."""
    intrinsics: Tensor
    """Camera matrices (K, 3, 3) at this scale."""
    mask_log_odds: Tensor | None
    """Log odds (K, S, 1, h, w) that a pixel is explainable; None without explainability masks."""
    window: Tensor | None = None
    """(K, 4) first and last column and row, in pixels of this scale, that show the image; None: all
    of them."""
    weight: Tensor | None = None
    """(K,) weight of each snippet's view synthesis; None: 1."""

    def depth(self, frames: tuple[int, ...]) -> Tensor:
        """Returns the depth (K P, 1, h, w) of one frame for each pair."""
        inverse_depth = self.inverse_depth
        if inverse_depth.shape[1] == 1:
            return (1.0 / inverse_depth).expand(-1, len(frames), -1, -1, -1).flatten(0, 1)
        return _select_frames(1.0 / inverse_depth, frames).flatten(0, 1)

    def images(self, frames: tuple[int, ...]) -> Tensor:
        """Returns the image (K, P, C, h, w) of one frame for each pair.

        The shape is (K, 1, C, h, w) where all pairs have the same frame.
        """
        if len(set(frames)) == 1:
            return self.frames[:, frames[0], None]
        return _select_frames(self.frames, frames)

    def pair_intrinsics(self) -> Tensor:
        """Returns the camera matrix (K P, 3, 3) of each pair."""
        return self.intrinsics.repeat_interleave(len(self.pairs.targets), dim=0)

    def unflatten_pairs(self, values: Tensor) -> Tensor:
        """Returns values (K P, ...) as (K, P, ...)."""
        return values.unflatten(0, (-1, len(self.pairs.targets)))


def _image_pyramid(batch: Batch, predictions: Predictions, config: ObjectiveConfig) -> list[_Scale]:
    """Returns the scales, finest first; coarser images are area-resized, as in the papers."""
    # Compute the motion of each pair of views.
    pairs = view_pairs(batch.frames.shape[1], config.pairs)
    motions = predictions.frame_from_target
    weight: Tensor | None = None
    taught = batch if isinstance(batch, TaughtBatch) else None
    if taught is not None and config.given_motion:
        motions, weight = given_poses(taught, motions)
    source_from_target = _select_frames(motions, pairs.sources) @ invert_transform(
        _select_frames(motions, pairs.targets)
    )
    # Resize images and intrinsics to the size of the predictions of each scale.
    logits = predictions.mask_logits if config.explainability else []
    scales: list[_Scale] = []
    frames = batch.frames.contiguous()
    for level, inverse_depth in enumerate(predictions.inverse_depth[: config.scales]):
        size = inverse_depth.shape[-2:]
        scale_x = size[1] / batch.frames.shape[-1]
        scale_y = size[0] / batch.frames.shape[-2]
        frames = _downsampled(frames if _is_multiple(frames, size) else batch.frames, size)
        scales.append(
            _Scale(
                pairs=pairs,
                frames=frames,
                inverse_depth=inverse_depth,
                source_from_target=source_from_target,
                intrinsics=scaled_intrinsics(batch.intrinsics, scale_x, scale_y),
                mask_log_odds=mask_log_odds(logits[level]) if logits else None,
                window=None if taught is None else scaled_window(taught, scale_x, scale_y),
                weight=weight,
            )
        )
    return scales


def _at_full_size(scales: list[_Scale], batch: Batch) -> _Scale:
    """Upsamples all scales to full size and folds them into one with K = scales x B snippets.

    One call then warps all of them.
    """
    size = batch.frames.shape[-2:]
    count = len(scales)
    log_odds = [scale.mask_log_odds for scale in scales if scale.mask_log_odds is not None]
    return _Scale(
        pairs=scales[0].pairs,
        frames=batch.frames.repeat(count, 1, 1, 1, 1),
        inverse_depth=torch.cat([_upsampled(scale.inverse_depth, size) for scale in scales]),
        source_from_target=scales[0].source_from_target.repeat(count, 1, 1, 1),
        intrinsics=batch.intrinsics.repeat(count, 1, 1),
        window=batch.window.repeat(count, 1) if isinstance(batch, TaughtBatch) else None,
        weight=None if scales[0].weight is None else scales[0].weight.repeat(count),
        mask_log_odds=torch.cat([_upsampled(maps, size) for maps in log_odds])
        if log_odds
        else None,
    )


def _view_synthesis_terms(scale: _Scale, config: ObjectiveConfig) -> dict[str, Tensor]:
    """Computes the terms that warp one view into another: photometric error, depth consistency."""
    terms: dict[str, Tensor] = {}
    if not config.needs_views:
        return terms
    # Warp the source of each pair into its target (Zhou et al., equation 2).
    view = synthesise_view(
        scale.images(scale.pairs.sources).flatten(0, 1),
        scale.depth(scale.pairs.targets),
        scale.source_from_target.flatten(0, 1),
        scale.pair_intrinsics(),
    )
    if scale.window is not None:
        window = scale.window.repeat_interleave(len(scale.pairs.targets), dim=0)
        shown = visible_pixels(window, *view.valid.shape[-2:])
        view = replace(view, valid=view.valid & shown & inside_window(view.pixels, window))
    # Compare the synthesised view with the target, and regularise the masks (L_reg).
    if config.photometric:
        terms["photometric"] = config.photometric * _photometric_term(scale, view, config)
        if scale.mask_log_odds is not None:
            sources = scale.mask_log_odds.shape[1]
            regulariser = explainability_regulariser(scale.mask_log_odds)
            terms["explainability"] = config.explainability * sources * regulariser
    # Compare the depth of the target's points with the source's own depth (Bian et al. 2019).
    if config.geometry_consistency:
        sampled = sample_at(scale.depth(scale.pairs.sources), view.pixels)
        inconsistency = depth_inconsistency(view.depth.clamp_min(MIN_PROJECTION_DEPTH), sampled)
        terms["geometry"] = config.geometry_consistency * masked_mean(
            scale.unflatten_pairs(inconsistency), scale.unflatten_pairs(view.valid)
        )
    return terms


def _photometric_term(scale: _Scale, view: SynthesisedView, config: ObjectiveConfig) -> Tensor:
    """Computes the photometric error (K,) between the synthesised views and the targets.

    It is summed over the pairs, as in both papers, or, of the best sources, over the targets.
    """
    # Error of each pixel (Zhou et al., equation 1; with SSIM, Mahjourian et al., equation 9).
    targets = scale.images(scale.pairs.targets)
    error = photometric_error(scale.unflatten_pairs(view.image), targets, config.ssim_weight)
    # Principled masks (Mahjourian et al., section 3.2): pixels that project into the source.
    mask = scale.unflatten_pairs(view.valid)
    # Auto-mask (Godard et al. 2019): pixels that fit better moved than unmoved.
    if config.auto_mask:
        sources = scale.images(scale.pairs.sources)
        unmoved_error = photometric_error(sources, targets, config.ssim_weight)
        mask = mask & (error.detach() < unmoved_error)
    # Explainability masks (Zhou et al., equation 3).
    if scale.mask_log_odds is not None:
        error = error * torch.sigmoid(scale.mask_log_odds)
    if config.minimum_over_sources:
        result = _minimum_over_sources(error, mask, scale.pairs)
    else:
        result = error.shape[1] * masked_mean(error, mask)
    return result if scale.weight is None else scale.weight * result


def _minimum_over_sources(error: Tensor, mask: Tensor, pairs: ViewPairs) -> Tensor:
    """Computes the mean error (K,) of each pixel's best source, summed over the targets.

    error, mask: (K, P, 1, h, w). The idea is Monodepth2's (Godard et al. 2019).
    """
    total = error.new_zeros(len(error))
    for indices in pairs.by_target():
        candidates = torch.where(
            _select_frames(mask, indices), _select_frames(error, indices), torch.inf
        )
        best = candidates.amin(dim=1)
        total = total + masked_mean(torch.where(best.isfinite(), best, 0.0), best.isfinite())
    return total


def _depth_map_terms(scale: _Scale, config: ObjectiveConfig) -> dict[str, Tensor]:
    """Computes smoothness, summed over the frames, and 3D alignment, summed over the pairs.

    Both compare depth maps at their own size.
    """
    terms: dict[str, Tensor] = {}
    if config.smoothness:
        depth_frames = scale.inverse_depth.shape[1]
        middle = scale.frames.shape[1] // 2
        images = scale.frames if depth_frames > 1 else scale.frames[:, middle : middle + 1]
        smoothness = _smoothness(
            scale.inverse_depth.flatten(0, 1), images.flatten(0, 1), config
        ).view(-1, depth_frames)
        terms["smoothness"] = config.smoothness * smoothness.sum(1)
    if config.alignment_3d:
        terms["alignment_3d"] = config.alignment_3d * _alignment_term(scale)
    return terms


def _smoothness(inverse_depth: Tensor, images: Tensor, config: ObjectiveConfig) -> Tensor:
    """Computes the configured smoothness (M,) of maps (M, 1, h, w), given images (M, C, h, w)."""
    rho = divided_by_mean(inverse_depth) if config.normalised_smoothness else inverse_depth
    if config.smoothness_kind == "edge_aware":
        return edge_aware_smoothness(rho, images)
    return second_order_smoothness(rho)


def _alignment_term(scale: _Scale) -> Tensor:
    """Computes the 3D alignment loss (K,) (Mahjourian et al. 2018, section 3.3).

    It aligns those points of each pair's target that project into its source.
    """
    # Back-project the depth maps of both views.
    intrinsics = scale.pair_intrinsics()
    target_points = backproject(scale.depth(scale.pairs.targets), intrinsics)
    source_points = backproject(scale.depth(scale.pairs.sources), intrinsics)
    source_from_target = scale.source_from_target.flatten(0, 1)
    # Mask the points outside the source's image or behind its camera.
    with torch.no_grad():
        points = transform_points(source_from_target, target_points)
        valid = inside_image(project(points, intrinsics), *points.shape[-2:]) & (
            points[:, 2:] > MIN_PROJECTION_DEPTH
        )
    # Align the clouds by ICP.
    loss = alignment_loss(target_points, source_from_target, source_points, intrinsics, valid)
    return scale.unflatten_pairs(loss).sum(1)


def _motion_consistency_terms(
    predictions: Predictions, config: ObjectiveConfig
) -> dict[str, Tensor]:
    """Computes the terms that compare predicted motions among each other."""
    terms: dict[str, Tensor] = {}
    chain = predictions.previous_from_current()
    # The snippet played backwards has the same motions.
    if predictions.reversed_frame_from_target is not None:
        backwards = replace(
            predictions, frame_from_target=predictions.reversed_frame_from_target
        ).previous_from_current()
        terms["forward_backward"] = config.forward_backward * motion_error(
            chain, backwards, config.rotation_weight
        )
    # The motion over two frames is the product of the two motions between them.
    if predictions.two_steps is not None:
        composed = chain[:, :-1] @ chain[:, 1:]
        terms["composed_motion"] = config.composed_motion * motion_error(
            predictions.two_steps, composed, config.rotation_weight
        )
    return terms


def _supervision_terms(
    batch: Batch, predictions: Predictions, config: ObjectiveConfig
) -> dict[str, Tensor]:
    """Computes the supervision by the truth of rendered drives.

    The error of snippets without truth is 0.
    """
    terms: dict[str, Tensor] = {}
    if config.depth_supervision:
        error = _depth_error(batch, predictions.inverse_depth, config.depth_scale_weight)
        terms["depth"] = config.depth_supervision * batch.has_depth * error
    if config.mask_supervision and predictions.mask_logits:
        error = _mask_error(batch, predictions.mask_logits[0])
        terms["mask"] = config.mask_supervision * batch.has_depth * error
    if config.motion_supervision:
        error = _motion_error(batch, predictions, config.rotation_weight)
        terms["motion"] = config.motion_supervision * batch.has_motion * error
    return terms


def _depth_error(batch: Batch, inverse_depths: list[Tensor], scale_weight: float) -> Tensor:
    """Computes the error (B,) of the target's depth at the finest scales against the truth.

    The truth of coarser scales is the nearest pixel's: a mean of depths is the depth of no surface.
    """
    total = batch.depth.new_zeros(len(batch.depth))
    for level, inverse_depth in enumerate(inverse_depths[:SUPERVISED_SCALES]):
        target = inverse_depth[:, inverse_depth.shape[1] // 2]
        truth = F.interpolate(batch.depth, size=target.shape[-2:], mode="nearest-exact")
        error = log_depth_error(target, truth, MIN_TRUE_INVERSE_DEPTH, scale_weight)
        total = total + error / 2**level
    return total


def _mask_error(batch: Batch, logits: Tensor) -> Tensor:
    """Computes the error (B,) of masks (B, S, 2, h, w) against the true moving objects."""
    return mask_error(
        logits, F.interpolate(batch.moving, size=logits.shape[-2:], mode="nearest-exact")
    )


def _motion_error(batch: Batch, predictions: Predictions, rotation_weight: float) -> Tensor:
    """Computes the error (B,) of the motions against the true ones.

    It adds the errors of every source against the target, and of neighbouring frames, whose motions
    odometry chains.
    """
    target_pose = batch.camera_from_frame[:, batch.target, None]
    true = replace(
        predictions, frame_from_target=invert_transform(batch.camera_from_frame) @ target_pose
    )
    source_error = motion_error(
        predictions.source_from_target(), true.source_from_target(), rotation_weight
    )
    return source_error + motion_error(
        predictions.previous_from_current(), true.previous_from_current(), rotation_weight
    )


def _select_frames(values: Tensor, indices: Sequence[int]) -> Tensor:
    """Returns the entries (K, P, ...) of values (K, N, ...) with these indices.

    Indexing by a list would take several times as long, and copy the list to the device.
    """
    return torch.stack([values[:, index] for index in indices], dim=1)


def _is_multiple(frames: Tensor, size: torch.Size) -> bool:
    """Returns whether each pixel of `size` covers a whole number of pixels of the frames.

    Resizing by area in two steps then equals resizing in one.
    """
    return all(large % small == 0 for large, small in zip(frames.shape[-2:], size, strict=True))


def _downsampled(frames: Tensor, size: torch.Size) -> Tensor:
    """Returns frames (B, N, C, H, W) area-resized to a smaller size."""
    if frames.shape[-2:] == size:
        return frames
    return F.interpolate(frames.flatten(0, 1), size=tuple(size), mode="area").unflatten(
        0, frames.shape[:2]
    )


def _upsampled(maps: Tensor, size: torch.Size) -> Tensor:
    """Returns maps (B, N, C, h, w) bilinearly resized to a larger size."""
    if maps.shape[-2:] == size:
        return maps
    return F.interpolate(
        maps.flatten(0, 1), size=tuple(size), mode="bilinear", align_corners=False
    ).unflatten(0, maps.shape[:2])
