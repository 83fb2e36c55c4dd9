"""How all pictures look: 1080 pixels wide, panels with a title over each, colours that
colour-blind readers can tell apart."""

from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from training.engine.visualization import DEPTH_COLOURS, ERROR_COLOURS

WIDTH_INCHES, DPI = 12.0, 90
MOST_BYTES = 300_000
MARGIN, GAP, TITLE = 0.12, 0.16, 0.34
"""Inches around, between, and over panels."""
ASPECT = 128 / 416
LARGEST_ERROR = 0.4
UNKNOWN = 0.42
"""Grey of pixels that have no value."""
BLUE, ORANGE, GREEN, PURPLE, GREY = "#0072B2", "#D55E00", "#009E73", "#AA4499", "#555555"
STYLE = {
    "font.size": 11.0,
    "axes.titlesize": 12.0,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e4e4e4",
    "legend.frameon": False,
    "axes.edgecolor": "#999999",
}


class Sheet:
    """A figure that is filled from above, row by row."""

    def __init__(self, heights: list[float]) -> None:
        """heights: inches of each row, without its title."""
        self.height = sum(heights) + len(heights) * TITLE + (len(heights) - 1) * GAP + 2 * MARGIN
        self.figure = Figure(figsize=(WIDTH_INCHES, self.height), dpi=DPI, facecolor="white")
        self.heights = heights

    def axes(
        self,
        row: int,
        left: float,
        width: float,
        title: str,
        span: int = 1,
        inset: tuple[float, float] = (0.0, 0.0),
    ) -> Axes:
        """A place in `span` rows; left and width in inches; inset: room at the left and below
        for tick labels."""
        top = MARGIN + sum(self.heights[:row]) + row * GAP + (row + 1) * TITLE
        height = sum(self.heights[row : row + span]) + (span - 1) * (GAP + TITLE)
        aside, below = inset
        place = (left + aside, self.height - top - height + below, width - aside, height - below)
        axes = self.figure.add_axes(
            [
                value / (self.height if index % 2 else WIDTH_INCHES)
                for index, value in enumerate(place)
            ]
        )
        axes.set_title(title, pad=6)
        return axes

    def save(self, path: Path) -> None:
        """Write a PNG, of fewer and fewer colours until it is small enough for a page."""
        canvas = FigureCanvasAgg(self.figure)
        canvas.draw()
        picture = Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3].copy())
        picture.save(path, optimize=True)
        for colours in (256, 128, 64):
            if path.stat().st_size <= MOST_BYTES:
                return
            # The octree keeps rare colours, such as a blue car's, which the median cut gives up for
            # more shades of the road.
            picture.quantize(
                colours, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE
            ).save(path, optimize=True)


def columns(count: int) -> list[tuple[float, float]]:
    """Left edge and width, in inches, of panels side by side."""
    width = (WIDTH_INCHES - 2 * MARGIN - (count - 1) * GAP) / count
    return [(MARGIN + index * (width + GAP), width) for index in range(count)]


def panel_height(count: int) -> float:
    """Inches of a panel that shows an image, with so many side by side."""
    return columns(count)[0][1] * ASPECT


def plot(sheet: Sheet, row: int, column: int, count: int, title: str, span: int = 1) -> Axes:
    """A diagram in one of `count` columns, with room for its labels."""
    left, width = columns(count)[column]
    return sheet.axes(row, left, width - 0.15, title, span, inset=(0.68, 0.55))


def show(sheet: Sheet, row: int, column: int, count: int, picture: np.ndarray, title: str) -> Axes:
    """Put a picture (H, W, 3) into one of `count` columns."""
    axes = sheet.axes(row, *columns(count)[column], title)
    axes.imshow(picture, aspect="auto", interpolation="bilinear")
    axes.set_axis_off()
    return axes


def rgb(image: Tensor) -> np.ndarray:
    """(1, 3, H, W) or (3, H, W) in [0, 1] as (H, W, 3)."""
    return image.reshape(3, *image.shape[-2:]).clamp(0, 1).permute(1, 2, 0).numpy()


def coloured(values: np.ndarray, largest: float, name: str) -> np.ndarray:
    """Values (H, W) from 0 to `largest` as colours (H, W, 3); NaN is grey."""
    colours = matplotlib.colormaps[name](np.clip(np.nan_to_num(values) / largest, 0, 1))[..., :3]
    return np.where(np.isnan(values)[..., None], UNKNOWN, colours)


def error_picture(error: Tensor) -> np.ndarray:
    """Photometric error (H, W), always on the same scale: black is none."""
    return coloured(error.numpy(), LARGEST_ERROR, ERROR_COLOURS)


def inverse_depth_picture(inverse_depth: np.ndarray) -> np.ndarray:
    """(H, W): bright is near."""
    return coloured(inverse_depth, float(np.percentile(inverse_depth, 99.5)), DEPTH_COLOURS)


def mask_picture(image: Tensor, kept: np.ndarray) -> np.ndarray:
    """The image in grey; what a mask (H, W), 0 to 1, leaves out is orange."""
    grey = 0.25 + 0.6 * rgb(image).mean(axis=2, keepdims=True)
    orange = np.array(matplotlib.colors.to_rgb(ORANGE))
    share = 0.85 * (1 - kept[..., None])
    return (1 - share) * grey + share * orange


def note(axes: Axes, text: str) -> None:
    """A line in the lower left corner of a picture."""
    box = {"facecolor": "black", "alpha": 0.6, "pad": 2.5, "linewidth": 0}
    axes.text(
        0.008,
        0.035,
        text,
        transform=axes.transAxes,
        fontsize=9.5,
        color="white",
        ha="left",
        va="bottom",
        bbox=box,
    )
