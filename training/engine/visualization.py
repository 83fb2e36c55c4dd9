"""Pictures of snippets and predictions: target, depth, mask, synthesised view and its error."""

from dataclasses import dataclass

import cv2
import matplotlib
import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor

from sfm_odometry.geometry.view_synthesis import synthesise_view
from training.data.batch import Batch
from training.objective.losses import photometric_error
from training.objective.predictions import Predictions

DEPTH_COLOURS = "magma"
ERROR_COLOURS = "inferno"
PANEL_INCHES = 3.4
"""Width of a panel."""
LABEL_INCHES = 1.15
"""Width of the column of labels."""
GAP_INCHES = 0.06
"""Distance between panels."""
HEADER_INCHES = 0.4
"""Height of the title."""
DPI = 110
UNEXPLAINED_COLOUR = np.array([235.0, 60.0, 50.0])
"""Red."""
GREY = 96
"""Grey level of unknown pixels."""


@dataclass(frozen=True)
class Panel:
    """One image of a snippet, with a note."""

    picture: np.ndarray
    """(H, W, 3) uint8 RGB."""
    note: str = ""
    """Text in the lower left corner."""


@torch.no_grad()
def draw_snippets(
    batch: Batch, predictions: Predictions, title: str, ssim_weight: float
) -> np.ndarray:
    """Draws one picture (H, W, 3), uint8 RGB, with a column of panels for each snippet.

    batch: float32, on a device. The view is synthesised from the frame before the target.
    ssim_weight: as in the objective.
    """
    columns = [
        snippet_panels(batch, predictions, index, ssim_weight) for index in range(len(batch.frames))
    ]
    return _compose(columns, title)


def encode_png(picture: np.ndarray) -> bytes:
    """Encodes a picture (H, W, 3), uint8 RGB, as a PNG file."""
    return cv2.imencode(".png", np.ascontiguousarray(picture[..., ::-1]))[1].tobytes()


def snippet_panels(
    batch: Batch, predictions: Predictions, index: int, ssim_weight: float
) -> dict[str, Panel]:
    """Draws the panels of one snippet, by label; the target alone without depth."""
    frames = batch.frames[index]
    target = batch.target
    source = target - 1
    panels = {"target": Panel(_rgb(frames[target]))}
    if not predictions.inverse_depth:
        return panels
    # Predicted and true inverse depth.
    inverse_depth = _target_inverse_depth(predictions, index, frames.shape[-2:])
    panels["inverse depth"] = _inverse_depth_panel(inverse_depth)
    if batch.has_depth[index]:
        truth = batch.depth[index]
        panels["true inverse\ndepth"] = _inverse_depth_panel(
            torch.where(truth > 0, 1.0 / truth, torch.nan)
        )
    # Synthesise the target from the source.
    source_from_target = predictions.frame_from_target[index, source][None]
    view = synthesise_view(
        frames[source][None],
        1.0 / inverse_depth[None],
        source_from_target,
        batch.intrinsics[index][None],
    )
    error = photometric_error(frames[target][None], view.image, ssim_weight)
    # Mask, synthesised view and error.
    if predictions.mask_logits:
        explained = torch.softmax(predictions.mask_logits[0][index, source], dim=0)[1]
        panels["explained by\nrigid motion"] = _mask_panel(explained, frames[target])
    image = torch.where(view.valid, view.image, GREY / 255)[0]
    note = _motion_note(source_from_target[0])
    panels["frame before,\nre-synthesised"] = Panel(_rgb(image), note)
    panels["photometric\nerror"] = _error_panel(error[0, 0], view.valid[0, 0])
    return panels


