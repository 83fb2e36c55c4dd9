"""View synthesis: the target view from a source view, the target's depth and the motion.

p_s ~ K T D(p_t) K^-1 p_t (Zhou et al. 2017, equation 2), then bilinear sampling of the source at
p_s.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from sfm_odometry.geometry.projection import MIN_PROJECTION_DEPTH, backproject_into, two_numbers


@dataclass(frozen=True)
class SynthesisedView:
    """Target view synthesised from a source view."""

    image: Tensor
    """Source sampled at the projection of each target pixel (B, C, H, W); clamped to the border
    where invalid."""
    valid: Tensor
    """Whether the projection lies inside the source image and in front of its camera
    (B, 1, H, W), bool."""
    pixels: Tensor
    """Projection of each target pixel in the source image (B, 2, H, W)."""
    depth: Tensor
    """Depth of the target's points in the source camera (B, 1, H, W)."""


def sample_at(image: Tensor, pixels: Tensor) -> Tensor:
    """Bilinear samples (B, C, H, W) of `image` (B, C, Hs, Ws) at `pixels` (B, 2, H, W).

    They are clamped to the border. Pixel centres are integers: coordinates are normalised by
    (size - 1), which is align_corners=True for grid_sample.
    """
    height, width = image.shape[-2:]
    scale = two_numbers(2.0 / max(width - 1, 1), 2.0 / max(height - 1, 1), like=pixels)
    grid = torch.addcmul(pixels.new_full((), -1.0), pixels, scale[:, None, None])
    with torch.no_grad():
        # A coordinate that is not a number would be an address out of bounds in grid_sample: such a
        # pixel samples the corner, and is never valid.
        grid.nan_to_num_(nan=-1.0)
    return F.grid_sample(
        image, grid.permute(0, 2, 3, 1), mode="bilinear", padding_mode="border", align_corners=True
    )


def inside_image(pixels: Tensor, height: int, width: int) -> Tensor:
    """Mask (B, 1, H, W), bool, of the pixels (B, 2, H, W) inside an image of that size.

    All four neighbours of a pixel must lie inside.
    """
    u, v = pixels.split(1, dim=1)
    return (u >= 0) & (u <= width - 1) & (v >= 0) & (v <= height - 1)


def synthesise_view(
    source: Tensor, target_depth: Tensor, source_from_target: Tensor, intrinsics: Tensor
) -> SynthesisedView:
    """Synthesises the target view from `source`.

    source: (B, C, H, W); target_depth: (B, 1, H, W); source_from_target: (B, 4, 4); intrinsics: (B,
    3, 3) of both views.
    """
    # K in front leaves z unchanged: one division projects.
    homogeneous = backproject_into(intrinsics @ source_from_target[:, :3], target_depth, intrinsics)
    scaled_pixels, depth = homogeneous.split([2, 1], dim=1)
    pixels = scaled_pixels / depth.clamp_min(MIN_PROJECTION_DEPTH)
    valid = inside_image(pixels, *source.shape[-2:]) & (depth > MIN_PROJECTION_DEPTH)
    return SynthesisedView(sample_at(source, pixels), valid, pixels, depth)


def scaled_intrinsics(intrinsics: Tensor, scale_x: float, scale_y: float) -> Tensor:
    """Camera matrices (..., 3, 3) of resized images: f' = f s, c' = (c + 0.5) s - 0.5."""
    scale = two_numbers(scale_x, scale_y, like=intrinsics)
    shift = 0.5 * scale - 0.5
    result = intrinsics.clone()
    result[..., :2, :] = intrinsics[..., :2, :] * scale[:, None]
    result[..., :2, 2] += shift
    return result
