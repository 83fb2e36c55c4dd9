"""Figures of variants: paths and errors of each drive, and calibration of the covariances."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from training.accuracy.consistency import chi_squared_cdf
from training.figures import (
    HALO,
    INK,
    MUTED,
    colour_of,
    draw_true_path,
    figure_style,
    is_wide,
    save_png,
    titled_figure,
)

Curves = Mapping[str, Sequence[Any]]
"""Curves by name, as in `training.accuracy.scores`."""
MIN_PATH_WIDTH = 0.4
"""Minimum width of a long path's panel, relative to that of its errors."""


def colours_of(variants: Iterable[str]) -> dict[str, str]:
    """Colour of each variant, the same in all figures."""
    return {variant: colour_of(index) for index, variant in enumerate(variants)}


@figure_style()
def draw_drive(
    path: Path,
    title: str,
    truth: Curves,
    variants: Mapping[str, Curves],
    colours: Mapping[str, str],
) -> None:
    """Draw the paths of one drive from above, and the errors along the way.

    truth: of `truth_curves`; variants: of `error_curves`. Raises OutputError where the picture
    cannot be written.
    """
    # Lay out the panels.
    true_path = np.array(truth["path_m"])
    wide = is_wide(true_path)
    figure = titled_figure(title, width=11.5, height=8.4 if wide else 5.6)
    shape = (2, 1) if wide else (1, 2)
    widths = None if wide else (_width_of_paths(true_path), 1.0)
    above, along = figure.subfigures(*shape, width_ratios=widths)
    paths = above.subplots()
    position, orientation = along.subplots(*((1, 2) if wide else (2, 1)), sharex=True)

    # Draw paths and errors.
    _draw_paths(paths, true_path, variants, colours)
    _draw_along(position, truth["driven_m"], variants, "position_error_m", colours)
    _draw_along(orientation, truth["driven_m"], variants, "orientation_error_deg", colours)

    # Label the panels.
    position.set(title="Error of position, aligned in seven degrees of freedom", ylabel="m")
    orientation.set(title="Error of orientation since the first frame", ylabel="degrees")
    orientation.set_xlabel("distance driven (m)")
    if wide:
        position.set_xlabel("distance driven (m)")
    figure.legend(
        *paths.get_legend_handles_labels(), loc="outside upper right", ncols=len(variants) + 1
    )
    save_png(figure, path)


@figure_style()
def draw_calibration(
    path: Path, nees: Mapping[str, Mapping[str, np.ndarray]], colours: Mapping[str, str]
) -> None:
    """Draw the empirical distribution of normalised errors against the predicted one.

    nees: by variant "translation" and "rotation", (M,) each. Raises OutputError where the picture
    cannot be written.
    """
    # One panel for translation and one for rotation.
    figure = titled_figure(
        "Do the covariances of the steps mean what they say?", width=10.0, height=5.0
    )
    panels = figure.subplots(1, 2, sharey=True)
    for axes, part in zip(panels, ("translation", "rotation"), strict=True):
        values = {variant: errors[part] for variant, errors in nees.items()}
        _draw_distributions(axes, values, colours)
        axes.set_title(part.capitalize())
    panels[0].set_ylabel("share of errors that are smaller")
    # Share one legend.
    figure.legend(
        *panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(nees) + 1
    )
    save_png(figure, path)


def _width_of_paths(true_path: np.ndarray) -> float:
    """Width of a long path's panel relative to that of its errors; small for a straight road."""
    across, along = np.ptp(true_path, axis=0)
    return float(np.clip(across / max(along, 1e-9), MIN_PATH_WIDTH, 1.0))


def _draw_distributions(
    axes: Axes, nees: Mapping[str, np.ndarray], colours: Mapping[str, str]
) -> None:
    """Draw the distribution of the normalised errors (M,) of each variant, and the diagonal.

    A consistent covariance gives the diagonal.
    """
    axes.plot([0, 1], [0, 1], color=INK, linewidth=3.4, alpha=0.25, label="honest")
    for variant, errors in nees.items():
        values = np.sort(errors)
        shares = (np.arange(len(values)) + 0.5) / len(values)
        axes.plot(chi_squared_cdf(values), shares, color=colours[variant], label=variant)
    _annotate_sides(axes)
    axes.set(
        xlabel="share of errors that should be smaller", xlim=(0, 1), ylim=(0, 1), aspect="equal"
    )


def _annotate_sides(axes: Axes) -> None:
    """Label both sides of the diagonal."""
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
    """Draw the true path (N, 2) and those of the variants from above."""
    draw_true_path(axes, true_path)
    for variant, curves in variants.items():
        axes.plot(*np.array(curves["path_m"]).T, color=colours[variant], label=variant)
    axes.set_title("From above, aligned")


def _draw_along(
    axes: Axes,
    driven_m: Sequence[float],
    variants: Mapping[str, Curves],
    curve: str,
    colours: Mapping[str, str],
) -> None:
    """Draw a curve of each variant over the driven distance."""
    for variant, curves in variants.items():
        axes.plot(driven_m, curves[curve], color=colours[variant])
    axes.set_ylim(bottom=0)
    axes.set_xlim(0, driven_m[-1])
