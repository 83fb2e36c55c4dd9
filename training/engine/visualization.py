"""Pictures of what the networks see: for a few snippets the target, its depth, the mask, the
re-synthesised view and its error."""

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

DEPTH_COLOURS, ERROR_COLOURS = "magma", "inferno"
PANEL_INCHES, LABEL_INCHES, DPI = 3.4, 1.15, 110
RED = np.array([235.0, 60.0, 50.0])
GREY = 96
"""Where nothing is known."""


@dataclass(frozen=True)
class Panel:
    """One picture of one snippet."""

    picture: np.ndarray
    """(H, W, 3) uint8 RGB."""
    note: str = ""
    """Written into its corner."""


@torch.no_grad()
def draw_pictures(
    batch: Batch, predictions: Predictions, title: str, ssim_weight: float
) -> np.ndarray:
    """One picture (H, W, 3) uint8 RGB: a column for each snippet of the batch, a row for each thing
    to see.

    batch: float32, on a device. The view is re-synthesised from the frame before the target.
    ssim_weight: as in the objective.
    """
    columns = [
        panels_of(batch, predictions, index, ssim_weight) for index in range(len(batch.frames))
    ]
    return _compose(columns, title)


def encode_png(picture: np.ndarray) -> bytes:
    """A uint8 RGB picture (H, W, 3) as a PNG file."""
    return cv2.imencode(".png", np.ascontiguousarray(picture[..., ::-1]))[1].tobytes()


def panels_of(
    batch: Batch, predictions: Predictions, index: int, ssim_weight: float
) -> dict[str, Panel]:
    """Rows of one snippet, by label."""
    frames, target, source = batch.frames[index], batch.target, batch.target - 1
    panels = {"target": Panel(_rgb(frames[target]))}
    if not predictions.inverse_depth:
        return panels
    inverse_depth = _target_inverse_depth(predictions, index, frames.shape[-2:])
    panels["inverse depth"] = _inverse_depth_panel(inverse_depth)
    if batch.has_depth[index]:
        truth = batch.depth[index]
        panels["true inverse\ndepth"] = _inverse_depth_panel(
            torch.where(truth > 0, 1.0 / truth, torch.nan)
        )
    source_from_target = predictions.frame_from_target[index, source][None]
    view = synthesise_view(
        frames[source][None],
        1.0 / inverse_depth[None],
        source_from_target,
        batch.intrinsics[index][None],
    )
    error = photometric_error(frames[target][None], view.image, ssim_weight)
    if predictions.mask_logits:
        explained = torch.softmax(predictions.mask_logits[0][index, source], dim=0)[1]
        panels["explained by\nrigid motion"] = _mask_panel(explained, frames[target])
    seen = torch.where(view.valid, view.image, GREY / 255)[0]
    panels["frame before,\nre-synthesised"] = Panel(_rgb(seen), _motion_note(source_from_target[0]))
    panels["photometric\nerror"] = _error_panel(error[0, 0], view.valid[0, 0])
    return panels


def _target_inverse_depth(predictions: Predictions, index: int, size: torch.Size) -> Tensor:
    """(1, H, W) at the frames' size."""
    finest = predictions.inverse_depth[0][index]
    return F.interpolate(
        finest[len(finest) // 2][None], size=tuple(size), mode="bilinear", align_corners=False
    )[0]


def _inverse_depth_panel(inverse_depth: Tensor) -> Panel:
    """Bright is near; stretched between the picture's 1st and 99th percentile; grey where
    unknown (NaN)."""
    values = inverse_depth[0].cpu().numpy()
    known = np.isfinite(values)
    picture = np.full((*values.shape, 3), GREY, np.uint8)
    if not known.any():
        return Panel(picture, "unknown")
    low, high = np.percentile(values[known], (1, 99))
    picture[known] = _colours((values[known] - low) / max(high - low, 1e-9), DEPTH_COLOURS)
    return Panel(picture, f"{low:.3g} to {high:.3g}")


def _mask_panel(explained: Tensor, image: Tensor) -> Panel:
    """The image, reddened where the mask (h, w), 0 to 1, says that the scene moves by itself or
    is hidden."""
    enlarged = F.interpolate(
        explained[None, None], size=tuple(image.shape[-2:]), mode="bilinear", align_corners=False
    )[0, 0]
    unexplained = 0.75 * (1.0 - enlarged.cpu().numpy()[..., None])
    grey = _rgb(image).mean(axis=2, keepdims=True)
    return Panel(
        np.round((1 - unexplained) * grey + unexplained * RED).astype(np.uint8),
        f"mean {float(explained.mean()):.2f}",
    )


def _error_panel(error: Tensor, valid: Tensor) -> Panel:
    """Black is no error; white is the 99th percentile of the pixels that count; grey ones do
    not."""
    values, counted = error.cpu().numpy(), valid.cpu().numpy()
    picture = np.full((*values.shape, 3), GREY, np.uint8)
    if not counted.any():
        return Panel(picture, "nothing in view")
    high = float(np.percentile(values[counted], 99))
    picture[counted] = _colours(values[counted] / max(high, 1e-9), ERROR_COLOURS)
    return Panel(picture, f"mean {values[counted].mean():.3f}, to {high:.2f}")


def _motion_note(source_from_target: Tensor) -> str:
    x, y, z = source_from_target[:3, 3].tolist()
    return f"x {x:+.3f}  y {y:+.3f}  z {z:+.3f}"


def _colours(values: np.ndarray, name: str) -> np.ndarray:
    return np.round(255 * matplotlib.colormaps[name](np.clip(values, 0, 1))[..., :3]).astype(
        np.uint8
    )


def _rgb(image: Tensor) -> np.ndarray:
    """(C, H, W) in [0, 1], grey or RGB, as (H, W, 3) uint8."""
    return (255 * image.clamp(0, 1)).round().byte().expand(3, -1, -1).permute(1, 2, 0).cpu().numpy()


def _compose(columns: list[dict[str, Panel]], title: str) -> np.ndarray:
    rows = list(
        dict.fromkeys(
            label for column in sorted(columns, key=len, reverse=True) for label in column
        )
    )
    height, width = columns[0]["target"].picture.shape[:2]
    panel_height = PANEL_INCHES * height / width
    figure = Figure(
        figsize=(
            LABEL_INCHES + (PANEL_INCHES + 0.06) * len(columns),
            0.4 + (panel_height + 0.06) * len(rows),
        ),
        dpi=DPI,
    )
    total_width, total_height = figure.get_size_inches()
    for column, panels in enumerate(columns):
        for row, label in enumerate(rows):
            left = LABEL_INCHES + column * (PANEL_INCHES + 0.06)
            bottom = total_height - 0.36 - (row + 1) * (panel_height + 0.06)
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
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def _draw_panel(axes: Axes, panel: Panel | None, label: str) -> None:
    axes.set_axis_off()
    axes.text(-0.03, 0.5, label, transform=axes.transAxes, ha="right", va="center", fontsize=9.5)
    if panel is None:
        return
    axes.imshow(
        panel.picture,
        aspect="auto",
        interpolation="lanczos" if panel.picture.shape[1] > 100 else "nearest",
    )
    if panel.note:
        box = {"facecolor": "black", "alpha": 0.55, "pad": 1.5, "linewidth": 0}
        axes.text(
            0.01,
            0.03,
            panel.note,
            transform=axes.transAxes,
            fontsize=7,
            color="white",
            ha="left",
            va="bottom",
            bbox=box,
        )
