"""Picture of one's own scores among the published ones."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from training.evaluate.picture_style import COLOURS, MARKERS, MUTED, STYLE, save
from training.evaluate.table import Row, Tables, sequences_of

PUBLISHED, OWN = COLOURS[0], COLOURS[1]
AXIS = {
    "depth": "AbsRel on KITTI's Eigen split",
    "make3d": "AbsRel on Make3D",
    "snippets": "ATE of 5-frame snippets on KITTI odometry (m)",
    "odometry": "Translation error on KITTI odometry (%)",
}
SCORE_OF_SEQUENCE = {"snippets": "mean", "odometry": "t_err"}
INCHES_A_ROW, ROWS_OF_A_FRAME = 0.27, 3.2


@matplotlib.rc_context(STYLE)
def draw_tables(path: Path, tables: Tables) -> None:
    """A panel a kind of table, a line a method, the best on top; shorter is better everywhere,
    one's own methods in vermilion.

    Raises OutputError where the picture cannot be written.
    """
    heights = [len(rows) + ROWS_OF_A_FRAME for rows in tables.values()]
    figure = Figure(
        figsize=(10.0, INCHES_A_ROW * sum(heights)), layout=ConstrainedLayoutEngine(h_pad=0.1)
    )
    panels = figure.subplots(len(tables), 1, squeeze=False, height_ratios=heights)[:, 0]
    for axes, (kind, rows) in zip(panels, tables.items(), strict=True):
        series = _series(kind, rows)
        order = sorted(range(len(rows)), key=lambda index: -_first_known(index, series))
        _draw_rows(
            axes,
            [rows[index] for index in order],
            {name: values[order] for name, values in series.items()},
        )
        axes.set_title(AXIS[kind])
    save(figure, path)


def _draw_rows(axes: Axes, rows: Sequence[Row], series: dict[str, np.ndarray]) -> None:
    """Rows from bottom to top, each with a mark for every one of the series (R,)."""
    heights, apart = np.arange(len(rows)), 0.13 if len(series) > 1 else 0.0
    colours = [OWN if row["yours"] else PUBLISHED for row in rows]
    axes.hlines(
        heights,
        0,
        np.nanmax(list(series.values()), axis=0),
        color=colours,
        alpha=0.35,
        linewidth=1.4,
    )
    for number, (name, values) in enumerate(series.items()):
        mark: dict[str, Any] = {
            "s": 44,
            "marker": MARKERS[number % len(MARKERS)],
            "linewidths": 1.4,
        }
        at = heights + apart * (len(series) - 1 - 2 * number)
        axes.scatter(
            values,
            at,
            edgecolors=colours,
            facecolors=colours if number == 0 else "white",
            zorder=3,
            **mark,
        )
        axes.scatter(
            [],
            [],
            edgecolors=MUTED,
            facecolors=MUTED if number == 0 else "white",
            label=f"sequence {name}",
            **mark,
        )
    axes.set_yticks(heights, [_name(row) for row in rows])
    for label, row in zip(axes.get_yticklabels(), rows, strict=True):
        if row["yours"]:
            label.set(color=OWN, fontweight="semibold")
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", visible=False)
    axes.set_xlim(left=0)
    if len(series) > 1:
        axes.legend(loc="upper right")


def _series(kind: str, rows: Sequence[Row]) -> dict[str, np.ndarray]:
    """What is drawn of each row, (R,) by name: one score, or one of each sequence; NaN where it
    is not known."""
    if kind not in SCORE_OF_SEQUENCE:
        return {"abs_rel": _numbers(row.get("abs_rel") for row in rows)}
    score = SCORE_OF_SEQUENCE[kind]
    return {
        sequence: _numbers(row.get(sequence, {}).get(score) for row in rows)
        for sequence in sequences_of(rows)
    }


def _numbers(values: Iterable[float | None]) -> np.ndarray:
    return np.array([np.nan if value is None else float(value) for value in values])


def _first_known(index: int, series: dict[str, np.ndarray]) -> float:
    return next(
        (float(values[index]) for values in series.values() if np.isfinite(values[index])), np.inf
    )


def _name(row: Row) -> str:
    """The method with what tells it from its namesakes; the rest of what must be known stands in
    the Markdown."""
    published = row["note"] or ("repository" if "repository" in row["source"] else "")
    note = row["note"].split(",")[0] if row["yours"] else published
    return f"{row['method']} ({note})" if note else row["method"]
