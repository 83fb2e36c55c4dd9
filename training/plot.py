"""Draws the curves of one or several runs.

`python -m training.plot RUN [RUN ...] [--out FILE]`.
"""

import argparse
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, MaxNLocator

from sfm_odometry.cli import run_cli
from sfm_odometry.errors import InputError, OutputError
from training.engine.run_log import read_log
from training.figures import MUTED, colour_of, figure_style, save_figure

COLUMNS = 4
MAX_POINTS = 40
"""Maximum number of values drawn as points; longer curves are smoothed."""
LOGARITHMIC = ("learning_rate",)
"""Quantities that are configured, not measured: drawn unsmoothed on a logarithmic scale."""
FONT_SIZE = 9.0


@dataclass
class Curve:
    """Values of one quantity of a run over its steps."""

    steps: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m training.plot", description=__doc__)
    parser.add_argument(
        "runs", type=Path, nargs="+", metavar="RUN", help="folders that training.train has written"
    )
    parser.add_argument(
        "--out", type=Path, help="PNG, SVG or PDF to write (default: curves.png in the first run)"
    )
    arguments = parser.parse_args(argv)
    return run_cli(
        lambda: command(arguments.runs, arguments.out or arguments.runs[0] / "curves.png")
    )


def command(runs: Sequence[Path], out: Path) -> None:
    """Reads the logs and writes the figure."""
    curves = {name: read_curves(run) for name, run in zip(labels(runs), runs, strict=True)}
    figure = draw(curves)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{out}: cannot be written: {error.strerror}") from error
    save_figure(figure, out, dots_per_inch=120)
    print(out)


def labels(runs: Sequence[Path]) -> list[str]:
    """Returns a label for each run: its folder's name, or its path where two share a name."""
    names = [run.resolve().name for run in runs]
    return [
        name if names.count(name) == 1 else str(run) for name, run in zip(names, runs, strict=True)
    ]


def read_curves(run: Path) -> dict[str, Curve]:
    """Reads the curves of all quantities in a run's log, by name.

    Raises InputError where the log is missing or empty.
    """
    curves: dict[str, Curve] = {}
    for entry in read_log(run):
        for name, value in _quantities(entry):
            curve = curves.setdefault(name, Curve())
            curve.steps.append(entry["step"])
            curve.values.append(value)
    if not curves:
        raise InputError(f"{run}: its log has no entry yet")
    return curves


def _quantities(entry: dict[str, Any]) -> Iterable[tuple[str, float]]:
    """Returns the names and values of an entry; groups such as the terms are flattened."""
    for name, value in entry.items():
        if isinstance(value, dict):
            yield from ((f"{name}: {inner}", number) for inner, number in value.items())
        elif name != "step":
            yield name, value


@figure_style(FONT_SIZE)
def draw(curves_of_run: dict[str, dict[str, Curve]]) -> Figure:
    """Draws one panel per quantity with one colour per run.

    The loss and its terms come first, then validation, then the other quantities.
    """
    # Arrange the panels.
    names = sorted(
        dict.fromkeys(name for curves in curves_of_run.values() for name in curves), key=_sort_key
    )
    columns = min(COLUMNS, len(names))
    rows = -(-len(names) // columns)
    figure = Figure(figsize=(3.4 * columns, 2.4 * rows + 0.4), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).flatten()
    # Draw the curves.
    for axes, name in zip(panels, names, strict=False):
        _draw_panel(axes, name, [curves.get(name, Curve()) for curves in curves_of_run.values()])
    for axes in panels[len(names) :]:
        axes.remove()
    # Add the legend.
    lines = [
        Line2D([], [], color=colour_of(index), linewidth=2) for index in range(len(curves_of_run))
    ]
    figure.supxlabel("step", fontsize=FONT_SIZE, color=MUTED)
    figure.legend(lines, list(curves_of_run), loc="outside upper left", ncols=4)
    return figure


def _sort_key(name: str) -> tuple[int, str]:
    """Returns the position of a quantity's group, and its name."""
    groups = ("loss", "terms", "validation", "")
    return next(index for index, group in enumerate(groups) if name.startswith(group)), name


def _draw_panel(axes: Axes, name: str, curves: list[Curve]) -> None:
    """Draws one quantity of all runs."""
    # Draw short curves with points, long ones smoothed over the faint original.
    for index, curve in enumerate(curves):
        short = len(curve.steps) <= MAX_POINTS
        values = curve.values if name in LOGARITHMIC else smoothed(np.array(curve.values))
        axes.plot(
            curve.steps,
            values,
            ".-" if short else "-",
            color=colour_of(index),
            linewidth=1.5,
            markersize=5,
        )
        if not short:
            axes.plot(curve.steps, curve.values, color=colour_of(index), linewidth=0.6, alpha=0.3)
    # Label the axes.
    axes.set_title(name.replace("_", " "))
    axes.margins(x=0.02)
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.xaxis.set_major_locator(MaxNLocator(5))
    if name in LOGARITHMIC:
        axes.set_yscale("log")
    else:
        _widen_range(axes)


def _widen_range(axes: Axes) -> None:
    """Widens the range of a quantity that hardly changes: it is drawn flat, not as its rounding."""
    low, high = axes.get_ylim()
    min_range = 0.02 * max(abs(low), abs(high), 1e-9)
    if high - low < min_range:
        axes.set_ylim((low + high - min_range) / 2, (low + high + min_range) / 2)


def smoothed(values: np.ndarray) -> np.ndarray:
    """Returns moving averages (N,) over about a twentieth of the values (N,).

    Up to MAX_POINTS values are returned unchanged.
    """
    if len(values) <= MAX_POINTS:
        return values
    half = len(values) // MAX_POINTS
    sums = np.concatenate([[0.0], np.cumsum(values)])
    middle = np.arange(len(values))
    first = np.maximum(middle - half, 0)
    end = np.minimum(middle + half + 1, len(values))
    return (sums[end] - sums[first]) / (end - first)


if __name__ == "__main__":
    raise SystemExit(main())
