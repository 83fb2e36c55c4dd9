"""View synthesis: why it needs depth, and what its error says of a depth."""

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
    WIDTH_INCHES,
    Sheet,
    error_picture,
    note,
    panel_height,
    plot,
    rgb,
    show,
)
from docs.theory_pictures.street import FAR_M, Street

SOURCE = 0
"""Two frames before the target: far enough to see parallax in a small picture."""
BUSH = (371, 90)
DEPTHS_M = (4.0, 5.5, 8.0, 14.0, 100.0)
CUT = (208, 416, 54, 118)
"""Left, right, top and bottom of what is shown enlarged."""
PATCHES = {
    "bush": (BUSH, BLUE),
    "car ahead, as fast as the camera": ((210, 59), PURPLE),
    "oncoming car": ((128, 60), ORANGE),
    "road, with little texture": ((232, 110), GREEN),
}
HALF = 4
"""Patches have 2 * this + 1 pixels a side."""


def draw_synthesis(street: Street) -> Sheet:
    """The target re-made with the truth, with wrong depth and without depth."""
    sheet = Sheet([panel_height(2)] * 4)
    step_m = float(street.source_from_target(SOURCE)[0, :3, 3].norm())
    show(sheet, 0, 0, 2, rgb(street.image), "Target view $I_t$")
    show(
        sheet,
        0,
        1,
        2,
        rgb(street.images[SOURCE]),
        f"Source view $I_s$, two frames ({step_m:.1f} m) earlier",
    )
    cases = {
        "Re-made with the true depth and motion": street.target_depth,
        "Depth twice too large, true motion": 2 * street.target_depth,
        "No depth: all is infinitely far, only the rotation moves pixels": torch.full_like(
            street.target_depth, FAR_M
        ),
    }
    for row, (title, depth) in enumerate(cases.items(), start=1):
        view = street.synthesised(SOURCE, depth)
        error = street.error(view)
        show(sheet, row, 0, 2, rgb(torch.where(view.valid, view.image, 0.42)), title)
        note(
            show(sheet, row, 1, 2, error_picture(error), "Its error $|I_t - \\hat{I}_s|$"),
            f"mean {float(error.nanmean()):.3f}",
        )
    return sheet


def draw_ray(street: Street) -> Sheet:
    """One pixel of the target is a ray; where it lies in the source depends on its depth."""
    sheet = Sheet([panel_height(2), 3.0])
    colours = ["#FDE725", "#7AD151", "#22A884", "#2A788E", "#440154"]
    target = show(sheet, 0, 0, 2, rgb(street.image), "Target view, enlarged: one pixel")
    target.plot(
        *BUSH,
        "o",
        markersize=13,
        markerfacecolor="none",
        markeredgecolor=ORANGE,
        markeredgewidth=2.5,
    )
    source = show(
        sheet,
        0,
        1,
        2,
        rgb(street.images[SOURCE]),
        "Source view, enlarged: the same pixel, by the depth it might have",
    )
    line = _in_source(street, np.geomspace(3.2, 1e4, 200))
    source.plot(*line.T, color="white", linewidth=4)
    source.plot(*line.T, color="black", linewidth=1.4)
    for depth, colour, place in zip(
        DEPTHS_M, colours, _in_source(street, np.array(DEPTHS_M)), strict=True
    ):
        source.plot(*place, "o", color=colour, markersize=9, markeredgecolor="black")
        text = source.annotate(
            f"{depth:g} m",
            place,
            (0, 10),
            textcoords="offset points",
            ha="center",
            fontsize=10,
            weight="bold",
        )
        text.set_path_effects([withStroke(linewidth=3, foreground="white")])
    for axes in (target, source):
        axes.set(xlim=(CUT[0] - 0.5, CUT[1] - 0.5), ylim=(CUT[3] - 0.5, CUT[2] - 0.5))
    _draw_from_above(street, sheet, colours)
    _draw_error_by_depth(street, sheet)
    return sheet


def _in_source(street: Street, depths_m: np.ndarray) -> np.ndarray:
    """Pixels (K, 2) of the source that the pixel falls on for each depth (K,)."""
    k, motion = (
        street.intrinsics[0].double().numpy(),
        street.source_from_target(SOURCE)[0].double().numpy(),
    )
    points = np.linalg.inv(k) @ np.array([*BUSH, 1.0])[:, None] * depths_m
    projected = k @ (motion[:3, :3] @ points + motion[:3, 3:])
    return (projected[:2] / projected[2]).T


