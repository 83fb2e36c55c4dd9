"""Pictures of view synthesis: its need of depth, and its photometric error by depth."""

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke
from torch import Tensor

from docs.theory_pictures.drawing import (
    BLUE,
    GREEN,
    GREY,
    MARGIN,
    ORANGE,
    PURPLE,
    UNKNOWN,
    WIDTH_INCHES,
    Sheet,
    error_picture,
    note,
    panel_height,
    plot,
    rgb,
    show,
)
from docs.theory_pictures.street import SKY_DEPTH_M, Street

SOURCE = 0
"""Source view two frames before the target: far enough for visible parallax in a small picture."""
BUSH = (371, 90)
"""Pixel of the target view whose ray is drawn."""
DEPTHS_M = (4.0, 5.5, 8.0, 14.0, 100.0)
"""Depths that are marked on the ray, and their colours."""
DEPTH_COLOURS = ("#FDE725", "#7AD151", "#22A884", "#2A788E", "#440154")
CUT = (208, 416, 54, 118)
"""Left, right, top and bottom of the enlarged part of a view, in pixels."""
PATCHES = {
    "bush": (BUSH, BLUE),
    "car ahead, as fast as the camera": ((210, 59), PURPLE),
    "oncoming car": ((128, 60), ORANGE),
    "road, with little texture": ((232, 110), GREEN),
}
"""Centre in pixels and colour by name."""
PATCH_RADIUS = 4
"""Patches have 2 * PATCH_RADIUS + 1 pixels a side."""


def draw_synthesis(street: Street) -> Sheet:
    """Draw the target view synthesised with the truth, with wrong depth and without depth."""
    # Target and source view.
    sheet = Sheet([panel_height(2)] * 4)
    step_m = float(street.source_from_target(SOURCE)[0, :3, 3].norm())
    show(sheet, 0, 0, 2, rgb(street.image), "Target view $I_t$")
    title = f"Source view $I_s$, two frames ({step_m:.1f} m) earlier"
    show(sheet, 0, 1, 2, rgb(street.images[SOURCE]), title)

    # Synthesised views and their errors.
    sky = torch.full_like(street.target_depth, SKY_DEPTH_M)
    cases = {
        "Re-made with the true depth and motion": street.target_depth,
        "Depth twice too large, true motion": 2 * street.target_depth,
        "No depth: all is infinitely far, only the rotation moves pixels": sky,
    }
    for row, (title, depth) in enumerate(cases.items(), start=1):
        view = street.synthesised(SOURCE, depth)
        error = street.error(view)
        show(sheet, row, 0, 2, rgb(torch.where(view.valid, view.image, UNKNOWN)), title)
        title = "Its error $|I_t - \\hat{I}_s|$"
        axes = show(sheet, row, 1, 2, error_picture(error), title)
        note(axes, f"mean {float(error.nanmean()):.3f}")
    return sheet


def draw_ray(street: Street) -> Sheet:
    """Draw the ray of one pixel of the target, and its place in the source by depth."""
    sheet = Sheet([panel_height(2), 3.0])
    _draw_pixel(street, sheet)
    _draw_epipolar_line(street, sheet)
    _draw_from_above(street, sheet)
    _draw_error_by_depth(street, sheet)
    return sheet


def _draw_pixel(street: Street, sheet: Sheet) -> None:
    """Mark the pixel in the target view."""
    axes = show(sheet, 0, 0, 2, rgb(street.image), "Target view, enlarged: one pixel")
    axes.plot(
        *BUSH,
        "o",
        markersize=13,
        markerfacecolor="none",
        markeredgecolor=ORANGE,
        markeredgewidth=2.5,
    )
    _enlarge(axes)


def _draw_epipolar_line(street: Street, sheet: Sheet) -> None:
    """Draw the pixel's epipolar line in the source view, and its places by depth."""
    title = "Source view, enlarged: the same pixel, by the depth it might have"
    axes = show(sheet, 0, 1, 2, rgb(street.images[SOURCE]), title)
    line = _project_to_source(street, np.geomspace(3.2, 1e4, 200))
    axes.plot(*line.T, color="white", linewidth=4)
    axes.plot(*line.T, color="black", linewidth=1.4)
    pixels = _project_to_source(street, np.array(DEPTHS_M))
    for depth_m, colour, pixel in zip(DEPTHS_M, DEPTH_COLOURS, pixels, strict=True):
        axes.plot(*pixel, "o", color=colour, markersize=9, markeredgecolor="black")
        text = axes.annotate(
            f"{depth_m:g} m",
            pixel,
            (0, 10),
            textcoords="offset points",
            ha="center",
            fontsize=10,
            weight="bold",
        )
        text.set_path_effects([withStroke(linewidth=3, foreground="white")])
    _enlarge(axes)


def _enlarge(axes: Axes) -> None:
    """Show the enlarged part of a view only."""
    left, right, top, bottom = CUT
    axes.set(xlim=(left - 0.5, right - 0.5), ylim=(bottom - 0.5, top - 0.5))


def _project_to_source(street: Street, depths_m: np.ndarray) -> np.ndarray:
    """Returns the pixels (K, 2) of the source onto which BUSH falls for depths (K,)."""
    k = street.intrinsics[0].double().numpy()
    motion = street.source_from_target(SOURCE)[0].double().numpy()
    points = np.linalg.inv(k) @ np.array([*BUSH, 1.0])[:, None] * depths_m
    projected = k @ (motion[:3, :3] @ points + motion[:3, 3:])
    return (projected[:2] / projected[2]).T


