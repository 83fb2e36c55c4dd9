"""Shared look of figures: fonts, colours, grid, the frequent parts of a figure, and saving."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from sfm_odometry.errors import InputError, OutputError

# The first six are Okabe and Ito's colours, distinguishable by colour-blind readers, without the
# yellow, which is faint on white.
COLOURS = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
    "#882255",
    "#7A7A7A",
)
"""Blue, vermilion, green, pink, orange, sky blue, wine, grey."""
MARKERS = ("o", "s", "^", "D", "v", "P")
INK = "#1a1a1a"
"""Text, ground truth."""
MUTED = "#5f5f5f"
"""Labels and numbers of axes, notes."""
EDGE = "#b5b5b5"
"""Spines and ticks."""
GRID = "#e3e3e3"
FONT_SIZE = 10.5
TITLE_SIZE = 13.0
HALO = (withStroke(linewidth=3, foreground="white"),)
"""Path effects that keep text readable over lines."""
STYLE: Mapping[str, Any] = {
    "font.size": FONT_SIZE,
    "text.color": INK,
    "axes.titlesize": FONT_SIZE + 1.0,
    "axes.titleweight": "semibold",
    "axes.titlelocation": "left",
    "axes.labelcolor": MUTED,
    "axes.edgecolor": EDGE,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "xtick.color": EDGE,
    "ytick.color": EDGE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
}
"""Matplotlib's settings (rcParams) of all figures."""
WIDE_PATH_RATIO = 1.4
"""Width to length from which a path is drawn above its errors instead of at their left."""


@contextmanager
def figure_style(
    font_size: float = FONT_SIZE, settings: Mapping[str, Any] | None = None
) -> Iterator[None]:
    """Applies the shared style to the figures that are drawn in this context; also a decorator.

    font_size: in points; titles of panels are one point larger.
    settings: further rcParams, which take precedence over STYLE.
    """
    sizes = {"font.size": font_size, "axes.titlesize": font_size + 1.0}
    with matplotlib.rc_context({**STYLE, **sizes, **(settings or {})}):
        yield


def titled_figure(title: str, width: float, height: float) -> Figure:
    """Returns an empty figure, width x height inches, with a title in its upper left corner.

    Axes and legends are laid out without overlap (Matplotlib's constrained layout).
    """
    figure = Figure(figsize=(width, height), layout="constrained")
    figure.suptitle(title, x=0.01, ha="left", fontsize=TITLE_SIZE, fontweight="semibold")
    return figure


def is_wide(path_m: np.ndarray) -> bool:
    """Returns whether a path (N, 2), right and ahead, is clearly wider than long."""
    width, length = np.ptp(path_m, axis=0)
    return bool(width > WIDE_PATH_RATIO * length)


def draw_true_path(axes: Axes, path_m: np.ndarray) -> None:
    """Draws the true path (N, 2) from above, right and ahead in metres, and marks its start.

    Also labels the axes and gives both the same scale.
    """
    # Draw the path.
    axes.plot(
        *path_m.T, color=INK, linewidth=3.4, alpha=0.35, solid_capstyle="round", label="truth"
    )
    # Mark the start.
    start = (float(path_m[0, 0]), float(path_m[0, 1]))
    axes.plot(*start, "o", color=INK, markersize=7, zorder=5)
    axes.annotate(
        "start",
        start,
        xytext=(9, -4),
        textcoords="offset points",
        color=INK,
        path_effects=HALO,
        zorder=6,
    )
    # Label the axes.
    axes.set_aspect("equal", adjustable="datalim")
    axes.set_xlabel("right of the first camera (m)")
    axes.set_ylabel("ahead of the first camera (m)")


def colour_of(index: int) -> str:
    """Returns the colour of the series with this index; colours repeat after the last."""
    return COLOURS[index % len(COLOURS)]


def marker_of(index: int) -> str:
    """Returns the marker of the series with this index; markers repeat after the last."""
    return MARKERS[index % len(MARKERS)]


def save_png(figure: Figure, path: Path) -> None:
    """Writes a figure as PNG.

    Raises InputError where the name does not end in .png, OutputError where the file cannot be
    written.
    """
    if path.suffix.lower() != ".png":
        raise InputError(f"{path}: pictures are written as PNG, expected a name that ends in .png")
    # The same figure gives the same file, whichever version of Matplotlib writes it.
    save_figure(figure, path, metadata={"Software": None})


def save_figure(
    figure: Figure,
    path: Path,
    dots_per_inch: float = 100.0,
    metadata: Mapping[str, str | None] | None = None,
) -> None:
    """Writes a figure in the format that the ending of its name asks for.

    metadata: entries of the file, as in Matplotlib's savefig.
    Raises InputError where Matplotlib has no such format, OutputError where the file cannot be
    written.
    """
    if path.suffix[1:].lower() not in figure.canvas.get_supported_filetypes():
        raise InputError(
            f"{path}: unknown picture format, expected a name that ends in .png, .svg or .pdf"
        )
    try:
        figure.savefig(path, dpi=dots_per_inch, metadata=metadata)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from error
