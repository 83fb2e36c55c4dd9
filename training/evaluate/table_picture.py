"""Figure of one's own scores among the published ones."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from training.evaluate.table import Row, Tables, sequences_of
from training.figures import COLOURS, MUTED, figure_style, marker_of, save_png

PUBLISHED = COLOURS[0]
OWN = COLOURS[1]
AXIS_TITLES = {
    "depth": "AbsRel on KITTI's Eigen split",
    "make3d": "AbsRel on Make3D",
    "snippets": "ATE of 5-frame snippets on KITTI odometry (m)",
    "odometry": "Translation error on KITTI odometry (%)",
}
SCORE_OF_SEQUENCE = {"snippets": "mean", "odometry": "t_err"}
INCHES_PER_ROW = 0.27
FRAME_ROWS = 3.2
"""Height of a panel's title and axis, in rows."""
MARKER_OFFSET = 0.13
"""Distance of the markers of several series from the row's line, in rows."""


@figure_style()
def draw_tables(path: Path, tables: Tables) -> None:
    """Draw one panel for each kind of table with one line for each method, the best on top.

    Shorter lines are better in all panels; own methods are vermilion. Raises OutputError where the
    picture cannot be written.
    """
    # Make a panel for each kind, as high as its rows.
    heights = [len(rows) + FRAME_ROWS for rows in tables.values()]
    figure = Figure(
        figsize=(10.0, INCHES_PER_ROW * sum(heights)), layout=ConstrainedLayoutEngine(h_pad=0.1)
    )
    panels = figure.subplots(len(tables), 1, squeeze=False, height_ratios=heights)[:, 0]
    # Draw the rows, ordered by their first score.
    for axes, (kind, rows) in zip(panels, tables.items(), strict=True):
        series = _series(kind, rows)
        order = sorted(range(len(rows)), key=lambda index: -_first_known(index, series))
        _draw_rows(
            axes,
            [rows[index] for index in order],
            {name: values[order] for name, values in series.items()},
        )
        axes.set_title(AXIS_TITLES[kind])
    save_png(figure, path)


def _draw_rows(axes: Axes, rows: Sequence[Row], series: dict[str, np.ndarray]) -> None:
    """Draw the R rows from bottom to top, with a marker for each series (R,)."""
    # Lines from zero to the highest score, and markers.
    heights = np.arange(len(rows))
    colours = [OWN if row["yours"] else PUBLISHED for row in rows]
    axes.hlines(
        heights,
        0,
        np.nanmax(list(series.values()), axis=0),
        color=colours,
        alpha=0.35,
        linewidth=1.4,
    )
    _draw_markers(axes, series, colours)
    # Labels.
    axes.set_yticks(heights, [_label(row) for row in rows])
    for label, row in zip(axes.get_yticklabels(), rows, strict=True):
        if row["yours"]:
            label.set(color=OWN, fontweight="semibold")
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", visible=False)
    axes.set_xlim(left=0)
    if len(series) > 1:
        axes.legend(loc="upper right")


def _draw_markers(axes: Axes, series: dict[str, np.ndarray], colours: Sequence[str]) -> None:
    """Draw a marker for each value of the series (R,), and label the series for the legend."""
    for index, (name, values) in enumerate(series.items()):
        shift = len(series) - 1 - 2 * index
        heights = np.arange(len(values)) + (MARKER_OFFSET if len(series) > 1 else 0.0) * shift
        style: dict[str, Any] = {"s": 44, "marker": marker_of(index), "linewidths": 1.4}
        axes.scatter(
            values,
            heights,
            edgecolors=colours,
            facecolors=colours if index == 0 else "white",
            zorder=3,
            **style,
        )
        # Without points: the legend's marker is grey.
        axes.scatter(
            [],
            [],
            edgecolors=MUTED,
            facecolors=MUTED if index == 0 else "white",
            label=f"sequence {name}",
            **style,
        )


def _series(kind: str, rows: Sequence[Row]) -> dict[str, np.ndarray]:
    """Scores (R,) of the R rows by series, NaN unknown: one series, or one for each sequence."""
    if kind not in SCORE_OF_SEQUENCE:
        return {"abs_rel": _numbers(row.get("abs_rel") for row in rows)}
    score = SCORE_OF_SEQUENCE[kind]
    return {
        sequence: _numbers(row.get(sequence, {}).get(score) for row in rows)
        for sequence in sequences_of(rows)
    }


def _numbers(values: Iterable[float | None]) -> np.ndarray:
    """Array of the values, NaN in place of None."""
    return np.array([np.nan if value is None else float(value) for value in values])


def _first_known(index: int, series: dict[str, np.ndarray]) -> float:
    """First score of a row that is known; infinity where none is."""
    return next(
        (float(values[index]) for values in series.values() if np.isfinite(values[index])), np.inf
    )


def _label(row: Row) -> str:
    """Name of the method, with a note where several rows have the same name.

    The Markdown table has the other notes.
    """
    published = row["note"] or ("repository" if "repository" in row["source"] else "")
    note = row["note"].split(",")[0] if row["yours"] else published
    return f"{row['method']} ({note})" if note else row["method"]
