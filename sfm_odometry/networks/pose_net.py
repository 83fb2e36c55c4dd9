"""The pose and explainability network: a snippet of frames to the motions between them and to one mask a source view."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from sfm_odometry.geometry import invert_transform, transform_from_vector
from sfm_odometry.networks.blocks import conv, init_weights, match_size, upconv


@dataclass(frozen=True)
class PoseNetConfig:
    """Widths of :class:`PoseNet`; the defaults are the paper's PoseExpNet with 4 sources (2,660,232 parameters with masks)."""

    image_channels: int = 3
    frames: int = 5
    """Frames of a snippet; the middle one is the target view, the others are the sources."""
    encoder_widths: tuple[int, ...] = (16, 32, 64, 128, 256)
    encoder_kernels: tuple[int, ...] = (7, 5, 3, 3, 3)
    pose_widths: tuple[int, ...] = (256, 256)
    motion: Literal["star", "chain"] = "star"
    """star: each vector is source_from_target (Zhou et al.); chain: each is previous_from_current of two neighbours (Mahjourian et al.)."""
    translation_gain: float = 0.01
    rotation_gain: float = 0.01
    masks: bool = True
    mask_widths: tuple[int, ...] = (256, 128, 64, 32, 16)
    mask_kernels: tuple[int, ...] = (3, 3, 3, 5, 7)
    mask_scales: int = 4

    @property
    def target(self) -> int:
        """Index of the target view within the snippet."""
        return self.frames // 2


class PoseNet(nn.Module):
    """PoseExpNet (Zhou et al., CVPR 2017, section 3.4 and figure 4b): shared encoder, a pose branch, a mask branch.

    The input is the target and then the sources, concatenated on channels. Six numbers a motion: translation, then Euler angles in radians.
    """

    def __init__(self, config: PoseNetConfig) -> None:
        super().__init__()
        self.config = config
        self.sources = config.frames - 1
        inputs = (config.image_channels * config.frames, *config.encoder_widths[:-1])
        self.encoder = nn.ModuleList(
            conv(before, width, kernel, stride=2)
            for before, width, kernel in zip(inputs, config.encoder_widths, config.encoder_kernels, strict=True)
        )
        pose_inputs = (config.encoder_widths[-1], *config.pose_widths[:-1])
        last = nn.Conv2d(config.pose_widths[-1], 6 * self.sources, 1)
        self.pose = nn.Sequential(
            *(conv(before, width, stride=2) for before, width in zip(pose_inputs, config.pose_widths, strict=True)),
            last,
        )
        if config.masks:
            mask_inputs = (config.encoder_widths[-1], *config.mask_widths[:-1])
            self.mask_up = nn.ModuleList(
                upconv(before, width, kernel)
                for before, width, kernel in zip(mask_inputs, config.mask_widths, config.mask_kernels, strict=True)
            )
            headed = list(zip(config.mask_widths, config.mask_kernels, strict=True))[-config.mask_scales :]
            self.mask_heads = nn.ModuleList(nn.Conv2d(width, 2 * self.sources, kernel, padding=kernel // 2) for width, kernel in headed)
        init_weights(self)
        with torch.no_grad():  # the first motions are small, so that the first views still overlap
            last.weight.mul_(0.1)

    def encode(self, frames: Tensor) -> list[Tensor]:
        """Features of normalised snippets (B, N, C, H, W) in order of time, from the input to the coarsest."""
        target = self.config.target
        order = [target, *(index for index in range(self.config.frames) if index != target)]
        features = [frames[:, order].flatten(1, 2)]
        for layer in self.encoder:
            features.append(layer(features[-1]))
        return features

    def vectors(self, features: list[Tensor]) -> Tensor:
        """Six numbers a motion (B, N - 1, 6): tx ty tz rx ry rz, float32."""
        raw = self.pose(features[-1]).float().mean(dim=(2, 3)).unflatten(-1, (self.sources, 6))
        gain = raw.new_tensor([self.config.translation_gain] * 3 + [self.config.rotation_gain] * 3)
        return raw * gain

    def source_from_target(self, vectors: Tensor) -> Tensor:
        """Motions (B, N - 1, 4, 4) that map target-camera points into each source camera, sources in order of time, from `vectors`."""
        motions = transform_from_vector(vectors)
        return motions if self.config.motion == "star" else chain_to_star(motions)

    def mask_logits(self, features: list[Tensor]) -> list[Tensor]:
        """Logits (B, N - 1, 2, h, w), finest first: channel 0 unexplainable, channel 1 explainable, softmax over the two."""
        x, logits = features[-1], []
        for stage, up in enumerate(self.mask_up):
            x = match_size(up(x), features[-2 - stage])
            head = stage - (len(self.mask_up) - len(self.mask_heads))
            if head >= 0:
                logits.append(self.mask_heads[head](x).float().unflatten(1, (self.sources, 2)))
        return logits[::-1]

    def forward(self, frames: Tensor, with_masks: bool = True) -> tuple[Tensor, list[Tensor]]:
        """source_from_target (B, N - 1, 4, 4) and mask logits, finest first, of normalised snippets (B, N, C, H, W).

        The logits are empty where the network has no masks or none are wanted.
        """
        features = self.encode(frames)
        logits = self.mask_logits(features) if self.config.masks and with_masks else []
        return self.source_from_target(self.vectors(features)), logits


def chain_to_star(previous_from_current: Tensor) -> Tensor:
    """source_from_target (B, N - 1, 4, 4) from the motions of neighbours (B, N - 1, 4, 4), target in the middle of N frames.

    Entry i of the input maps frame i + 1 into frame i.
    """
    frames = previous_from_current.shape[1] + 1
    target = frames // 2
    motions: dict[int, Tensor] = {}
    step = None
    for source in range(target - 1, -1, -1):
        link = previous_from_current[:, source]
        step = link if step is None else link @ step
        motions[source] = step
    step = None
    for source in range(target + 1, frames):
        link = invert_transform(previous_from_current[:, source - 1])
        step = link if step is None else link @ step
        motions[source] = step
    return torch.stack([motions[source] for source in sorted(motions)], dim=1)


def star_to_chain(source_from_target: Tensor) -> Tensor:
    """previous_from_current (B, N - 1, 4, 4) of neighbours from source_from_target: the inverse of :func:`chain_to_star`."""
    target = (source_from_target.shape[1] + 1) // 2
    identity = torch.eye(4, dtype=source_from_target.dtype, device=source_from_target.device).expand_as(source_from_target[:, :1])
    frame_from_target = torch.cat([source_from_target[:, :target], identity, source_from_target[:, target:]], dim=1)
    return frame_from_target[:, :-1] @ invert_transform(frame_from_target[:, 1:])