def _draw_from_above(street: Street, sheet: Sheet, colours: list[str]) -> None:
    axes = plot(sheet, 1, 0, 2, "From above: the pixel's ray, and what the source sees of it")
    eye = np.linalg.inv(street.source_from_target(SOURCE)[0].double().numpy())[:3, 3]
    k = street.intrinsics[0].numpy()
    slope = (BUSH[0] - k[0, 2]) / k[0, 0]
    axes.plot([0, 26], [0, 26 * slope], color=ORANGE, linewidth=2.2)
    for depth, colour in zip(DEPTHS_M[:-1], colours, strict=False):
        axes.plot([eye[2], depth], [eye[0], depth * slope], color=GREY, linewidth=0.9)
        axes.plot(
            depth, depth * slope, "o", color=colour, markersize=9, markeredgecolor="black", zorder=3
        )
        axes.annotate(
            f"{depth:g} m",
            (depth, depth * slope),
            (9, -9),
            textcoords="offset points",
            ha="left",
            va="center",
            fontsize=10,
        )
    for name, place, colour in (("target", (0.0, 0.0), ORANGE), ("source", (eye[2], eye[0]), GREY)):
        axes.plot(*place, ">", color=colour, markersize=14, zorder=4)
        axes.annotate(name, place, (0, -20), textcoords="offset points", ha="center")
    axes.set(xlim=(-5, 20), ylim=(-2.6, 11.5), xlabel="forward, m", ylabel="right, m")


def _draw_error_by_depth(street: Street, sheet: Sheet) -> None:
    axes = plot(sheet, 1, 1, 2, "Error of the pixel's surroundings, by the depth assumed")
    depths_m = np.geomspace(4, 100, 90)
    axes.semilogx(depths_m, _patch_errors(street, depths_m)["bush"], color=BLUE, linewidth=2.2)
    true_m = float(street.target_depth[0, 0, BUSH[1], BUSH[0]])
    axes.axvline(true_m, color=ORANGE, linestyle="--", linewidth=1.5)
    axes.annotate(
        f"true depth {true_m:.1f} m",
        (true_m, axes.get_ylim()[1]),
        (7, -12),
        textcoords="offset points",
        color=ORANGE,
    )
    _label_depths(axes)


def _patch_errors(street: Street, depths_m: np.ndarray) -> dict[str, np.ndarray]:
    """Mean error (K,) of each patch for every depth (K,) that it might have."""
    maps = [
        street.error(street.synthesised(SOURCE, torch.full_like(street.target_depth, float(depth))))
        for depth in depths_m
    ]
    return {
        name: np.array([_patch_mean(error, pixel) for error in maps])
        for name, (pixel, _) in PATCHES.items()
    }


def _patch_mean(values: Tensor, pixel: tuple[int, int]) -> float:
    u, v = pixel
    return float(values[v - HALF : v + HALF + 1, u - HALF : u + HALF + 1].nanmean())


def _label_depths(axes: Axes) -> None:
    axes.set(xlabel="depth assumed, m", ylabel="mean L1 error")
    axes.set_ylim(bottom=0)
    ticks = [5, 10, 20, 50, 100]
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.minorticks_off()


def draw_assumptions(street: Street) -> Sheet:
    """What view synthesis believes of four patches: the depth with the least error, right or
    wrong."""
    sheet = Sheet([panel_height(2), 3.2])
    target = show(sheet, 0, 0, 2, rgb(street.image), "Target view with four patches")
    show(sheet, 0, 1, 2, rgb(street.images[SOURCE]), "Source view, two frames earlier")
    title = (
        "Error of each patch, relative to its largest, by the depth assumed; dotted: its true depth"
    )
    axes = sheet.axes(1, MARGIN, WIDTH_INCHES - 2 * MARGIN - 0.15, title, inset=(0.62, 0.55))
    depths_m = np.geomspace(4, 400, 120)
    for (name, (pixel, colour)), errors in zip(
        PATCHES.items(), _patch_errors(street, depths_m).values(), strict=True
    ):
        target.plot(
            *pixel,
            "s",
            markersize=15,
            markerfacecolor="none",
            markeredgecolor=colour,
            markeredgewidth=3,
        )
        axes.semilogx(depths_m, errors / errors.max(), color=colour, linewidth=2.4, label=name)
        axes.axvline(
            float(street.target_depth[0, 0, pixel[1], pixel[0]]),
            color=colour,
            linestyle=":",
            linewidth=1.8,
        )
    _label_depths(axes)
    axes.set_xlim(4, 400)
    axes.set_xticks([5, 10, 20, 50, 100, 200, 400], ["5", "10", "20", "50", "100", "200", "400"])
    axes.set_ylabel("relative error")
    axes.legend(loc="lower right")
    return sheet
