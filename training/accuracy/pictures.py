"""Pictures of variants: each drive's paths and errors, and whether the covariances mean what
they say."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from training.accuracy.consistency import chi_squared_probability
from training.evaluate.picture_style import COLOURS, INK, MUTED, STYLE, save

WIDE_PATH = 1.4  # a drive this much wider than long is drawn above its errors, not beside them
HALO = [withStroke(linewidth=3, foreground="white")]
Curves = Mapping[str, Sequence[Any]]


def colours_of(variants: Iterable[str]) -> dict[str, str]:
    """A colour for each variant, the same in all pictures."""
    return {variant: COLOURS[index % len(COLOURS)] for index, variant in enumerate(variants)}


@matplotlib.rc_context(STYLE)
def draw_drive(
    path: Path,
    title: str,
    truth: Curves,
    variants: Mapping[str, Curves],
    colours: Mapping[str, str],
) -> None:
    """One drive from above, and its errors of position and orientation along the way.

    truth: of `truth_curves`; variants: of `curves_of`. Raises OutputError where the picture cannot
    be written.
    """
    true_path = np.array(truth["path_m"])
    wide = np.ptp(true_path[:, 0]) > WIDE_PATH * np.ptp(true_path[:, 1])
    figure = Figure(figsize=(11.5, 8.4) if wide else (11.5, 5.6), layout="constrained")
    figure.suptitle(title, x=0.01, ha="left", fontsize=13, fontweight="semibold")
    above, along = (
        figure.subfigures(2, 1)
        if wide
        else figure.subfigures(1, 2, width_ratios=(_width_of_paths(true_path), 1.0))
    )
    paths = above.subplots()
    _draw_paths(paths, true_path, variants, colours)
    position, orientation = along.subplots(*((1, 2) if wide else (2, 1)), sharex=True)
    _draw_along(position, truth["driven_m"], variants, "position_error_m", colours)
    _draw_along(orientation, truth["driven_m"], variants, "orientation_error_deg", colours)
    position.set(title="Error of position, aligned in seven degrees of freedom", ylabel="m")
    orientation.set(
        title="Error of orientation since the first frame",
        ylabel="degrees",
        xlabel="distance driven (m)",
    )
    if wide:
        position.set_xlabel("distance driven (m)")
    figure.legend(
        *paths.get_legend_handles_labels(), loc="outside upper right", ncols=len(variants) + 1
    )
    save(figure, path)


@matplotlib.rc_context(STYLE)
def draw_calibration(
    path: Path, nees: Mapping[str, Mapping[str, np.ndarray]], colours: Mapping[str, str]
) -> None:
    """Predicted against found probability of normalised errors; nees: by variant "translation" and
    "rotation", (M,) each.

    Raises OutputError where the picture cannot be written.
    """
    figure = Figure(figsize=(10.0, 5.0), layout="constrained")
    figure.suptitle(
        "Do the covariances of the steps mean what they say?",
        x=0.01,
        ha="left",
        fontsize=13,
        fontweight="semibold",
    )
    for axes, part in zip(
        figure.subplots(1, 2, sharey=True), ("translation", "rotation"), strict=True
    ):
        axes.plot([0, 1], [0, 1], color=INK, linewidth=3.4, alpha=0.25, label="honest")
        for variant, errors in nees.items():
            values = np.sort(errors[part])
            axes.plot(
                chi_squared_probability(values),
                (np.arange(len(values)) + 0.5) / len(values),
                color=colours[variant],
                label=variant,
            )
        _annotate(axes)
        axes.set(
            title=part.capitalize(),
            xlabel="share of errors that should be smaller",
            xlim=(0, 1),
            ylim=(0, 1),
            aspect="equal",
        )
    figure.axes[0].set_ylabel("share of errors that are smaller")
    figure.legend(
        *figure.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(nees) + 1
    )
    save(figure, path)


def _width_of_paths(true_path: np.ndarray) -> float:
    """Width of a long path's panel against that of its errors: a straight road needs little."""
    across, along = np.ptp(true_path, axis=0)
    return float(np.clip(across / max(along, 1e-9), 0.4, 1.0))


def _annotate(axes: Axes) -> None:
    look: dict[str, Any] = {
        "color": MUTED,
        "fontsize": 9.5,
        "path_effects": HALO,
        "rotation": 45,
        "rotation_mode": "anchor",
        "ha": "center",
    }
    axes.text(0.72, 0.75, "too cautious", va="bottom", **look)
    axes.text(0.75, 0.72, "too sure", va="top", **look)


def _draw_paths(
    axes: Axes, true_path: np.ndarray, variants: Mapping[str, Curves], colours: Mapping[str, str]
) -> None:
    axes.plot(
        *true_path.T, color=INK, linewidth=3.8, alpha=0.3, solid_capstyle="round", label="truth"
    )
    for variant, curves in variants.items():
        axes.plot(*np.array(curves["path_m"]).T, color=colours[variant], label=variant)
    axes.plot(*true_path[0], "o", color=INK, markersize=7, zorder=5)
    axes.annotate(
        "start",
        true_path[0],
        xytext=(9, -4),
        textcoords="offset points",
        color=INK,
        path_effects=HALO,
        zorder=6,
    )
    axes.set_aspect("equal", adjustable="datalim")
    axes.set(
        title="From above, aligned",
        xlabel="right of the first camera (m)",
        ylabel="ahead of the first camera (m)",
    )


def _draw_along(
    axes: Axes,
    driven_m: Sequence[float],
    variants: Mapping[str, Curves],
    curve: str,
    colours: Mapping[str, str],
) -> None:
    for variant, curves in variants.items():
        axes.plot(driven_m, curves[curve], color=colours[variant])
    axes.set_ylim(bottom=0)
    axes.set_xlim(0, driven_m[-1])
