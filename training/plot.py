"""Draw a run's curves, or several runs' in one picture: `python -m training.plot RUN [RUN ...]
[--out FILE]`."""

import argparse
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, MaxNLocator

from sfm_odometry.cli import run_cli
from sfm_odometry.errors import InputError, OutputError
from training.engine.run_log import read_log

COLUMNS = 4
FEW = 40
"""So many values are drawn as points; more are smoothed."""
COLOURS = ("#1f6fb4", "#d1495b", "#2e8b57", "#e08e0b", "#7b5ea7", "#4a4a4a", "#17a2a2", "#b5651d")
SET = ("learning_rate",)
"""Quantities that are set, not measured: drawn as they are, over a logarithmic scale."""
STYLE = {
    "font.size": 9.0,
    "axes.titlesize": 10.0,
    "axes.titleweight": "semibold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#999999",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e4e4e4",
    "xtick.color": "#555555",
    "ytick.color": "#555555",
    "legend.frameon": False,
}


@dataclass
class Curve:
    """One quantity of one run."""

    steps: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
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
    """Read every log, then draw."""
    curves = {name: read_curves(run) for name, run in zip(labels(runs), runs, strict=True)}
    figure = draw(curves)
    if out.suffix[1:].lower() not in figure.canvas.get_supported_filetypes():
        raise InputError(
            f"{out}: the ending says no kind of picture that can be drawn, expected .png, .svg or .pdf"
        )
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(out, dpi=120)
    except OSError as error:
        raise OutputError(f"{out}: cannot be written: {error.strerror}") from error
    print(out)


def labels(runs: Sequence[Path]) -> list[str]:
    """What to call each run: its folder's name, or its whole path where two share a name."""
    names = [run.resolve().name for run in runs]
    return [
        name if names.count(name) == 1 else str(run) for name, run in zip(names, runs, strict=True)
    ]


def read_curves(run: Path) -> dict[str, Curve]:
    """Every quantity of a run's log over its steps, by name, in the order in which they are
    drawn."""
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
    """Names and values of one entry; groups such as the terms are flattened."""
    for name, value in entry.items():
        if isinstance(value, dict):
            yield from ((f"{name}: {inner}", number) for inner, number in value.items())
        elif name != "step":
            yield name, value


@matplotlib.rc_context(STYLE)
def draw(curves_of_run: dict[str, dict[str, Curve]]) -> Figure:
    """One panel a quantity, one colour a run: first the loss and its terms, then validation,
    then the rest."""
    names = sorted(
        dict.fromkeys(name for curves in curves_of_run.values() for name in curves), key=_place
    )
    columns = min(COLUMNS, len(names))
    rows = -(-len(names) // columns)
    figure = Figure(figsize=(3.4 * columns, 2.4 * rows + 0.4), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).flatten()
    for axes, name in zip(panels, names, strict=False):
        _draw_panel(axes, name, [curves.get(name, Curve()) for curves in curves_of_run.values()])
    for axes in panels[len(names) :]:
        axes.remove()
    lines = [
        Line2D([], [], color=_colour(index), linewidth=2) for index in range(len(curves_of_run))
    ]
    figure.supxlabel("step", fontsize=9, color="#555555")
    figure.legend(lines, list(curves_of_run), loc="outside upper left", ncols=4)
    return figure


def _place(name: str) -> tuple[int, str]:
    groups = ("loss", "terms", "validation", "")
    return next(index for index, group in enumerate(groups) if name.startswith(group)), name


def _draw_panel(axes: Axes, name: str, curves: list[Curve]) -> None:
    for index, curve in enumerate(curves):
        few = len(curve.steps) <= FEW
        values = curve.values if name in SET else smoothed(np.array(curve.values))
        axes.plot(
            curve.steps,
            values,
            ".-" if few else "-",
            color=_colour(index),
            linewidth=1.5,
            markersize=5,
        )
        if not few:
            axes.plot(curve.steps, curve.values, color=_colour(index), linewidth=0.6, alpha=0.3)
    axes.set_title(name.replace("_", " "))
    axes.margins(x=0.02)
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.xaxis.set_major_locator(MaxNLocator(5))
    if name in SET:
        axes.set_yscale("log")
    else:
        _widen(axes)


def _widen(axes: Axes) -> None:
    """Show a quantity that hardly changes as flat, not its rounding errors."""
    low, high = axes.get_ylim()
    least = 0.02 * max(abs(low), abs(high), 1e-9)
    if high - low < least:
        axes.set_ylim((low + high - least) / 2, (low + high + least) / 2)


def smoothed(values: np.ndarray) -> np.ndarray:
    """Means over a window of about a twentieth of the values (N,) around each; up to FEW values
    stay as they are."""
    if len(values) <= FEW:
        return values
    half = len(values) // FEW
    sums = np.concatenate([[0.0], np.cumsum(values)])
    middle = np.arange(len(values))
    first, after = np.maximum(middle - half, 0), np.minimum(middle + half + 1, len(values))
    return (sums[after] - sums[first]) / (after - first)


def _colour(index: int) -> str:
    return COLOURS[index % len(COLOURS)]


if __name__ == "__main__":
    raise SystemExit(main())
