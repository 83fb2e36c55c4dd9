"""Picture of several trajectories: from above, error against turning, drift against length."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.patheffects import withStroke

from training.evaluate.comparison import BASELINE, Compared
from training.evaluate.odometry import SEGMENT_LENGTHS_M
from training.evaluate.picture_style import COLOURS, INK, MARKERS, STYLE, save
from training.evaluate.turning import turning_edges_m

WIDE_PATH = 1.4  # a drive this much wider than long is drawn above the errors, not beside them


@matplotlib.rc_context(STYLE)
def draw_comparison(
    path: Path, title: str, true_path_m: np.ndarray, methods: Sequence[Compared]
) -> None:
    """Trajectories, error against turning magnitude and drift against length of `methods`;
    true_path_m (N, 3) in its first camera's frame.

    Raises OutputError where the picture cannot be written.
    """
    wide = np.ptp(true_path_m[:, 0]) > WIDE_PATH * np.ptp(true_path_m[:, 2])
    figure = Figure(figsize=(12.8, 8.6 if wide else 7.0), layout="constrained")
    figure.suptitle(title, x=0.01, ha="left", fontsize=13, fontweight="semibold")
    paths, errors = figure.subfigures(*((2, 1) if wide else (1, 2)))
    path_axes = paths.subplots()
    _draw_paths(path_axes, true_path_m, methods)
    if any(
        method.t_err_percent is not None and np.isfinite(method.t_err_percent).any()
        for method in methods
    ):
        of_snippets, of_segments = errors.subfigures(
            *((1, 2) if wide else (2, 1)), **({} if wide else {"height_ratios": (1.35, 1.0)})
        )
        _draw_drift(of_segments.subplots(), methods)
    else:
        of_snippets = errors
    by_turning = _draw_turning(of_snippets, methods)
    handles, labels = by_turning.get_legend_handles_labels()
    figure.legend(
        [path_axes.get_lines()[0], *handles],
        ["ground truth", *labels],
        loc="outside upper right",
        ncols=min(len(labels) + 1, 6),
    )
    save(figure, path)


def _draw_paths(axes: Axes, true_path_m: np.ndarray, methods: Sequence[Compared]) -> None:
    axes.plot(
        true_path_m[:, 0],
        true_path_m[:, 2],
        color=INK,
        linewidth=3.4,
        alpha=0.35,
        solid_capstyle="round",
    )
    for index, method in enumerate(methods):
        if method.path_m is not None:
            axes.plot(method.path_m[:, 0], method.path_m[:, 2], color=COLOURS[index % len(COLOURS)])
    start = (float(true_path_m[0, 0]), float(true_path_m[0, 2]))
    axes.plot(*start, "o", color=INK, markersize=7, zorder=5)
    halo = [withStroke(linewidth=3, foreground="white")]
    axes.annotate(
        "start",
        start,
        xytext=(9, -4),
        textcoords="offset points",
        color=INK,
        path_effects=halo,
        zorder=6,
    )
    axes.set_aspect("equal", adjustable="datalim")
    axes.set_title("Trajectories from above, aligned")
    axes.set_xlabel("right of the first camera (m)")
    axes.set_ylabel("ahead of the first camera (m)")


def _draw_turning(figure: SubFigure, methods: Sequence[Compared]) -> Axes:
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
    counts_axes.hist(methods[0].errors.turning_m, edges_m, color="#bdbdbd", rwidth=0.9)
    counts_axes.set_yscale("log")
    counts_axes.yaxis.set_major_formatter("{x:g}")
    counts_axes.minorticks_off()
    counts_axes.set_ylim(bottom=1)
    counts_axes.set_ylabel("snippets")
    counts_axes.set_xlabel("true sideways shift from first to last frame (m), right positive")
    return axes


def _draw_drift(axes: Axes, methods: Sequence[Compared]) -> None:
    for index, method in enumerate(methods):
        if method.t_err_percent is not None:
            axes.plot(SEGMENT_LENGTHS_M, method.t_err_percent, markersize=5, **_look(method, index))
    axes.set_ylim(bottom=0)
    axes.set_title("Drift against length of the path")
    axes.set_xlabel("length of the path (m)")
    axes.set_ylabel("translation error (%)")


def _look(method: Compared, index: int) -> dict[str, Any]:
    if method.name == BASELINE:
        return {"color": "#7a7a7a", "linestyle": (0, (4, 2)), "marker": None}
    return {"color": COLOURS[index % len(COLOURS)], "marker": MARKERS[index % len(MARKERS)]}
