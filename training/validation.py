"""Validation: the label-free objective, and the motion's error where the scenes have true poses."""

from collections.abc import Callable

import numpy as np
import torch

from sfm_odometry.geometry import invert_transform, rotation_angle
from training.batch import Batch
from training.evaluate.snippets import squared_errors


@torch.no_grad()
def validate(
    batches: list[Batch], predict: Callable[[Batch], tuple[dict[str, torch.Tensor], torch.Tensor]], device: torch.device
) -> dict[str, float]:
    """Means over all snippets: loss; ate_sfmlearner as in evaluation; rotation_deg of the last frame against the first.

    predict: terms and source_from_target (B, S, 4, 4) of a batch.
    """
    losses, ates, angles_deg = [], [], []
    for batch in batches:
        terms, source_from_target = predict(batch.to(device))
        losses.append(float(sum(value for name, value in terms.items() if name not in ("depth", "motion"))))
        estimated = first_from_frame(source_from_target.cpu().double())
        true = invert_transform(batch.camera_from_frame[:, :1].double()) @ batch.camera_from_frame.double()
        ates += list(np.sqrt(squared_errors(true[..., :3, 3].numpy(), estimated[..., :3, 3].numpy())) / true.shape[1])
        relative = true[:, -1, :3, :3].transpose(-1, -2) @ estimated[:, -1, :3, :3]
        angles_deg += torch.rad2deg(rotation_angle(relative)).tolist()
    return {"loss": float(np.mean(losses)), "ate_sfmlearner": float(np.mean(ates)), "rotation_deg": float(np.mean(angles_deg))}


def first_from_frame(source_from_target: torch.Tensor) -> torch.Tensor:
    """Poses (B, N, 4, 4) of a snippet's frames in the first one's coordinates."""
    target = (source_from_target.shape[1] + 1) // 2
    identity = torch.eye(4, dtype=source_from_target.dtype, device=source_from_target.device).expand_as(source_from_target[:, :1])
    frame_from_target = torch.cat([source_from_target[:, :target], identity, source_from_target[:, target:]], dim=1)
    return frame_from_target[:, :1] @ invert_transform(frame_from_target)
