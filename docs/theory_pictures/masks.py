"""Picture of four kinds of masks on one view."""

import numpy as np
import torch
from torch import Tensor

from docs.theory_pictures.drawing import (
    Sheet,
    error_picture,
    mask_picture,
    note,
    panel_height,
    rgb,
    show,
)
from docs.theory_pictures.street import Street
from training.objective.losses import l1_error

EARLIER = 0
LATER = 4
"""First and last frame, the source views."""


def draw_masks(street: Street) -> Sheet:
    """Draw the pixels that each mask leaves out, and those that truly move."""
    sheet = Sheet([panel_height(2)] * 4)
    views = [street.synthesised(source) for source in (EARLIER, LATER)]
    masks = {
        "Truth: what moves by itself (orange)": ~street.moving[street.target, 0].numpy(),
        "Explainability, learned: what the packaged model leaves out": street.explained,
        "Auto-mask: the earlier frame fits better unmoved": _auto_mask(street),
        "Principled mask, earlier frame as the source": views[0].valid[0, 0].numpy(),
        "Principled mask, later frame as the source": views[1].valid[0, 0].numpy(),
    }
    errors = torch.stack([street.error(view) for view in views])
    pictures = {
        "Target view": rgb(street.image),
        **{title: mask_picture(street.image, mask) for title, mask in masks.items()},
        "Error with the truth, mean of both sources": error_picture(errors.nanmean(dim=0)),
        "Minimum of both sources": error_picture(_min_error(errors)),
    }
    for index, (title, picture) in enumerate(pictures.items()):
        axes = show(sheet, index // 2, index % 2, 2, picture, title)
        if index == 0:
            note(axes, "black van: oncoming;  middle: a car ahead, as fast as the camera")
    return sheet


def _min_error(errors: Tensor) -> Tensor:
    """Returns the minimum (H, W) over source views (S, H, W); NaN where all are unknown."""
    known = ~errors.isnan().all(dim=0)
    return errors.nan_to_num(torch.inf).amin(dim=0).where(known, torch.nan)


def _auto_mask(street: Street) -> np.ndarray:
    """Returns the auto-mask (H, W) bool: True where the warped earlier frame fits better."""
    unmoved = l1_error(street.image, street.images[EARLIER][None])[0, 0]
    return (street.error(street.synthesised(EARLIER)).nan_to_num(torch.inf) < unmoved).numpy()
