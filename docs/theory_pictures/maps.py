"""Depth maps: at which sizes they are compared, and what smoothness asks of them."""

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

SOURCE, SCALES = 0, 4


def draw_scales(street: Street) -> Sheet:
    """The error over a factor on the true depth, at each scale's own size and at full size."""
    sheet = Sheet([panel_height(4), 3.2])
    for scale in range(SCALES):
        small = _reduced(street.image, scale)
        width, height = small.shape[-1], small.shape[-2]
        axes = show(
            sheet,
            0,
            scale,
            4,
            rgb(F.interpolate(small, size=street.image.shape[-2:])),
            f"Scale {scale}: {width}x{height}",
        )
        axes.images[0].set_interpolation("nearest")
    factors = np.geomspace(0.3, 4, 61)
    titles = (
        "Each scale against an image of its own size",
        "Each scale's depth enlarged, against the full image",
    )
    for column, (title, error) in enumerate(
        zip(titles, (_own_size_error, _full_size_error), strict=True)
    ):
        axes = plot(sheet, 1, column, 2, title)
        for scale, colour in enumerate((BLUE, GREEN, PURPLE, ORANGE)):
            errors = [error(street, scale, factor) for factor in factors]
            axes.semilogx(factors, errors, color=colour, linewidth=2.2, label=f"scale {scale}")
        axes.set(xlabel="factor on the true depth", ylabel="mean L1 error", ylim=(0.04, 0.16))
        ticks = [0.3, 0.5, 1, 2, 4]
        axes.set_xticks(ticks, [str(tick) for tick in ticks])
        axes.minorticks_off()
        axes.legend(loc="upper center")
    return sheet


def _reduced(values: Tensor, scale: int) -> Tensor:
    return F.avg_pool2d(values, 2**scale) if scale else values


def _own_size_error(street: Street, scale: int, factor: float) -> float:
    target, source = _reduced(street.image, scale), _reduced(street.images[SOURCE][None], scale)
    depth = factor / _reduced(1 / street.target_depth, scale)
    intrinsics = scaled_intrinsics(street.intrinsics, 0.5**scale, 0.5**scale)
    return _mean_error(street, target, source, depth, intrinsics)


def _full_size_error(street: Street, scale: int, factor: float) -> float:
    inverse_depth = F.interpolate(
        _reduced(1 / street.target_depth, scale), size=street.image.shape[-2:], mode="bilinear"
    )
    return _mean_error(
        street, street.image, street.images[SOURCE][None], factor / inverse_depth, street.intrinsics
    )


def _mean_error(
    street: Street, target: Tensor, source: Tensor, depth: Tensor, intrinsics: Tensor
) -> float:
    view = synthesise_view(source, depth, street.source_from_target(SOURCE), intrinsics)
    return float(masked_mean(l1_error(target, view.image), view.valid))


def draw_smoothness(street: Street) -> Sheet:
    """What the two kinds of smoothness charge for."""
    sheet = Sheet([panel_height(2)] * 3)
    rho = street.inverse_depth / street.inverse_depth.mean()
    steps, weight = _steps(rho), np.exp(-_steps(rgb(street.image)).mean(axis=-1))
    bends = np.zeros_like(rho)
    bends[:, 1:-1] += np.abs(np.diff(rho, 2, axis=1))
    bends[1:-1] += np.abs(np.diff(rho, 2, axis=0))
    panels = [
        (rgb(street.image), "Image $I$"),
        (inverse_depth_picture(rho), "Inverse depth $\\rho$ of the packaged model, over its mean"),
        (
            coloured(1 - weight, 1 - np.exp(-1), "cividis"),
            "What edges take off: $1 - e^{-|\\nabla I|}$ (yellow: two thirds)",
        ),
        (coloured(steps, 0.3, "inferno"), "First derivatives $|\\nabla\\rho|$"),
        (
            coloured(steps * weight, 0.3, "inferno"),
            "Edge-aware: $|\\nabla\\rho|\\,e^{-|\\nabla I|}$",
        ),
        (
            coloured(bends, 0.3, "inferno"),
            "Second order: $|\\nabla^2\\rho|$, free on slanted planes",
        ),
    ]
    for index, (picture, title) in enumerate(panels):
        show(sheet, index // 2, index % 2, 2, picture, title)
    return sheet


def _steps(values: np.ndarray) -> np.ndarray:
    """Absolute differences of (H, W, ...) to the right and below, added up."""
    right = np.abs(np.diff(values, axis=1, append=values[:, -1:]))
    below = np.abs(np.diff(values, axis=0, append=values[-1:]))
    return right + below
