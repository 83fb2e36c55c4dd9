"""Augmentation on the device, exact in geometry: images, intrinsics, depth and motion change
together."""

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from training.data.batch import Batch


@dataclass(frozen=True)
class SnippetRandom:
    """Random numbers for the snippets of a batch, on the generator's device.

    Where `ranks` processes share a batch, each draws for all of it and takes its own part: what a
    snippet meets does not depend on how many processes there are.
    """

    generator: torch.Generator
    rank: int = 0
    ranks: int = 1

    def uniform(self, count: int, *shape: int) -> Tensor:
        """(count, *shape) numbers in [0, 1) for this process's `count` snippets."""
        return self._own(
            torch.rand(
                self.ranks * count, *shape, device=self.generator.device, generator=self.generator
            )
        )

    def normal(self, count: int, *shape: int) -> Tensor:
        """(count, *shape) normal numbers for this process's `count` snippets."""
        return self._own(
            torch.randn(
                self.ranks * count, *shape, device=self.generator.device, generator=self.generator
            )
        )

    def _own(self, numbers: Tensor) -> Tensor:
        return numbers.chunk(self.ranks)[self.rank]


@dataclass(frozen=True)
class AugmentConfig:
    """What is varied, and how much."""

    max_zoom: float = 1.15
    """Images are enlarged by 1 to this factor and cut back to size (SfMLearner)."""
    flip: bool = True
    """Mirror left to right, half of the time."""
    reverse: bool = False
    """Play a snippet backwards, half of the time."""
    brightness: float = 0.0
    contrast: float = 0.0
    gamma: float = 0.0
    """Colour is varied on the networks' input alone, never on the images of the loss: factors of
    1 +- this, one draw a snippet."""
    noise: float = 0.0
    """Standard deviation, up to this, of noise on the networks' input."""


def augment(batch: Batch, config: AugmentConfig, random: SnippetRandom) -> Batch:
    """A batch, already on the device of `random`, with its geometry varied."""
    batch = _zoom_and_flip(batch, config, random)
    return _reverse(batch, random) if config.reverse else batch


def vary_colour(frames: Tensor, config: AugmentConfig, random: SnippetRandom) -> Tensor:
    """Frames (B, N, C, H, W) in [0, 1] with brightness, contrast, gamma and noise varied, alike
    within a snippet but for the noise."""
    count = frames.shape[0]
    if config.gamma:
        frames = frames.clamp_min(1e-4) ** _factors(count, config.gamma, random)
    if config.contrast:
        mean = frames.mean(dim=(1, 2, 3, 4), keepdim=True)
        frames = (frames - mean) * _factors(count, config.contrast, random) + mean
    if config.brightness:
        frames = frames * _factors(count, config.brightness, random)
    if config.noise:
        sigma = random.uniform(count, 1, 1, 1, 1) * config.noise
        frames = frames + sigma * random.normal(*frames.shape)
    return frames.clamp(0, 1)


def _factors(count: int, spread: float, random: SnippetRandom) -> Tensor:
    return 1 + spread * (2 * random.uniform(count, 1, 1, 1, 1) - 1)


def _zoom_and_flip(batch: Batch, config: AugmentConfig, random: SnippetRandom) -> Batch:
    """One resampling: u_in = u_out / zoom + offset, mirrored first where flipped."""
    count, frames, _, height, width = batch.frames.shape
    draws = random.uniform(count, 4).T
    zoom = 1 + (config.max_zoom - 1) * draws[0]
    offset_x = draws[1] * (width - 1) * (1 - 1 / zoom)
    offset_y = draws[2] * (height - 1) * (1 - 1 / zoom)
    mirrored = (draws[3] < 0.5) & config.flip
    grid = _sampling_grid(zoom, offset_x, offset_y, mirrored, height, width)
    resampled = F.grid_sample(
        batch.frames.flatten(0, 1),
        grid.repeat_interleave(frames, dim=0),
        "bilinear",
        "border",
        align_corners=True,
    )
    truth = F.grid_sample(
        torch.cat([batch.depth, batch.moving], dim=1), grid, "nearest", "border", align_corners=True
    )
    return replace(
        batch,
        frames=resampled.view_as(batch.frames),
        depth=truth[:, :1],
        moving=truth[:, 1:],
        intrinsics=_zoomed_intrinsics(batch.intrinsics, zoom, offset_x, offset_y, mirrored, width),
        camera_from_frame=torch.where(
            mirrored[:, None, None, None],
            mirror_motion(batch.camera_from_frame),
            batch.camera_from_frame,
        ),
    )


def _sampling_grid(
    zoom: Tensor, offset_x: Tensor, offset_y: Tensor, mirrored: Tensor, height: int, width: int
) -> Tensor:
    u = torch.arange(width, device=zoom.device, dtype=torch.float32)
    v = torch.arange(height, device=zoom.device, dtype=torch.float32)
    u_out = torch.where(mirrored[:, None], width - 1 - u, u)
    u_in = u_out / zoom[:, None] + offset_x[:, None]
    v_in = v / zoom[:, None] + offset_y[:, None]
    grid_x = (u_in / (width - 1) * 2 - 1)[:, None, :].expand(-1, height, -1)
    grid_y = (v_in / (height - 1) * 2 - 1)[:, :, None].expand(-1, -1, width)
    return torch.stack([grid_x, grid_y], dim=-1)


def _zoomed_intrinsics(
    intrinsics: Tensor,
    zoom: Tensor,
    offset_x: Tensor,
    offset_y: Tensor,
    mirrored: Tensor,
    width: int,
) -> Tensor:
    result = intrinsics.clone()
    result[:, 0, 0] *= zoom
    result[:, 1, 1] *= zoom
    cx = (intrinsics[:, 0, 2] - offset_x) * zoom
    result[:, 0, 2] = torch.where(mirrored, width - 1 - cx, cx)
    result[:, 1, 2] = (intrinsics[:, 1, 2] - offset_y) * zoom
    return result


def mirror_motion(b_from_a: Tensor) -> Tensor:
    """The motion (..., 4, 4) that a mirrored video shows: M T M with M = diag(-1, 1, 1, 1)."""
    mirrored = b_from_a.clone()
    mirrored[..., 0, 1:].neg_()
    mirrored[..., 1:, 0].neg_()
    return mirrored


def _reverse(batch: Batch, random: SnippetRandom) -> Batch:
    """Backwards, the middle frame, whose depth is known, stays the target."""
    backwards = random.uniform(len(batch.frames)) < 0.5
    turned = {
        name: torch.where(backwards.view(-1, *[1] * (value.dim() - 1)), value.flip(1), value)
        for name, value in (
            ("frames", batch.frames),
            ("camera_from_frame", batch.camera_from_frame),
        )
    }
    return replace(batch, **turned)
