"""Four kinds of masks on one moment."""

import numpy as np
import torch

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

EARLIER, LATER = 0, 4


def draw_masks(street: Street) -> Sheet:
    """What each mask leaves out, beside what truly moves."""
    sheet = Sheet([panel_height(2)] * 4)
    views = {source: street.synthesised(source) for source in (EARLIER, LATER)}
    errors = torch.stack([street.error(view) for view in views.values()])
    panels = [
        (rgb(street.image), "Target view"),
        (
            mask_picture(street.image, ~street.moving[street.target, 0].numpy()),
            "Truth: what moves by itself (orange)",
        ),
        (
            mask_picture(street.image, street.explained),
            "Explainability, learned: what the packaged model leaves out",
        ),
        (
            mask_picture(street.image, _auto_mask(street)),
            "Auto-mask: the earlier frame fits better unmoved",
        ),
        (
            mask_picture(street.image, views[EARLIER].valid[0, 0].numpy()),
            "Principled mask, earlier frame as the source",
        ),
        (
            mask_picture(street.image, views[LATER].valid[0, 0].numpy()),
            "Principled mask, later frame as the source",
        ),
        (error_picture(errors.nanmean(dim=0)), "Error with the truth, mean of both sources"),
        (
            error_picture(
                errors.nan_to_num(torch.inf)
                .amin(dim=0)
                .where(~errors.isnan().all(dim=0), torch.nan)
            ),
            "Minimum of both sources",
        ),
    ]
    for index, (picture, title) in enumerate(panels):
        axes = show(sheet, index // 2, index % 2, 2, picture, title)
        if index == 0:
            note(axes, "black van: oncoming;  middle: a car ahead, as fast as the camera")
    return sheet


def _auto_mask(street: Street) -> np.ndarray:
    """(H, W) bool: the pixels that stay."""
    unmoved = l1_error(street.image, street.images[EARLIER][None])[0, 0]
    return (street.error(street.synthesised(EARLIER)).nan_to_num(torch.inf) < unmoved).numpy()
