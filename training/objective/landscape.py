"""Objective of a recipe at known depth and motion, to compare true depth with flat depth.

A recipe whose objective is lower at flat depth than at the truth, at the scale that its networks
start from, learns flat depth, however long it is trained: see docs/theory.md, "Initial inverse
depth".
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

EXPLAINED_LOG_ODDS = 12.0
"""Log odds of masks that explain every pixel."""


@dataclass(frozen=True)
class KnownSnippets:
    """B snippets of N frames with their true depth and motion.

    Lengths are in metres; the middle frame is the target.
    """

    frames: Tensor
    """Images (B, N, 3, H, W) in [0, 1]."""
    inverse_depth: Tensor
    """True inverse depth (B, N, 1, H, W) in 1/m, positive everywhere."""
    target_from_frame: Tensor
    """True motions (B, N, 4, 4)."""
    intrinsics: Tensor
    """Camera matrices (B, 3, 3)."""

    def middle(self, length: int) -> "KnownSnippets":
        """Returns the middle `length` frames of each snippet."""
        first = (self.frames.shape[1] - length) // 2
        kept = slice(first, first + length)
        return replace(
            self,
            frames=self.frames[:, kept],
            inverse_depth=self.inverse_depth[:, kept],
            target_from_frame=self.target_from_frame[:, kept],
        )


def starting_inverse_depth(config: TrainConfig) -> float:
    """Returns the inverse depth that untrained networks predict.

    It is the configured one, or the middle of the sigmoid's range.
    """
    depth = config.model.depth
    return config.inverse_depth_start or depth.inverse_depth_gain / 2 + depth.inverse_depth_offset


def label_free_terms(
    config: TrainConfig, snippets: KnownSnippets, inverse_depth: Tensor, unit_m: float
) -> dict[str, float]:
    """Computes the terms of the objective at a given depth and the true motion.

    Terms of supervision are left out, and masks explain every pixel. inverse_depth: (B, N, 1, H, W)
    in 1/m. unit_m: unit of length of the networks, in metres.
    """
    # Switch the supervision off, and convert the motions to the networks' unit.
    weights = replace(
        config.objective, depth_supervision=0.0, motion_supervision=0.0, mask_supervision=0.0
    )
    count, length = snippets.frames.shape[:2]
    frame_from_target = invert_transform(snippets.target_from_frame)
    frame_from_target[..., :3, 3] /= unit_m
    # Resize the depth maps to the sizes of the predictions.
    sizes = _map_sizes(config, snippets.frames.shape[-2:])
    if weights.depth_frames != "all":
        inverse_depth = inverse_depth[:, length // 2 : length // 2 + 1]
    maps = [
        unit_m
        * F.interpolate(inverse_depth.flatten(0, 1), size, mode="area").unflatten(
            0, inverse_depth.shape[:2]
        )
        for size in sizes
    ]
    # Evaluate the objective.
    logits = [_explaining_logits(count, length - 1, size) for size in sizes]
    terms = objective(_unlabelled(snippets), Predictions(maps, frame_from_target, logits), weights)
    return {name: float(value) for name, value in terms.items()}


def _map_sizes(config: TrainConfig, size: torch.Size) -> list[tuple[int, int]]:
    """Returns the rows and columns of the inverse depth maps, finest first."""
    first = len(config.model.depth.encoder_widths) - len(config.model.depth.decoder_widths)
    return [
        (size[0] >> level, size[1] >> level)
        for level in range(first, first + config.objective.scales)
    ]


def _explaining_logits(count: int, sources: int, size: tuple[int, int]) -> Tensor:
    """Returns mask logits (B, S, 2, h, w) that explain every pixel."""
    unexplainable = torch.zeros(count, sources, *size)
    return torch.stack([unexplainable, torch.full_like(unexplainable, EXPLAINED_LOG_ODDS)], dim=2)


def _unlabelled(snippets: KnownSnippets) -> Batch:
    """Returns the snippets as a batch without true depth and motion."""
    count, _, _, height, width = snippets.frames.shape
    zeros = torch.zeros(count, 1, height, width)
    unknown = torch.zeros(count, dtype=torch.bool)
    return Batch(
        frames=snippets.frames,
        intrinsics=snippets.intrinsics,
        camera=torch.zeros(count, dtype=torch.int64),
        depth=zeros,
        moving=zeros,
        camera_from_frame=snippets.target_from_frame,
        has_depth=unknown,
        has_motion=unknown,
    )