def _target_inverse_depth(predictions: Predictions, index: int, size: torch.Size) -> Tensor:
    """Returns the target's inverse depth (1, H, W), upsampled to the frames' size."""
    finest = predictions.inverse_depth[0][index]
    return F.interpolate(
        finest[len(finest) // 2][None], size=tuple(size), mode="bilinear", align_corners=False
    )[0]


def _inverse_depth_panel(inverse_depth: Tensor) -> Panel:
    """Draws inverse depth (1, H, W): bright is near, grey is unknown (NaN).

    The colours range from the 1st to the 99th percentile.
    """
    values = inverse_depth[0].cpu().numpy()
    known = np.isfinite(values)
    picture = np.full((*values.shape, 3), GREY, np.uint8)
    if not known.any():
        return Panel(picture, "unknown")
    low, high = np.percentile(values[known], (1, 99))
    picture[known] = _apply_colormap((values[known] - low) / max(high - low, 1e-9), DEPTH_COLOURS)
    return Panel(picture, f"{low:.3g} to {high:.3g}")


def _mask_panel(explained: Tensor, image: Tensor) -> Panel:
    """Draws the image in grey, red where the mask (h, w), 0 to 1, does not explain it.

    Such pixels show moving objects or are occluded in the source.
    """
    mask = F.interpolate(
        explained[None, None], size=tuple(image.shape[-2:]), mode="bilinear", align_corners=False
    )[0, 0]
    unexplained = 0.75 * (1.0 - mask.cpu().numpy()[..., None])
    grey = _rgb(image).mean(axis=2, keepdims=True)
    mixed = (1 - unexplained) * grey + unexplained * UNEXPLAINED_COLOUR
    return Panel(np.round(mixed).astype(np.uint8), f"mean {float(explained.mean()):.2f}")


def _error_panel(error: Tensor, valid: Tensor) -> Panel:
    """Draws the error (H, W) of valid pixels, from black for 0 to white for the 99th percentile.

    Other pixels are grey.
    """
    values = error.cpu().numpy()
    valid_pixels = valid.cpu().numpy()
    picture = np.full((*values.shape, 3), GREY, np.uint8)
    if not valid_pixels.any():
        return Panel(picture, "nothing in view")
    high = float(np.percentile(values[valid_pixels], 99))
    picture[valid_pixels] = _apply_colormap(values[valid_pixels] / max(high, 1e-9), ERROR_COLOURS)
    return Panel(picture, f"mean {values[valid_pixels].mean():.3f}, to {high:.2f}")


def _motion_note(source_from_target: Tensor) -> str:
    """Formats the translation of a motion (4, 4)."""
    x, y, z = source_from_target[:3, 3].tolist()
    return f"x {x:+.3f}  y {y:+.3f}  z {z:+.3f}"


def _apply_colormap(values: np.ndarray, name: str) -> np.ndarray:
    """Returns the colours (..., 3), uint8, of values 0 to 1; others are clipped."""
    colours = matplotlib.colormaps[name](np.clip(values, 0, 1))[..., :3]
    return np.round(255 * colours).astype(np.uint8)


def _rgb(image: Tensor) -> np.ndarray:
    """Returns an image (C, H, W) in [0, 1], grey or RGB, as (H, W, 3) uint8 RGB."""
    levels = (255 * image.clamp(0, 1)).round().byte()
    return levels.expand(3, -1, -1).permute(1, 2, 0).cpu().numpy()


def _compose(columns: list[dict[str, Panel]], title: str) -> np.ndarray:
    """Draws the panels of all snippets side by side, as (H, W, 3) uint8 RGB."""
    # Rows of all columns, in the order of the longest one.
    longest_first = sorted(columns, key=len, reverse=True)
    rows = list(dict.fromkeys(label for column in longest_first for label in column))
    # Size of the figure in inches.
    height, width = columns[0]["target"].picture.shape[:2]
    panel_height = PANEL_INCHES * height / width
    total_width = LABEL_INCHES + (PANEL_INCHES + GAP_INCHES) * len(columns)
    total_height = HEADER_INCHES + (panel_height + GAP_INCHES) * len(rows)
    figure = Figure(figsize=(total_width, total_height), dpi=DPI)
    # Draw each panel; labels stand at the left of the first column.
    for column, panels in enumerate(columns):
        for row, label in enumerate(rows):
            left = LABEL_INCHES + column * (PANEL_INCHES + GAP_INCHES)
            bottom = total_height - 0.36 - (row + 1) * (panel_height + GAP_INCHES)
            place = (
                left / total_width,
                bottom / total_height,
                PANEL_INCHES / total_width,
                panel_height / total_height,
            )
            _draw_panel(figure.add_axes(place), panels.get(label), label if column == 0 else "")
    figure.text(
        0.1 / total_width, 1 - 0.1 / total_height, title, va="top", fontsize=11, weight="semibold"
    )
    # Render the figure.
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def _draw_panel(axes: Axes, panel: Panel | None, label: str) -> None:
    """Draws a panel with its note and label; only the label where the panel is missing."""
    axes.set_axis_off()
    axes.text(-0.03, 0.5, label, transform=axes.transAxes, ha="right", va="center", fontsize=9.5)
    if panel is None:
        return
    interpolation = "lanczos" if panel.picture.shape[1] > 100 else "nearest"
    axes.imshow(panel.picture, aspect="auto", interpolation=interpolation)
    if panel.note:
        _draw_note(axes, panel.note)


def _draw_note(axes: Axes, text: str) -> None:
    """Writes a line into the lower left corner, white on translucent black."""
    box = {"facecolor": "black", "alpha": 0.55, "pad": 1.5, "linewidth": 0}
    axes.text(
        0.01,
        0.03,
        text,
        transform=axes.transAxes,
        fontsize=7,
        color="white",
        ha="left",
        va="bottom",
        bbox=box,
    )
