"""Report of an adaptation: lines of progress, a table before and after, a picture."""

from collections.abc import Mapping
from pathlib import Path

import cv2
import matplotlib
import numpy as np
import torch
import torch.nn.functional as F

from sfm_odometry.networks.model import Model
from training.adapt.measure import EXPLAINED, Measures
from training.adapt.snippets import SnippetPool
from training.figures import figure_style, save_png, titled_figure
from training.teach.footage import Footage

PICTURE_ROWS = 3
"""Frames in the picture."""
DEPTH_COLOURS = "magma"


def progress_line(minutes: float, measures: Measures, is_best: bool) -> str:
    """One line about a measurement on the held-out frames."""
    return (
        f"{minutes:5.1f} min  held out: corners off by {measures.corner_error:.1%}, "
        f"{measures.explained:.0%} explained; views off by {measures.photometric:.4f}; "
        f"turns by {measures.turn_deg:.2f} deg{'  *' if is_best else ''}"
    )


def before_after(
    before: Measures,
    after: Measures,
    rendered_before: Mapping[str, float],
    rendered_after: Mapping[str, float],
) -> str:
    """The table of all measures, before and after."""
    rows = [
        ("your frames, held out", "", ""),
        ("  depth off at corners", f"{before.corner_error:.1%}", f"{after.corner_error:.1%}"),
        (f"  corners within {EXPLAINED:.0%}", f"{before.explained:.0%}", f"{after.explained:.0%}"),
        ("  views off, photometric", f"{before.photometric:.4f}", f"{after.photometric:.4f}"),
        ("  network's turns off, deg", f"{before.turn_deg:.3f}", f"{after.turn_deg:.3f}"),
        ("  network's steps off", f"{before.parallax:.0%}", f"{after.parallax:.0%}"),
        ("a rendered street, with truth", "", ""),
    ]
    names = {
        "abs_rel": "  depth, AbsRel",
        "ate_sfmlearner": "  positions of a snippet off, m",
        "rotation_deg": "  turns of a snippet off, deg",
    }
    for key, name in names.items():
        if key in rendered_before:
            rows.append((name, f"{rendered_before[key]:.3f}", f"{rendered_after[key]:.3f}"))
    width = max(len(row[0]) for row in rows)
    lines = [f"{'':{width}}  {'before':>8}  {'after':>8}"]
    lines += [f"{name:{width}}  {old:>8}  {new:>8}".rstrip() for name, old, new in rows]
    return "\n".join(lines)


@figure_style()
def write_picture(
    path: Path, footage: Footage, pool: SnippetPool, before: Model, after: Model
) -> None:
    """Write a picture of held-out frames with their depth before and after."""
    places = np.linspace(0, len(pool.validation.frames) - 1, PICTURE_ROWS).round().astype(int)
    frames = pool.validation.frames[np.unique(places)]
    left, top, right, bottom = footage.window.astype(int)
    part = (slice(top, bottom + 1), slice(left, right + 1))
    height = 0.6 + 3.0 * len(frames) * (bottom - top + 1) / (right - left + 1)
    figure = titled_figure("Depth of held-out frames, before and after", 9.6, height)
    axes = figure.subplots(len(frames), 3, squeeze=False)
    for row, frame in zip(axes, frames, strict=True):
        image = footage.frames[frame]
        panels = (
            np.broadcast_to(image, (*image.shape[:2], 3))[part],
            _coloured(inverse_depth(before, image)[part]),
            _coloured(inverse_depth(after, image)[part]),
        )
        for place, panel, title in zip(row, panels, ("frame", "before", "after"), strict=True):
            place.imshow(panel)
            place.set_axis_off()
            if frame == frames[0]:
                place.set_title(title)
    save_png(figure, path)


@torch.no_grad()
def inverse_depth(model: Model, image: np.ndarray) -> np.ndarray:
    """Inverse depth (H, W) of a prepared frame (H, W, C) uint8."""
    model.eval()
    pixels = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255.0
    finest = model.inverse_depth(pixels)[0]
    return F.interpolate(finest, size=image.shape[:2], mode="bilinear", align_corners=False)[
        0, 0
    ].numpy()


def _coloured(values: np.ndarray) -> np.ndarray:
    """Colours (H, W, 3) of inverse depth over its own range: near is bright."""
    low, high = np.percentile(values, [2, 98])
    shares = np.clip((values - low) / max(high - low, 1e-9), 0, 1)
    colours = matplotlib.colormaps[DEPTH_COLOURS](shares)[..., :3]
    return np.ascontiguousarray(cv2.convertScaleAbs(colours * 255.0))
