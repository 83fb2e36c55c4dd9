"""SfMLearner's training step as it is usually written: float32, scales and source views in loops.

Shares nothing with the code that trains, because the comparison would move along with it otherwise.
The objective is the same.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def _conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    """Returns a convolution with ReLU, padded to keep the size at stride 1."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, (kernel - 1) // 2), nn.ReLU(inplace=True)
    )


def _upconv(inputs: int, outputs: int, kernel: int = 3) -> nn.Sequential:
    """Returns a transposed convolution with ReLU that doubles the size."""
    return nn.Sequential(
        nn.ConvTranspose2d(
            inputs, outputs, kernel, stride=2, padding=(kernel - 1) // 2, output_padding=1
        ),
        nn.ReLU(inplace=True),
    )


def _divided(widths: tuple[int, ...], narrowing: int) -> tuple[int, ...]:
    return tuple(width // narrowing for width in widths)


class PlainDispNet(nn.Module):
    """DispNet of the paper.

    Its parameters are in the order of :class:`sfm_odometry.networks.depth_net.DepthNet`.
    """

    def __init__(self, narrowing: int = 1) -> None:
        """narrowing: divides the widths of all layers, for a quick trial."""
        super().__init__()
        widths = (3, *_divided((32, 64, 128, 256, 512, 512, 512), narrowing))
        up_widths = _divided((512, 512, 512, 256, 128, 64, 32, 16), narrowing)
        kernels = (7, 5, 3, 3, 3, 3, 3)
        # The last three skip connections have a coarser prediction, the last one nothing else.
        skip_widths = (*widths[6:2:-1], widths[2] + 1, widths[1] + 1, 1)
        self.down = nn.ModuleList(
            nn.Sequential(
                _conv(widths[i], widths[i + 1], kernels[i], 2),
                _conv(widths[i + 1], widths[i + 1], kernels[i]),
            )
            for i in range(7)
        )
        self.up = nn.ModuleList(_upconv(up_widths[i], up_widths[i + 1]) for i in range(7))
        self.merge = nn.ModuleList(
            _conv(up_widths[i + 1] + skip_widths[i], up_widths[i + 1]) for i in range(7)
        )
        self.predict = nn.ModuleList(nn.Conv2d(width, 1, 3, padding=1) for width in up_widths[4:])

    def forward(self, image: Tensor) -> list[Tensor]:
        """Returns inverse depths by scale, finest first, each (B, 1, h, w).

        image: (B, 3, H, W) in [-1, 1].
        """
        # Encoder.
        features = [image]
        for layer in self.down:
            features.append(layer(features[-1]))

        # Decoder with skip connections; the last four layers predict.
        x = features[-1]
        predictions: list[Tensor] = []
        for i in range(7):
            skip = features[6 - i]
            x = self.up[i](x)[:, :, : skip.size(2), : skip.size(3)]
            parts = [x, skip] if i < 6 else [x]
            if predictions:
                parts.append(
                    F.interpolate(
                        predictions[-1], size=x.shape[2:], mode="bilinear", align_corners=False
                    )
                )
            x = self.merge[i](torch.cat(parts, 1))
            if i >= 3:
                predictions.append(10 * torch.sigmoid(self.predict[i - 3](x)) + 0.01)
        return predictions[::-1]


class PlainPoseExpNet(nn.Module):
    """PoseExpNet of the paper.

    Its parameters are in the order of :class:`sfm_odometry.networks.pose_net.PoseNet`.
    """

    def __init__(self, frames: int, narrowing: int = 1) -> None:
        """narrowing: divides the widths of all layers, for a quick trial."""
        super().__init__()
        self.sources = frames - 1
        widths = (3 * frames, *_divided((16, 32, 64, 128, 256), narrowing))
        up_widths = _divided((256, 256, 128, 64, 32, 16), narrowing)
        kernels = (7, 5, 3, 3, 3)
        coarsest = widths[-1]
        up_kernels = (3, 3, 3, 5, 7)
        self.down = nn.ModuleList(_conv(widths[i], widths[i + 1], kernels[i], 2) for i in range(5))
        self.pose = nn.Sequential(
            _conv(coarsest, coarsest, 3, 2),
            _conv(coarsest, coarsest, 3, 2),
            nn.Conv2d(coarsest, 6 * self.sources, 1),
        )
        self.up = nn.ModuleList(
            _upconv(up_widths[i], up_widths[i + 1], up_kernels[i]) for i in range(5)
        )
        self.masks = nn.ModuleList(
            nn.Conv2d(
                up_widths[i + 1],
                2 * self.sources,
                up_kernels[i],
                padding=(up_kernels[i] - 1) // 2,
            )
            for i in range(1, 5)
        )

    def forward(self, target: Tensor, sources: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Returns motion vectors (B, S, 6), and mask logits by scale, finest first, (B, 2 S, h, w).

        target and sources: (B, 3, H, W) in [-1, 1].
        """
        features = [torch.cat([target, *sources], 1)]
        for layer in self.down:
            features.append(layer(features[-1]))
        pose = 0.01 * self.pose(features[-1]).mean(3).mean(2).view(-1, self.sources, 6)
        x = features[-1]
        logits = []
        for i in range(5):
            x = self.up[i](x)[:, :, : features[4 - i].size(2), : features[4 - i].size(3)]
            if i >= 1:
                logits.append(self.masks[i - 1](x))
        return pose, logits[::-1]


def plain_loss(
    target: Tensor,
    sources: list[Tensor],
    intrinsics: Tensor,
    inverse_depths: list[Tensor],
    pose: Tensor,
    logits: list[Tensor],
    weights: dict[str, float],
) -> Tensor:
    """Returns the objective of `config/training/sfmlearner.yaml`.

    target, sources: (B, 3, H, W) in [0, 1]; intrinsics: (B, 3, 3); inverse_depths and logits: by
    scale, finest first; pose: (B, S, 6). weights: of photometric, explainability and smoothness.
    """
    loss = torch.zeros((), device=target.device)
    for scale, inverse_depth in enumerate(inverse_depths):
        # Reduce the target view and the intrinsics to this scale.
        height, width = inverse_depth.shape[2:]
        scaled_target = F.interpolate(target, (height, width), mode="area")
        factors = (width / target.size(3), height / target.size(2))
        scaled_intrinsics = _scaled_intrinsics(intrinsics, *factors)

        # Compare with each source view, weighted by its explainability mask.
        errors = torch.zeros(target.size(0), device=target.device)
        counts = torch.zeros(target.size(0), device=target.device)
        for i, source in enumerate(sources):
            scaled_source = F.interpolate(source, (height, width), mode="area")
            depth = 1 / inverse_depth[:, 0]
            warped, valid = _inverse_warp(scaled_source, depth, pose[:, i], scaled_intrinsics)
            pair = logits[scale][:, 2 * i : 2 * i + 2]
            errors = errors + _masked_error(scaled_target, warped, valid, pair)
            counts = counts + valid.float().sum((1, 2))
            ones = torch.ones_like(pair[:, 0], dtype=torch.long)
            loss = loss + weights["explainability"] * F.cross_entropy(pair, ones)

        # Mean photometric error, and smoothness.
        mean_error = (errors / counts.clamp(min=1e-6)).mean()
        loss = loss + weights["photometric"] * len(sources) * mean_error
        loss = loss + weights["smoothness"] / 2**scale * _smooth_loss(inverse_depth)
    return loss


def _masked_error(target: Tensor, warped: Tensor, valid: Tensor, logits: Tensor) -> Tensor:
    """Returns the sum (B,) of the L1 errors of valid pixels, weighted by explainability.

    target, warped: (B, 3, h, w); valid: (B, h, w); logits: (B, 2, h, w) of the mask.
    """
    explained = torch.softmax(logits, 1)[:, 1:]
    difference = (target - warped) * valid.unsqueeze(1).float() * explained
    return difference.abs().mean(1).sum((1, 2))


def _scaled_intrinsics(intrinsics: Tensor, scale_x: float, scale_y: float) -> Tensor:
    """Returns intrinsics (B, 3, 3) of an image resized by these factors."""
    scaled = intrinsics.clone()
    scaled[:, 0] *= scale_x
    scaled[:, 1] *= scale_y
    scaled[:, 0, 2] += 0.5 * scale_x - 0.5
    scaled[:, 1, 2] += 0.5 * scale_y - 0.5
    return scaled


def _inverse_warp(
    image: Tensor, depth: Tensor, pose: Tensor, intrinsics: Tensor
) -> tuple[Tensor, Tensor]:
    """Returns the target view (B, 3, h, w) sampled from the source, and its validity (B, h, w).

    image: the source (B, 3, h, w); depth: of the target (B, h, w); pose: source from target (B, 6);
    intrinsics: (B, 3, 3).
    """
    # Back-project the target's pixels.
    b, h, w = depth.size()
    rows = torch.arange(0, h, device=depth.device).view(1, h, 1).expand(1, h, w).type_as(depth)
    columns = torch.arange(0, w, device=depth.device).view(1, 1, w).expand(1, h, w).type_as(depth)
    pixels = (
        torch.stack((columns, rows, torch.ones_like(rows)), dim=1)
        .expand(b, 3, h, w)
        .reshape(b, 3, -1)
    )
    points = (intrinsics.inverse() @ pixels).reshape(b, 3, h, w) * depth.unsqueeze(1)

    # Project them into the source.
    projection = intrinsics @ torch.cat(
        [_euler_to_matrix(pose[:, 3:]), pose[:, :3].unsqueeze(-1)], dim=2
    )
    projected = projection[:, :, :3] @ points.reshape(b, 3, -1) + projection[:, :, 3:]
    x, y, z = projected[:, 0], projected[:, 1], projected[:, 2].clamp(min=1e-3)

    # Sample there, where that is inside the source and in front of it.
    grid = torch.stack([2 * (x / z) / (w - 1) - 1, 2 * (y / z) / (h - 1) - 1], dim=2).reshape(
        b, h, w, 2
    )
    valid = (grid.abs().max(dim=-1)[0] <= 1) & (projected[:, 2].reshape(b, h, w) > 1e-3)
    return F.grid_sample(image, grid, padding_mode="zeros", align_corners=True), valid


def _euler_to_matrix(angles: Tensor) -> Tensor:
    """Returns rotation matrices (B, 3, 3) of angles (B, 3) about x, y and z: R_x R_y R_z."""
    b = angles.size(0)
    x, y, z = angles.unbind(dim=1)
    zeros = torch.zeros_like(z)
    ones = torch.ones_like(z)
    about_z = torch.stack(
        [z.cos(), -z.sin(), zeros, z.sin(), z.cos(), zeros, zeros, zeros, ones], dim=1
    ).reshape(b, 3, 3)
    about_y = torch.stack(
        [y.cos(), zeros, y.sin(), zeros, ones, zeros, -y.sin(), zeros, y.cos()], dim=1
    ).reshape(b, 3, 3)
    about_x = torch.stack(
        [ones, zeros, zeros, zeros, x.cos(), -x.sin(), zeros, x.sin(), x.cos()], dim=1
    ).reshape(b, 3, 3)
    return about_x @ about_y @ about_z


def _smooth_loss(prediction: Tensor) -> Tensor:
    """Returns the mean absolute second derivatives of maps (B, 1, h, w)."""

    def gradient(values: Tensor) -> tuple[Tensor, Tensor]:
        return values[:, :, :, 1:] - values[:, :, :, :-1], values[:, :, 1:] - values[:, :, :-1]

    dx, dy = gradient(prediction)
    dx2, dxdy = gradient(dx)
    dydx, dy2 = gradient(dy)
    return dx2.abs().mean() + dxdy.abs().mean() + dydx.abs().mean() + dy2.abs().mean()