def _draw_from_above(street: Street, sheet: Sheet) -> None:
    """Draw both cameras, the pixel's ray, and the source's rays to points on it."""
    # The pixel's ray.
    axes = plot(sheet, 1, 0, 2, "From above: the pixel's ray, and what the source sees of it")
    source = np.linalg.inv(street.source_from_target(SOURCE)[0].double().numpy())[:3, 3]
    k = street.intrinsics[0].numpy()
    slope = (BUSH[0] - k[0, 2]) / k[0, 0]
    axes.plot([0, 26], [0, 26 * slope], color=ORANGE, linewidth=2.2)

    # Points on it, and the source's rays to them.
    for depth_m, colour in zip(DEPTHS_M[:-1], DEPTH_COLOURS, strict=False):
        right_m = depth_m * slope
        axes.plot([source[2], depth_m], [source[0], right_m], color=GREY, linewidth=0.9)
        axes.plot(
            depth_m, right_m, "o", color=colour, markersize=9, markeredgecolor="black", zorder=3
        )
        axes.annotate(
            f"{depth_m:g} m",
            (depth_m, right_m),
            (9, -9),
            textcoords="offset points",
            ha="left",
            va="center",
            fontsize=10,
        )

    # The cameras.
    cameras = (("target", (0.0, 0.0), ORANGE), ("source", (source[2], source[0]), GREY))
    for name, position, colour in cameras:
        axes.plot(*position, ">", color=colour, markersize=14, zorder=4)
        axes.annotate(name, position, (0, -20), textcoords="offset points", ha="center")
    axes.set(xlim=(-5, 20), ylim=(-2.6, 11.5), xlabel="forward, m", ylabel="right, m")


def _draw_error_by_depth(street: Street, sheet: Sheet) -> None:
    """Draw the error of the patch around the pixel over the assumed depth."""
    axes = plot(sheet, 1, 1, 2, "Error of the pixel's surroundings, by the depth assumed")
    depths_m = np.geomspace(4, 100, 90)
    axes.semilogx(depths_m, _patch_errors(street, depths_m)["bush"], color=BLUE, linewidth=2.2)
    true_m = _true_depth_m(street, BUSH)
    axes.axvline(true_m, color=ORANGE, linestyle="--", linewidth=1.5)
    axes.annotate(
        f"true depth {true_m:.1f} m",
        (true_m, axes.get_ylim()[1]),
        (7, -12),
        textcoords="offset points",
        color=ORANGE,
    )
    _label_depths(axes)


def _true_depth_m(street: Street, pixel: tuple[int, int]) -> float:
    """Returns the true depth at a pixel (u, v) of the target view."""
    u, v = pixel
    return float(street.target_depth[0, 0, v, u])


def _patch_errors(street: Street, depths_m: np.ndarray) -> dict[str, np.ndarray]:
    """Returns the mean error (K,) of each patch for assumed depths (K,)."""
    maps = [
        street.error(street.synthesised(SOURCE, torch.full_like(street.target_depth, float(depth))))
        for depth in depths_m
    ]
    return {
        name: np.array([_patch_mean(error, pixel) for error in maps])
        for name, (pixel, _) in PATCHES.items()
    }


def _patch_mean(values: Tensor, pixel: tuple[int, int]) -> float:
    """Returns the mean of the values (H, W) in the patch around a pixel (u, v)."""
    u, v = pixel
    rows = slice(v - PATCH_RADIUS, v + PATCH_RADIUS + 1)
    columns = slice(u - PATCH_RADIUS, u + PATCH_RADIUS + 1)
    return float(values[rows, columns].nanmean())


def _label_depths(axes: Axes) -> None:
    """Label the axes of a plot of error over assumed depth."""
    axes.set(xlabel="depth assumed, m", ylabel="mean L1 error")
    axes.set_ylim(bottom=0)
    ticks = [5, 10, 20, 50, 100]
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.minorticks_off()


def draw_assumptions(street: Street) -> Sheet:
    """Draw the errors of four patches over the assumed depth, whose minima are right or wrong."""
    # Target and source view.
    sheet = Sheet([panel_height(2), 3.2])
    target = show(sheet, 0, 0, 2, rgb(street.image), "Target view with four patches")
    show(sheet, 0, 1, 2, rgb(street.images[SOURCE]), "Source view, two frames earlier")

    # Mark each patch, and draw its error.
    title = (
        "Error of each patch, relative to its largest, by the depth assumed; dotted: its true depth"
    )
    axes = sheet.axes(1, MARGIN, WIDTH_INCHES - 2 * MARGIN - 0.15, title, inset=(0.62, 0.55))
    depths_m = np.geomspace(4, 400, 120)
    errors_of = _patch_errors(street, depths_m)
    for name, (pixel, colour) in PATCHES.items():
        errors = errors_of[name]
        target.plot(
            *pixel,
            "s",
            markersize=15,
            markerfacecolor="none",
            markeredgecolor=colour,
            markeredgewidth=3,
        )
        axes.semilogx(depths_m, errors / errors.max(), color=colour, linewidth=2.4, label=name)
        true_m = _true_depth_m(street, pixel)
        axes.axvline(true_m, color=colour, linestyle=":", linewidth=1.8)

    # Label the axes.
    _label_depths(axes)
    axes.set_xlim(4, 400)
    ticks = [5, 10, 20, 50, 100, 200, 400]
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.set_ylabel("relative error")
    axes.legend(loc="lower right")
    return sheet
