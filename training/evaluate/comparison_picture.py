"""Figure of several trajectories: paths from above, error by turning, drift by length."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import SubFigure

from training.evaluate.comparison import BASELINE, MethodResult
from training.evaluate.odometry import SEGMENT_LENGTHS_M
from training.evaluate.turning import turning_edges_m
from training.figures import (
    colour_of,
    draw_true_path,
    figure_style,
    is_wide,
    marker_of,
    save_png,
    titled_figure,
)


@figure_style()
def draw_comparison(
    path: Path, title: str, true_path_m: np.ndarray, methods: Sequence[MethodResult]
) -> None:
    """Draw the trajectories, the errors by turning magnitude and the drift by length of methods.

    true_path_m: (N, 3) in its first camera's frame. Raises OutputError where the picture cannot be
    written.
    """
    # Draw the trajectories.
    wide = is_wide(true_path_m[:, [0, 2]])
    figure = titled_figure(title, width=12.8, height=8.6 if wide else 7.0)
    paths, errors = figure.subfigures(*((2, 1) if wide else (1, 2)))
    path_axes = paths.subplots()
    _draw_paths(path_axes, true_path_m, methods)

    # Draw the errors; short drives have no drift.
    snippet_panels = errors
    if _have_drift(methods):
        snippet_panels, drift_panel = errors.subfigures(
            *((1, 2) if wide else (2, 1)), **({} if wide else {"height_ratios": (1.35, 1.0)})
        )
        _draw_drift(drift_panel.subplots(), methods)
    turning_axes = _draw_turning(snippet_panels, methods)

    # Share one legend.
    handles, labels = turning_axes.get_legend_handles_labels()
    figure.legend(
        [path_axes.get_lines()[0], *handles],
        ["ground truth", *labels],
        loc="outside upper right",
        ncols=min(len(labels) + 1, 6),
    )
    save_png(figure, path)


def _have_drift(methods: Sequence[MethodResult]) -> bool:
    """Whether any method has a translation error over segments."""
    return any(
        method.t_err_percent is not None and np.isfinite(method.t_err_percent).any()
        for method in methods
    )


def _draw_paths(axes: Axes, true_path_m: np.ndarray, methods: Sequence[MethodResult]) -> None:
    """Draw the true path (N, 3) and those of the methods from above."""
    draw_true_path(axes, true_path_m[:, [0, 2]])
    for index, method in enumerate(methods):
        if method.path_m is not None:
            axes.plot(method.path_m[:, 0], method.path_m[:, 2], color=colour_of(index))
    axes.set_title("Trajectories from above, aligned")


def _draw_turning(figure: SubFigure, methods: Sequence[MethodResult]) -> Axes:
    """Draw the error by turning magnitude and the number of snippets; returns the upper axes."""
    # Mean error in each bin.
    axes, counts_axes = figure.subplots(2, 1, sharex=True, height_ratios=(4.0, 1.0))
    edges_m = turning_edges_m([method.errors for method in methods])
    centres_m = (edges_m[:-1] + edges_m[1:]) / 2
    for index, method in enumerate(methods):
        means = method.errors.mean_by_turning(edges_m)
        known = np.isfinite(means)
        axes.plot(
            centres_m[known],
            means[known],
            label=method.name,
            markersize=5,
            clip_on=False,
            **_look(method, index),
        )
    axes.set_ylim(bottom=0)
    axes.set_title("Error of snippets against turning")
    axes.set_ylabel("mean ATE (m)")
    # Number of snippets in each bin.
    counts_axes.hist(methods[0].errors.turning_m, edges_m, color="#bdbdbd", rwidth=0.9)
    counts_axes.set_yscale("log")
    counts_axes.yaxis.set_major_formatter("{x:g}")
    counts_axes.minorticks_off()
    counts_axes.set_ylim(bottom=1)
    counts_axes.set_ylabel("snippets")
    counts_axes.set_xlabel("true sideways shift from first to last frame (m), right positive")
    return axes


def _draw_drift(axes: Axes, methods: Sequence[MethodResult]) -> None:
    """Draw the translation error by segment length."""
    for index, method in enumerate(methods):
        if method.t_err_percent is not None:
            axes.plot(SEGMENT_LENGTHS_M, method.t_err_percent, markersize=5, **_look(method, index))
    axes.set_ylim(bottom=0)
    axes.set_title("Drift against length of the path")
    axes.set_xlabel("length of the path (m)")
    axes.set_ylabel("translation error (%)")


def _look(method: MethodResult, index: int) -> dict[str, Any]:
    """Line style of a method; the baseline is grey and dashed."""
    if method.name == BASELINE:
        return {"color": "#7a7a7a", "linestyle": (0, (4, 2)), "marker": None}
    return {"color": colour_of(index), "marker": marker_of(index)}
