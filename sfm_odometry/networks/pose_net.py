"""Pose and explainability network: a snippet of frames to motions and one mask a source view."""

from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn

from sfm_odometry.networks import blocks
from sfm_odometry.networks.blocks import init_xavier, match_size
from sfm_odometry.networks.convolutions import Head
from sfm_odometry.networks.motion_network import FrameCache, MotionNetwork, Stages, target_of
from sfm_odometry.networks.stage import Stage


@dataclass(frozen=True)
class PoseNetConfig:
    """Widths of :class:`PoseNet`; the defaults are the paper's PoseExpNet with 4 sources.

    That has 2,660,232 parameters with masks.
    """

    image_channels: int = 3
    frames: int = 5
    """Frames of a snippet; the middle one is the target view, the others are the sources."""
    encoder_widths: tuple[int, ...] = (16, 32, 64, 128, 256)
    encoder_kernels: tuple[int, ...] = (7, 5, 3, 3, 3)
    pose_widths: tuple[int, ...] = (256, 256)
    motion: Literal["star", "chain"] = "star"
    """star: each vector is source_from_target (Zhou et al.); chain: each is
    previous_from_current of two neighbours (Mahjourian et al.)."""
    translation_gain: float = 0.01
    rotation_gain: float = 0.01
    masks: bool = True
    mask_widths: tuple[int, ...] = (256, 128, 64, 32, 16)
    mask_kernels: tuple[int, ...] = (3, 3, 3, 5, 7)
    mask_scales: int = 4
    batch_norm: bool = False
    """Batch normalisation in every layer but the last of each branch, as the paper describes;
    its released code has none."""
    kind: Literal["stacked"] = "stacked"


class PoseNet(MotionNetwork[list[Tensor]]):
    """PoseExpNet: a shared encoder, a pose branch and a mask branch.

    Zhou et al., CVPR 2017, section 3.4 and figure 4b. The input is the target and then the
    sources, concatenated on channels. Six numbers for each motion: translation, then Euler angles
    in radians.
    """

    def __init__(self, config: PoseNetConfig) -> None:
        super().__init__(config)
        self.config: PoseNetConfig = config
        conv, upconv = (
            partial(layer, batch_norm=config.batch_norm) for layer in (blocks.conv, blocks.upconv)
        )
        # Shared encoder.
        inputs = (config.image_channels * config.frames, *config.encoder_widths[:-1])
        self.encoder = nn.ModuleList(
            conv(before, width, kernel, stride=2)
            for before, width, kernel in zip(
                inputs, config.encoder_widths, config.encoder_kernels, strict=True
            )
        )
        # Pose branch.
        pose_inputs = (config.encoder_widths[-1], *config.pose_widths[:-1])
        self.pose = nn.Sequential(
            *(
                conv(before, width, stride=2)
                for before, width in zip(pose_inputs, config.pose_widths, strict=True)
            ),
            nn.Conv2d(config.pose_widths[-1], 6 * self.sources, 1),
        )
        # Mask branch, with heads at the finest scales.
        if config.masks:
            mask_inputs = (config.encoder_widths[-1], *config.mask_widths[:-1])
            self.mask_up = nn.ModuleList(
                upconv(before, width, kernel)
                for before, width, kernel in zip(
                    mask_inputs, config.mask_widths, config.mask_kernels, strict=True
                )
            )
            finest = list(zip(config.mask_widths, config.mask_kernels, strict=True))[
                -config.mask_scales :
            ]
            self.mask_heads = nn.ModuleList(
                Head(width, 2 * self.sources, kernel, padding=kernel // 2)
                for width, kernel in finest
            )
        init_xavier(self)

    def encode(self, frames: Tensor) -> list[Tensor]:
        """Features from the input to the coarsest scale."""
        target = target_of(self.config.frames)
        order = [target, *(index for index in range(self.config.frames) if index != target)]
        features = [torch.cat([frames[:, index] for index in order], dim=1)]
        for layer in self.encoder:
            features.append(layer(features[-1]))
        return features

    def raw_vectors(self, features: list[Tensor]) -> Tensor:
        """Outputs of the pose branch (B, N - 1, 6), averaged over the image."""
        return self.pose(features[-1]).float().mean(dim=(2, 3)).unflatten(-1, (self.sources, 6))

    def mask_logits(self, features: list[Tensor], finest_only: bool = False) -> list[Tensor]:
        """Outputs of the mask branch (B, N - 1, 2, h, w), finest scale first."""
        x = features[-1]
        logits = []
        for stage, up in enumerate(self.mask_up):
            x = match_size(up(x), features[-2 - stage])
            head = stage - (len(self.mask_up) - len(self.mask_heads))
            if head == len(self.mask_heads) - 1 or (head >= 0 and not finest_only):
                logits.append(self.mask_heads[head](x).float().unflatten(1, (self.sources, 2)))
        return logits[::-1]

    def stages(self) -> dict[str, Stage]:
        """Stage of a snippet's features and vectors, and stage of its mask."""
        masks = {"mask": _Mask(self)} if self.config.masks else {}
        return {"snippet": _Snippet(self), **masks}

    def slide(
        self, stages: Stages, frames: list[Tensor], caches: list[FrameCache], with_mask: bool
    ) -> tuple[Tensor, Tensor | None]:
        """Vectors and mask of a window; frames are stacked, so the caches stay empty."""
        vectors, *features = stages["snippet"](torch.stack(frames, dim=1))
        return vectors, stages["mask"](*features) if with_mask and self.config.masks else None


class _Snippet(Stage[PoseNet]):
    """Maps frames (1, N, C, H, W) to vectors (1, N - 1, 6) and features.

    The features are those from the input to the coarsest scale.
    """

    def forward(self, frames: Tensor) -> tuple[Tensor, ...]:
        features = self.network.encode(frames)
        return self.network.vectors(features), *features


class _Mask(Stage[PoseNet]):
    """Maps features, input to coarsest, to the explainability of the target (1, 1, h, w)."""

    allows_half = True

    def forward(self, *features: Tensor) -> Tensor:
        return self.network.explainability(list(features))
