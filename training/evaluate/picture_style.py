"""How the pictures of results look, and how they are written."""

from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from sfm_odometry.errors import InputError, OutputError

# Okabe and Ito's colours, told apart by colour-blind readers, without the yellow, which is faint on
# white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKERS = ("o", "s", "^", "D", "v", "P")
INK, MUTED, GRID = "#1a1a1a", "#5f5f5f", "#e3e3e3"
STYLE = {
    "font.size": 10.5,
    "text.color": INK,
    "axes.titlesize": 11.5,
    "axes.titleweight": "semibold",
    "axes.titlelocation": "left",
    "axes.labelcolor": MUTED,
    "axes.edgecolor": "#b5b5b5",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "xtick.color": "#b5b5b5",
    "ytick.color": "#b5b5b5",
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
}


def save(figure: Figure, path: Path) -> None:
    """Write a PNG; OutputError names the file where that cannot be."""
    if path.suffix.lower() != ".png":
        raise InputError(f"{path}: pictures are written as PNG, expected a name that ends in .png")
    try:
        FigureCanvasAgg(figure).print_png(str(path), metadata={"Software": None})
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from None
