"""Photometric error of a motion, and its analytic derivatives.

:mod:`sfm_odometry.tracking.direct_alignment` minimises this error. A target view has depth: its
pixels are points X. A motion T = source_from_target moves them into a
source view, where they are sampled. The error of a point is e = a I_source(pi(T X)) + b -
I_target(p), with the gain a and the offset b of the brightness between the views.

A small motion xi (translation, rotation) in the target camera's axes changes T to T exp(xi). Near
the solution a I_source(pi(T exp(xi) X)) + b is I_target(pi(exp(xi) X)), so its derivative can be
taken from the target image, once for all steps: the inverse compositional trick of Baker and
Matthews (IJCV 2004), section 3.2.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from sfm_odometry.geometry.projection import MIN_PROJECTION_DEPTH


@dataclass(frozen=True)
class ImageView:
    """Camera image at one level of the pyramid."""

    image: Tensor
    """(H, W) float32, grey values 0 to 1."""
    camera: tuple[float, float, float, float]
    """fx, fy, cx, cy of these pixels."""

    def reduced(self, level: int) -> "ImageView":
        """Downsample the view by 2^level, then smooth it; odd last rows and columns are cut off."""
        size = 2**level
        fx, fy, cx, cy = self.camera
        camera = (fx / size, fy / size, (cx + 0.5) / size - 0.5, (cy + 0.5) / size - 0.5)
        return ImageView(smoothed(mean_of_blocks(self.image, size)), camera)


@dataclass(frozen=True)
class TargetPoints:
    """Informative pixels of a target view, as points."""

    points: Tensor
    """(3, N) float32 in the target camera's frame."""
    relative_pixels: Tensor
    """Column and row (2, N) of their pixels, 0 at the first and 1 at the last of the image."""
    values: Tensor
    """(N,) grey values of the target."""
    jacobian: Tensor
    """Derivative (6, N) of the grey value at pi(exp(xi) X) by xi, translation then rotation."""
    weights: Tensor
    """(N,), positive: the weights given with the view."""


def mean_of_blocks(values: Tensor, size: int) -> Tensor:
    """Downsample (H, W): mean of each block of size x size pixels, NaN where one of them is."""
    return values if size == 1 else F.avg_pool2d(values[None, None], size)[0, 0]


def smoothed(image: Tensor) -> Tensor:
    """Blur (H, W) by 1 2 1 along both axes.

    It reduces noise, and the difference that bilinear sampling makes by blurring one view of a pair
    and not the other.
    """
    return _smoothed_rows(_smoothed_rows(image).T).T


def _smoothed_rows(image: Tensor) -> Tensor:
    result = image.clone()
    result[1:-1] = (image[:-2] + image[2:]) / 4 + image[1:-1] / 2
    return result


def image_gradient(image: Tensor) -> Tensor:
    """Central differences (2, H, W) along u and v of an image (H, W); zero at its border."""
    gradient = image.new_zeros(2, *image.shape)
    torch.sub(image[1:-1, 2:], image[1:-1, :-2], out=gradient[0, 1:-1, 1:-1])
    torch.sub(image[2:, 1:-1], image[:-2, 1:-1], out=gradient[1, 1:-1, 1:-1])
    return gradient.mul_(0.5)


def motion_jacobian(
    gradient: Tensor, points: Tensor, camera: tuple[float, float, float, float]
) -> Tensor:
    """Derivative (6, N) of I(pi(exp(xi) X)) by xi at xi = 0, translation then rotation.

    gradient: (2, N) of the image at the points (3, N); camera: fx, fy, cx, cy. With q = dI/du du/dX
    + dI/dv dv/dX the translation's part is q, and the rotation's X x q, as q . (w x X) = w . (X x
    q).
    """
    x, y, z = points
    by_x = gradient[0] * camera[0] / z
    by_y = gradient[1] * camera[1] / z
    by_z = -(by_x * x + by_y * y) / z
    by_rotation = (y * by_z - z * by_y, z * by_x - x * by_z, x * by_y - y * by_x)
    return torch.stack([by_x, by_y, by_z, *by_rotation])


def select_points(
    view: ImageView, inverse_depth: Tensor, weights: Tensor | None, block: int, min_gradient: float
) -> TargetPoints:
    """Select the pixel of the steepest gradient in each block of `block` x `block` pixels.

    The points are few, and spread over the whole image. inverse_depth: (H, W), 1 / depth along z,
    NaN = unknown; weights: (H, W), 0 to 1, None = 1. Pixels of unknown depth, without weight, at
    the border, or flatter than `min_gradient` are left out.
    """
    # Squared gradient of the usable pixels, and its maximum in each block.
    usable = inverse_depth > 0 if weights is None else (inverse_depth > 0) & (weights > 0)
    gradient = image_gradient(view.image)
    squared = torch.addcmul(gradient[0] * gradient[0], gradient[1], gradient[1]) * usable
    steepest, index = F.max_pool2d(squared[None, None], block, return_indices=True)
    index = index.flatten()[steepest.flatten() >= max(min_gradient, 1e-9) ** 2]

    # Points of these pixels, and the derivatives of their grey values.
    depth = 1.0 / inverse_depth.take(index)
    height, width = view.image.shape
    pixels = _pixels(index, width)
    points = _back_project(pixels, depth, view.camera)
    point_gradient = gradient.flatten(1).index_select(1, index)
    values = view.image.take(index)
    return TargetPoints(
        points=points,
        relative_pixels=pixels / pixels.new_tensor([[width - 1], [height - 1]]),
        values=values,
        jacobian=motion_jacobian(point_gradient, points, view.camera),
        weights=torch.ones_like(values) if weights is None else weights.take(index),
    )


def _pixels(index: Tensor, width: int) -> Tensor:
    """Column and row (2, N), float32, of the pixels of flat `index` = v * width + u."""
    v = torch.div(index, width, rounding_mode="floor")
    return torch.stack([index - v * width, v]).float()


def _back_project(
    pixels: Tensor, depth: Tensor, camera: tuple[float, float, float, float]
) -> Tensor:
    """Points (3, N) of pixels (2, N) at `depth` (N,) along z."""
    fx, fy, cx, cy = camera
    return torch.stack([(pixels[0] - cx) / fx * depth, (pixels[1] - cy) / fy * depth, depth])


def sample_points(
    view: ImageView, points: Tensor, source_from_target: Tensor
) -> tuple[Tensor, Tensor]:
    """Sample a source view at the projections of points (3, N) of the target view.

    source_from_target: (4, 4) float32. Returns grey values (N,), and a mask (N,) of the points that
    project inside the image and lie in front of the camera.
    """
    height, width = view.image.shape
    fx, fy, cx, cy = view.camera
    x, y, z = torch.addmm(source_from_target[:3, 3:], source_from_target[:3, :3], points)
    inverse_z = 1.0 / z.clamp_min(MIN_PROJECTION_DEPTH)
    # Coordinates of grid_sample: -1 and 1 are the centres of the first and the last pixel.
    grid_x = (x * inverse_z) * (2 * fx / (width - 1)) + (2 * cx / (width - 1) - 1)
    grid_y = (y * inverse_z) * (2 * fy / (height - 1)) + (2 * cy / (height - 1) - 1)
    inside = (grid_x.abs() <= 1) & (grid_y.abs() <= 1) & (z > MIN_PROJECTION_DEPTH)
    grid = torch.stack([grid_x, grid_y], dim=-1)[None, None]
    values = F.grid_sample(
        view.image[None, None], grid, mode="bilinear", padding_mode="border", align_corners=True
    )
    return values[0, 0, 0], inside
