"""The objective of a recipe where depth and motion are known: whether training can tell true depth
from flat depth.

A recipe whose objective is lower at flat depth than at the truth, at the scale that its networks
start from, learns flat depth, however long it is trained: see docs/theory.md, "Where to start".
"""

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from sfm_odometry.geometry.projection import invert_transform
from training.config import TrainConfig
from training.data.batch import Batch
from training.objective.objective import objective
from training.objective.predictions import Predictions

EXPLAINED = 12.0
"""Log odds of masks that explain every pixel."""


@dataclass(frozen=True)
class KnownSnippets:
    """B snippets of N frames with the truth of each frame; lengths in metres, the middle frame
    is the target."""

    frames: Tensor
    """(B, N, 3, H, W) in [0, 1]."""
    inverse_depth: Tensor
    """(B, N, 1, H, W) in 1/m, positive everywhere."""
    target_from_frame: Tensor
    """(B, N, 4, 4)."""
    intrinsics: Tensor
    """(B, 3, 3)."""

    def middle(self, length: int) -> "KnownSnippets":
        """The middle `length` frames of each snippet."""
        cut = (self.frames.shape[1] - length) // 2
        kept = slice(cut, cut + length)
        return replace(
            self,
            frames=self.frames[:, kept],
            inverse_depth=self.inverse_depth[:, kept],
            target_from_frame=self.target_from_frame[:, kept],
        )


def starting_inverse_depth(config: TrainConfig) -> float:
    """Inverse depth that fresh networks begin with: as configured, or the middle of the
    sigmoid's range."""
    depth = config.model.depth
    return config.inverse_depth_start or depth.inverse_depth_gain / 2 + depth.inverse_depth_offset


def label_free_terms(
    config: TrainConfig, snippets: KnownSnippets, inverse_depth: Tensor, unit_m: float
) -> dict[str, float]:
    """Terms of the objective, without those that look at the truth, at a depth and the true motion,
    every pixel explained.

    inverse_depth: (B, N, 1, H, W) in 1/m. unit_m: metres of the unit that the networks count
    lengths in.
    """
    weights = replace(
        config.objective, depth_supervision=0.0, motion_supervision=0.0, mask_supervision=0.0
    )
    count, length = snippets.frames.shape[:2]
    frame_from_target = invert_transform(snippets.target_from_frame)
    frame_from_target[..., :3, 3] /= unit_m
    sizes = _map_sizes(config, snippets.frames.shape[-2:])
    seen = (
        inverse_depth
        if weights.depth_frames == "all"
        else inverse_depth[:, length // 2 : length // 2 + 1]
    )
    maps = [
        unit_m * F.interpolate(seen.flatten(0, 1), size, mode="area").unflatten(0, seen.shape[:2])
        for size in sizes
    ]
    logits = [_explaining_logits(count, length - 1, size) for size in sizes]
    terms = objective(_unlabelled(snippets), Predictions(maps, frame_from_target, logits), weights)
    return {name: float(value) for name, value in terms.items()}


def _map_sizes(config: TrainConfig, size: torch.Size) -> list[tuple[int, int]]:
    """Rows and columns of the inverse depth maps, finest first."""
    first = len(config.model.depth.encoder_widths) - len(config.model.depth.decoder_widths)
    return [
        (size[0] >> level, size[1] >> level)
        for level in range(first, first + config.objective.scales)
    ]


def _explaining_logits(count: int, sources: int, size: tuple[int, int]) -> Tensor:
    """Mask logits (B, S, 2, h, w) that explain every pixel."""
    unexplainable = torch.zeros(count, sources, *size)
    return torch.stack([unexplainable, torch.full_like(unexplainable, EXPLAINED)], dim=2)


def _unlabelled(snippets: KnownSnippets) -> Batch:
    """The snippets as a batch that knows neither depth nor motion."""
    count, _, _, height, width = snippets.frames.shape
    nothing, unknown = torch.zeros(count, 1, height, width), torch.zeros(count, dtype=torch.bool)
    return Batch(
        frames=snippets.frames,
        intrinsics=snippets.intrinsics,
        camera=torch.zeros(count, dtype=torch.int64),
        depth=nothing,
        moving=nothing,
        camera_from_frame=snippets.target_from_frame,
        has_depth=unknown,
        has_motion=unknown,
    )
