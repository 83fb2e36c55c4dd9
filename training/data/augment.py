"""Augmentation on the device: images, intrinsics, depth and motion change consistently."""

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from training.data.batch import Batch
from training.data.taught import TaughtBatch, zoomed_fields


@dataclass(frozen=True)
class SnippetRandom:
    """Random numbers for the snippets of a batch, on the generator's device.

    Where several processes share a batch, each draws the numbers of the whole batch and takes its
    own part: the augmentation of a snippet does not depend on the number of processes.
    """

    generator: torch.Generator
    rank: int = 0
    """Index of this process."""
    ranks: int = 1
    """Number of processes."""

    def uniform(self, count: int, *shape: int) -> Tensor:
        """Draws uniform numbers (count, *shape) in [0, 1) for `count` snippets of this process."""
        device = self.generator.device
        numbers = torch.rand(self.ranks * count, *shape, device=device, generator=self.generator)
        return self._local_part(numbers)

    def normal(self, count: int, *shape: int) -> Tensor:
        """Draws normal numbers (count, *shape) for `count` snippets of this process."""
        device = self.generator.device
        numbers = torch.randn(self.ranks * count, *shape, device=device, generator=self.generator)
        return self._local_part(numbers)

    def _local_part(self, numbers: Tensor) -> Tensor:
        """Returns this process's part of the numbers of the whole batch."""
        return numbers.chunk(self.ranks)[self.rank]


@dataclass(frozen=True)
class AugmentConfig:
    """Kinds and ranges of augmentation.

    Colours are jittered in the networks' input alone, never in the images of the loss.
    """

    max_zoom: float = 1.15
    """Maximum factor by which images are enlarged before they are cropped to size (SfMLearner)."""
    flip: bool = True
    """Whether half of the snippets are mirrored left to right."""
    reverse: bool = False
    """Whether half of the snippets are played backwards."""
    brightness: float = 0.0
    """Range of the brightness factor, 1 +- this; one draw per snippet."""
    contrast: float = 0.0
    """Range of the contrast factor, 1 +- this; one draw per snippet."""
    gamma: float = 0.0
    """Range of the exponent, 1 +- this; one draw per snippet."""
    noise: float = 0.0
    """Maximum standard deviation of noise."""


def augment(batch: Batch, config: AugmentConfig, random: SnippetRandom) -> Batch:
    """Augments the geometry of a batch, which is on the device of `random`: zoom, flip, reverse."""
    batch = _zoom_and_flip(batch, config, random)
    return _reverse(batch, random) if config.reverse else batch


def jitter_colour(frames: Tensor, config: AugmentConfig, random: SnippetRandom) -> Tensor:
    """Jitters brightness, contrast and gamma of frames (B, N, C, H, W) in [0, 1], and adds noise.

    All frames of a snippet are changed alike, except for the noise.
    """
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
    """Draws factors (count, 1, 1, 1, 1) of 1 +- spread."""
    return 1 + spread * (2 * random.uniform(count, 1, 1, 1, 1) - 1)


def _zoom_and_flip(batch: Batch, config: AugmentConfig, random: SnippetRandom) -> Batch:
    """Zooms into images and mirrors them, in one resampling: u_in = u_out / zoom + offset.

    Where a snippet is flipped, u_out is mirrored first.
    """
    # Draw the zoom, its offset and the flip of each snippet.
    count, frames, _, height, width = batch.frames.shape
    draws = random.uniform(count, 4).T
    zoom = 1 + (config.max_zoom - 1) * draws[0]
    offset_x = draws[1] * (width - 1) * (1 - 1 / zoom)
    offset_y = draws[2] * (height - 1) * (1 - 1 / zoom)
    mirrored = (draws[3] < 0.5) & config.flip
    # Resample the images bilinearly and the truth by nearest neighbour.
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
    # Change intrinsics, motion and what a teacher said accordingly.
    offset = torch.stack([offset_x, offset_y], dim=1)
    return replace(
        batch,
        **_zoomed_lesson(batch, zoom, offset, mirrored),
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


def _zoomed_lesson(
    batch: Batch, zoom: Tensor, offset: Tensor, mirrored: Tensor
) -> dict[str, Tensor]:
    """Returns what a teacher said, for the zoomed and mirrored frames; nothing without one."""
    if not isinstance(batch, TaughtBatch):
        return {}
    return zoomed_fields(batch, zoom, offset, mirrored, mirror_motion(batch.taught_poses))


def _sampling_grid(
    zoom: Tensor, offset_x: Tensor, offset_y: Tensor, mirrored: Tensor, height: int, width: int
) -> Tensor:
    """Returns the grid (B, H, W, 2) for F.grid_sample with align_corners=True."""
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
    """Returns the camera matrices (B, 3, 3) of the zoomed and mirrored images."""
    result = intrinsics.clone()
    result[:, 0, 0] *= zoom
    result[:, 1, 1] *= zoom
    cx = (intrinsics[:, 0, 2] - offset_x) * zoom
    result[:, 0, 2] = torch.where(mirrored, width - 1 - cx, cx)
    result[:, 1, 2] = (intrinsics[:, 1, 2] - offset_y) * zoom
    return result


def mirror_motion(b_from_a: Tensor) -> Tensor:
    """Returns the motion (..., 4, 4) of a mirrored video: M T M with M = diag(-1, 1, 1, 1)."""
    mirrored = b_from_a.clone()
    mirrored[..., 0, 1:].neg_()
    mirrored[..., 1:, 0].neg_()
    return mirrored


def _reverse(batch: Batch, random: SnippetRandom) -> Batch:
    """Plays half of the snippets backwards; the middle frame, with the depth, stays the target."""
    is_reversed = random.uniform(len(batch.frames)) < 0.5

    def reversed_frames(values: Tensor) -> Tensor:
        """Reverses the frames of values (B, N, ...) where the snippet is reversed."""
        shape = (-1, *[1] * (values.dim() - 1))
        return torch.where(is_reversed.view(shape), values.flip(1), values)

    taught = (
        {"taught_poses": reversed_frames(batch.taught_poses)}
        if isinstance(batch, TaughtBatch)
        else {}
    )
    return replace(
        batch,
        frames=reversed_frames(batch.frames),
        camera_from_frame=reversed_frames(batch.camera_from_frame),
        **taught,
    )
