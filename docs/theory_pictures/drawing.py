"""Shared parts of the pictures: sheets of titled panels, 1080 pixels wide, and false colours.

The colours are distinguishable by colour-blind readers.
"""

from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from training.engine.visualization import DEPTH_COLOURS, ERROR_COLOURS
from training.figures import COLOURS, MUTED

WIDTH_INCHES = 12.0
DPI = 90
MAX_BYTES = 300_000
"""Size of a file above which its colours are reduced."""
MARGIN = 0.12
GAP = 0.16
TITLE = 0.34
"""Inches around, between, and over panels."""
ASPECT = 128 / 416
"""Height to width of an image."""
MAX_ERROR = 0.4
"""Photometric error at the end of the colour map."""
UNKNOWN = 0.42
"""Grey of pixels without a value."""
BLUE, ORANGE, GREEN = COLOURS[:3]
PURPLE = "#AA4499"
GREY = MUTED
FONT_SIZE = 11.0


class Sheet:
    """A figure of panels in rows, from above."""

    def __init__(self, heights: list[float]) -> None:
        """heights: of each row in inches, without its title."""
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
        """Returns new axes that extend over `span` rows.

        left, width: in inches; inset: room for tick labels at the left and below, in inches.
        """
        # Place in inches, from the lower left corner of the figure.
        top = MARGIN + sum(self.heights[:row]) + row * GAP + (row + 1) * TITLE
        height = sum(self.heights[row : row + span]) + (span - 1) * (GAP + TITLE)
        inset_left, inset_below = inset
        place = (
            left + inset_left,
            self.height - top - height + inset_below,
            width - inset_left,
            height - inset_below,
        )

        # As shares of the figure.
        size = (WIDTH_INCHES, self.height)
        axes = self.figure.add_axes([value / size[index % 2] for index, value in enumerate(place)])
        axes.set_title(title, pad=6)
        return axes

    def save(self, path: Path) -> None:
        """Write a PNG, with fewer colours where it is larger than MAX_BYTES."""
        canvas = FigureCanvasAgg(self.figure)
        canvas.draw()
        picture = Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3].copy())
        picture.save(path, optimize=True)
        for colours in (256, 128, 64):
            if path.stat().st_size <= MAX_BYTES:
                return
            # The octree keeps rare colours, such as a blue car's, which the median cut gives up for
            # more shades of the road.
            reduced = picture.quantize(
                colours, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE
            )
            reduced.save(path, optimize=True)


def columns(count: int) -> list[tuple[float, float]]:
    """Returns left edge and width, in inches, of `count` panels side by side."""
    width = (WIDTH_INCHES - 2 * MARGIN - (count - 1) * GAP) / count
    return [(MARGIN + index * (width + GAP), width) for index in range(count)]


def panel_height(count: int) -> float:
    """Returns the height, in inches, of an image panel with `count` side by side."""
    return columns(count)[0][1] * ASPECT


def plot(sheet: Sheet, row: int, column: int, count: int, title: str, span: int = 1) -> Axes:
    """Returns new axes for a diagram in one of `count` columns, with room for its labels."""
    left, width = columns(count)[column]
    return sheet.axes(row, left, width - 0.15, title, span, inset=(0.68, 0.55))


def show(sheet: Sheet, row: int, column: int, count: int, picture: np.ndarray, title: str) -> Axes:
    """Show a picture (H, W, 3) in one of `count` columns; returns its axes."""
    axes = sheet.axes(row, *columns(count)[column], title)
    axes.imshow(picture, aspect="auto", interpolation="bilinear")
    axes.set_axis_off()
    return axes


def rgb(image: Tensor) -> np.ndarray:
    """Returns an image (1, 3, H, W) or (3, H, W) in [0, 1] as an array (H, W, 3)."""
    return image.reshape(3, *image.shape[-2:]).clamp(0, 1).permute(1, 2, 0).numpy()


def coloured(values: np.ndarray, maximum: float, name: str) -> np.ndarray:
    """Returns values (H, W) from 0 to `maximum` as colours (H, W, 3); NaN is grey.

    name: of one of Matplotlib's colour maps.
    """
    colours = matplotlib.colormaps[name](np.clip(np.nan_to_num(values) / maximum, 0, 1))[..., :3]
    return np.where(np.isnan(values)[..., None], UNKNOWN, colours)


def error_picture(error: Tensor) -> np.ndarray:
    """Returns a photometric error (H, W) as colours, on the same scale in all pictures."""
    return coloured(error.numpy(), MAX_ERROR, ERROR_COLOURS)


def inverse_depth_picture(inverse_depth: np.ndarray) -> np.ndarray:
    """Returns inverse depth (H, W) as colours; near is bright."""
    return coloured(inverse_depth, float(np.percentile(inverse_depth, 99.5)), DEPTH_COLOURS)


def mask_picture(image: Tensor, mask: np.ndarray) -> np.ndarray:
    """Returns an image in grey with masked pixels in orange.

    mask: (H, W), from 0, masked, to 1, kept.
    """
    grey = 0.25 + 0.6 * rgb(image).mean(axis=2, keepdims=True)
    orange = np.array(matplotlib.colors.to_rgb(ORANGE))
    share = 0.85 * (1 - mask[..., None])
    return (1 - share) * grey + share * orange


def note(axes: Axes, text: str) -> None:
    """Write a line of text into the lower left corner of a picture."""
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
