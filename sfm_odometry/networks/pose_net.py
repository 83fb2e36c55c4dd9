"""The pose and explainability network: a snippet of frames to the motions between them and to
one mask a source view."""

from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn

from sfm_odometry.networks import blocks
from sfm_odometry.networks.blocks import init_xavier, match_size
from sfm_odometry.networks.convolutions import Head
from sfm_odometry.networks.motion_network import Memory, MotionNetwork, Run, target_of
from sfm_odometry.networks.stage import Stage


@dataclass(frozen=True)
class PoseNetConfig:
    """Widths of :class:`PoseNet`; the defaults are the paper's PoseExpNet with 4 sources
    (2,660,232 parameters with masks)."""

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
    """PoseExpNet (Zhou et al., CVPR 2017, section 3.4 and figure 4b): shared encoder, a pose
    branch, a mask branch.

    The input is the target and then the sources, concatenated on channels. Six numbers a motion:
    translation, then Euler angles in radians.
    """

    def __init__(self, config: PoseNetConfig) -> None:
        super().__init__(config)
        self.config: PoseNetConfig = config
        inputs = (config.image_channels * config.frames, *config.encoder_widths[:-1])
        conv, upconv = (
            partial(layer, batch_norm=config.batch_norm) for layer in (blocks.conv, blocks.upconv)
        )
        self.encoder = nn.ModuleList(
            conv(before, width, kernel, stride=2)
            for before, width, kernel in zip(
                inputs, config.encoder_widths, config.encoder_kernels, strict=True
            )
        )
        pose_inputs = (config.encoder_widths[-1], *config.pose_widths[:-1])
        self.pose = nn.Sequential(
            *(
                conv(before, width, stride=2)
                for before, width in zip(pose_inputs, config.pose_widths, strict=True)
            ),
            nn.Conv2d(config.pose_widths[-1], 6 * self.sources, 1),
        )
        if config.masks:
            mask_inputs = (config.encoder_widths[-1], *config.mask_widths[:-1])
            self.mask_up = nn.ModuleList(
                upconv(before, width, kernel)
                for before, width, kernel in zip(
                    mask_inputs, config.mask_widths, config.mask_kernels, strict=True
                )
            )
            headed = list(zip(config.mask_widths, config.mask_kernels, strict=True))[
                -config.mask_scales :
            ]
            self.mask_heads = nn.ModuleList(
                Head(width, 2 * self.sources, kernel, padding=kernel // 2)
                for width, kernel in headed
            )
        init_xavier(self)

    def encode(self, frames: Tensor) -> list[Tensor]:
        """Features from the input to the coarsest."""
        target = target_of(self.config.frames)
        order = [target, *(index for index in range(self.config.frames) if index != target)]
        features = [torch.cat([frames[:, index] for index in order], dim=1)]
        for layer in self.encoder:
            features.append(layer(features[-1]))
        return features

    def raw_vectors(self, features: list[Tensor]) -> Tensor:
        """The pose branch, averaged over the image."""
        return self.pose(features[-1]).float().mean(dim=(2, 3)).unflatten(-1, (self.sources, 6))

    def mask_logits(self, features: list[Tensor], finest_only: bool = False) -> list[Tensor]:
        """The mask branch, from the coarsest features up."""
        x, logits = features[-1], []
        for stage, up in enumerate(self.mask_up):
            x = match_size(up(x), features[-2 - stage])
            head = stage - (len(self.mask_up) - len(self.mask_heads))
            if head == len(self.mask_heads) - 1 or (head >= 0 and not finest_only):
                logits.append(self.mask_heads[head](x).float().unflatten(1, (self.sources, 2)))
        return logits[::-1]

    def parts(self) -> dict[str, Stage]:
        """The features and vectors of a snippet, and its mask."""
        return {"snippet": _Snippet(self), **({"mask": _Mask(self)} if self.config.masks else {})}

    def slide(
        self, run: Run, frames: list[Tensor], memories: list[Memory], with_mask: bool
    ) -> tuple[Tensor, Tensor | None]:
        """Frames are seen stacked: nothing of one window serves the next."""
        vectors, *features = run["snippet"](torch.stack(frames, dim=1))
        return vectors, run["mask"](*features) if with_mask and self.config.masks else None


class _Snippet(Stage[PoseNet]):
    """Frames (1, N, C, H, W) to vectors (1, N - 1, 6), and to features from the input to the
    coarsest."""

    def forward(self, frames: Tensor) -> tuple[Tensor, ...]:
        features = self.network.encode(frames)
        return self.network.vectors(features), *features


class _Mask(Stage[PoseNet]):
    """Features from the input to the coarsest to how explainable the target is (1, 1, h, w)."""

    allows_half = True

    def forward(self, *features: Tensor) -> Tensor:
        return self.network.explainable(list(features))
