"""Pictures of depth maps: multi-scale photometric error and smoothness terms."""

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from docs.theory_pictures.drawing import (
    BLUE,
    GREEN,
    ORANGE,
    PURPLE,
    Sheet,
    coloured,
    inverse_depth_picture,
    panel_height,
    plot,
    rgb,
    show,
)
from docs.theory_pictures.street import Street
from sfm_odometry.geometry.view_synthesis import scaled_intrinsics, synthesise_view
from training.objective.losses import l1_error, masked_mean

SOURCE = 0
SCALES = 4
COLOURS = (BLUE, GREEN, PURPLE, ORANGE)


def draw_scales(street: Street) -> Sheet:
    """Draw the error over a factor on the true depth, at each scale's own size and at full size."""
    # The target view at each scale.
    sheet = Sheet([panel_height(4), 3.2])
    for scale in range(SCALES):
        small = _reduced(street.image, scale)
        height, width = small.shape[-2:]
        enlarged = rgb(F.interpolate(small, size=street.image.shape[-2:]))
        title = f"Scale {scale}: {width}x{height}"
        axes = show(sheet, row=0, column=scale, count=4, picture=enlarged, title=title)
        axes.images[0].set_interpolation("nearest")

    # The error of each scale, compared in two ways.
    factors = np.geomspace(0.3, 4, 61)
    diagrams = (
        ("Each scale against an image of its own size", _own_size_error),
        ("Each scale's depth enlarged, against the full image", _full_size_error),
    )
    for column, (title, error) in enumerate(diagrams):
        axes = plot(sheet, 1, column, 2, title)
        for scale, colour in enumerate(COLOURS):
            errors = [error(street, scale, factor) for factor in factors]
            axes.semilogx(factors, errors, color=colour, linewidth=2.2, label=f"scale {scale}")
        axes.set(xlabel="factor on the true depth", ylabel="mean L1 error", ylim=(0.04, 0.16))
        ticks = [0.3, 0.5, 1, 2, 4]
        axes.set_xticks(ticks, [str(tick) for tick in ticks])
        axes.minorticks_off()
        axes.legend(loc="upper center")
    return sheet


def _reduced(values: Tensor, scale: int) -> Tensor:
    """Returns values (N, C, H, W) averaged down by 2^scale."""
    return F.avg_pool2d(values, 2**scale) if scale else values


def _own_size_error(street: Street, scale: int, factor: float) -> float:
    """Returns the mean error of the true depth times `factor`, in images of the scale's size."""
    target = _reduced(street.image, scale)
    source = _reduced(street.images[SOURCE][None], scale)
    depth = factor / _reduced(1 / street.target_depth, scale)
    intrinsics = scaled_intrinsics(street.intrinsics, 0.5**scale, 0.5**scale)
    return _mean_error(street, target, source, depth, intrinsics)


def _full_size_error(street: Street, scale: int, factor: float) -> float:
    """Returns the mean error of the scale's depth times `factor`, enlarged to full size."""
    inverse_depth = _reduced(1 / street.target_depth, scale)
    enlarged = F.interpolate(inverse_depth, size=street.image.shape[-2:], mode="bilinear")
    source = street.images[SOURCE][None]
    return _mean_error(street, street.image, source, factor / enlarged, street.intrinsics)


def _mean_error(
    street: Street, target: Tensor, source: Tensor, depth: Tensor, intrinsics: Tensor
) -> float:
    """Returns the mean L1 error of the target synthesised with a depth and the true motion."""
    view = synthesise_view(source, depth, street.source_from_target(SOURCE), intrinsics)
    return float(masked_mean(l1_error(target, view.image), view.valid))


def draw_smoothness(street: Street) -> Sheet:
    """Draw the penalties of first-order, edge-aware and second-order smoothness."""
    # Compute the penalties of each pixel.
    sheet = Sheet([panel_height(2)] * 3)
    rho = street.inverse_depth / street.inverse_depth.mean()
    first_order = _gradient_sum(rho)
    edge_weight = np.exp(-_gradient_sum(rgb(street.image)).mean(axis=-1))
    second_order = np.zeros_like(rho)
    second_order[:, 1:-1] += np.abs(np.diff(rho, 2, axis=1))
    second_order[1:-1] += np.abs(np.diff(rho, 2, axis=0))

    # Draw them.
    panels = [
        (rgb(street.image), "Image $I$"),
        (inverse_depth_picture(rho), "Inverse depth $\\rho$ of the packaged model, over its mean"),
        (
            coloured(1 - edge_weight, 1 - np.exp(-1), "cividis"),
            "What edges take off: $1 - e^{-|\\nabla I|}$ (yellow: two thirds)",
        ),
        (coloured(first_order, 0.3, "inferno"), "First derivatives $|\\nabla\\rho|$"),
        (
            coloured(first_order * edge_weight, 0.3, "inferno"),
            "Edge-aware: $|\\nabla\\rho|\\,e^{-|\\nabla I|}$",
        ),
        (
            coloured(second_order, 0.3, "inferno"),
            "Second order: $|\\nabla^2\\rho|$, free on slanted planes",
        ),
    ]
    for index, (picture, title) in enumerate(panels):
        show(sheet, index // 2, index % 2, 2, picture, title)
    return sheet


def _gradient_sum(values: np.ndarray) -> np.ndarray:
    """Returns the sum of the absolute differences to the right and below, of values (H, W, ...)."""
    right = np.abs(np.diff(values, axis=1, append=values[:, -1:]))
    below = np.abs(np.diff(values, axis=0, append=values[-1:]))
    return right + below
