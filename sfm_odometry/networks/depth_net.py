"""The depth network: one image to inverse depth at several scales."""

import math
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sfm_odometry.errors import InputError
from sfm_odometry.networks import blocks
from sfm_odometry.networks.blocks import init_xavier, match_size
from sfm_odometry.networks.convolutions import Head
from sfm_odometry.networks.stage import Stage


@dataclass(frozen=True)
class DepthNetConfig:
    """Widths of :class:`DepthNet`; the defaults are the paper's DispNet (31,596,900 parameters)."""

    image_channels: int = 3
    encoder_widths: tuple[int, ...] = (32, 64, 128, 256, 512, 512, 512)
    encoder_kernels: tuple[int, ...] = (7, 5, 3, 3, 3, 3, 3)
    decoder_widths: tuple[int, ...] = (512, 512, 256, 128, 64, 32, 16)
    """From the coarsest stage on, each twice as fine; as many stages as encoder pairs end at
    full size, one fewer at half."""
    scales: int = 4
    """Number of finest decoder stages that predict inverse depth."""
    inverse_depth_gain: float = 10.0
    inverse_depth_offset: float = 0.01
    batch_norm: bool = False
    """Batch normalisation in every layer but the heads, as the paper describes; its released
    code has none."""


class DepthNet(nn.Module):
    """DispNet with multi-scale side predictions.

    Mayer et al. 2016; Zhou et al., CVPR 2017, section 3.4 and figure 4a. Encoder: pairs of
    convolutions, stride 2 then 1. Decoder: transposed convolutions, skip connections, and, from the
    second predicting stage on, the coarser prediction, enlarged. inverse depth = gain * sigmoid(x)
    + offset.
    """

    def __init__(self, config: DepthNetConfig) -> None:
        super().__init__()
        self.config = config
        widths = config.encoder_widths
        conv, upconv = (
            partial(layer, batch_norm=config.batch_norm) for layer in (blocks.conv, blocks.upconv)
        )
        # Encoder: each pair of convolutions halves the size.
        inputs = (config.image_channels, *widths[:-1])
        self.encoder = nn.ModuleList(
            nn.Sequential(conv(before, width, kernel, stride=2), conv(width, width, kernel))
            for before, width, kernel in zip(inputs, widths, config.encoder_kernels, strict=True)
        )
        # Decoder: enlarge, then merge with the skip connection and the coarser prediction.
        stages = len(config.decoder_widths)
        first_head = stages - config.scales
        decoder_inputs = (widths[-1], *config.decoder_widths[:-1])
        skips = (*reversed(widths[:-1]), 0)[:stages]
        coarser = [1 if stage > first_head else 0 for stage in range(stages)]
        self.up = nn.ModuleList(
            upconv(before, width)
            for before, width in zip(decoder_inputs, config.decoder_widths, strict=True)
        )
        self.merge = nn.ModuleList(
            conv(width + skip + extra, width)
            for width, skip, extra in zip(config.decoder_widths, skips, coarser, strict=True)
        )
        # Heads: inverse depth of the finest stages.
        self.heads = nn.ModuleList(
            Head(width, 1, 3, padding=1) for width in config.decoder_widths[first_head:]
        )
        init_xavier(self)

    def set_inverse_depth_start(self, start: float) -> None:
        """Sets the biases of the heads so that all scales begin near inverse depth `start`.

        A head's convolution is close to zero for a fresh network, so its bias decides: gain *
        sigmoid(bias) + offset = start. Raises InputError outside the range of the heads.
        """
        gain = self.config.inverse_depth_gain
        offset = self.config.inverse_depth_offset
        share = (start - offset) / gain
        if not 0 < share < 1:
            raise InputError(
                f"setting 'inverse_depth_start' must lie between {offset:g} and {offset + gain:g}, "
                f"got {start:g}"
            )
        for head in self.heads:
            assert isinstance(head, Head) and head.bias is not None
            nn.init.constant_(head.bias, math.log(share / (1 - share)))

    def forward(self, image: Tensor) -> list[Tensor]:
        """Inverse depth of a normalised image (B, C, H, W) of any size, finest scale first.

        Each is (B, 1, h, w), float32, half as fine as the one before.
        """
        features = [image]
        for pair in self.encoder:
            features.append(pair(features[-1]))
        return self._decode(features)

    def _decode(self, features: list[Tensor]) -> list[Tensor]:
        first_head = len(self.up) - len(self.heads)
        x = features[-1]
        predictions: list[Tensor] = []
        for stage, (up, merge) in enumerate(zip(self.up, self.merge, strict=True)):
            skip = features[-2 - stage]
            x = match_size(up(x), skip)
            # At full size the skip connection would be the image itself.
            inputs = [x] if skip is features[0] else [x, skip]
            if stage > first_head:
                coarser = F.interpolate(
                    predictions[-1], size=x.shape[-2:], mode="bilinear", align_corners=False
                )
                # One channel fits every memory format; marked as channels-last, it makes the result
                # of cat channels-last, too.
                inputs.append(coarser.to(x.dtype, memory_format=torch.channels_last))
            x = merge(torch.cat(inputs, dim=1))
            if stage >= first_head:
                predictions.append(inverse_depth(self.heads[stage - first_head](x), self.config))
        return predictions[::-1]


def inverse_depth(logits: Tensor, config: DepthNetConfig) -> Tensor:
    """Inverse depth, float32, of a head's output of any shape."""
    # float32 in any precision of the layers: one bfloat16 step of inverse depth would move the
    # geometry by pixels.
    return config.inverse_depth_gain * torch.sigmoid(logits.float()) + config.inverse_depth_offset


class FinestDepth(Stage[DepthNet]):
    """Maps a normalised image (1, C, H, W) to its finest inverse depth (1, 1, h, w)."""

    allows_half = True

    def forward(self, image: Tensor) -> Tensor:
        return self.network(image)[0]
