"""Predictions of the networks that an objective needs."""

from dataclasses import dataclass

import torch
from torch import Tensor

from sfm_odometry.geometry.projection import invert_transform
from sfm_odometry.networks.model import Model
from training.objective.objective_config import ObjectiveConfig


@dataclass(frozen=True)
class Predictions:
    """Predictions for B snippets of N frames: one target and S = N - 1 sources."""

    inverse_depth: list[Tensor]
    """Inverse depth (B, D, 1, h, w) by scale, finest first; empty where no term needs depth.

    D = 1: of the target; D = N: of all frames.
    """
    frame_from_target: Tensor
    """Motions (B, N, 4, 4); the identity at the target."""
    mask_logits: list[Tensor]
    """Logits (B, S, 2, h, w) of the masks by scale, finest first; empty without masks."""
    reversed_frame_from_target: Tensor | None = None
    """Motions (B, N, 4, 4), predicted from the snippet played backwards."""
    two_steps: Tensor | None = None
    """Motions (B, N - 2, 4, 4) predicted over two frames: entry i maps frame i + 2 into i."""

    def source_from_target(self) -> Tensor:
        """Returns the motions (B, S, 4, 4) of the sources, without the target itself."""
        middle = self.frame_from_target.shape[1] // 2
        return torch.cat(
            [self.frame_from_target[:, :middle], self.frame_from_target[:, middle + 1 :]], dim=1
        )

    def previous_from_current(self) -> Tensor:
        """Returns the motions (B, N - 1, 4, 4) of neighbours: entry i maps frame i + 1 into i."""
        return self.frame_from_target[:, :-1] @ invert_transform(self.frame_from_target[:, 1:])


def predict(model: Model, frames: Tensor, config: ObjectiveConfig) -> Predictions:
    """Runs the networks on snippets (B, N, C, H, W) in [0, 1].

    Networks whose predictions no term of the objective needs are not run.
    """
    source_from_target, mask_logits = model.motion_and_masks(frames, with_masks=config.needs_masks)
    backwards = (
        model.motion_and_masks(frames.flip(1), with_masks=False)[0].flip(1)
        if config.forward_backward
        else None
    )
    return Predictions(
        inverse_depth=_inverse_depth(model, frames, config),
        frame_from_target=with_target(source_from_target),
        mask_logits=mask_logits,
        reversed_frame_from_target=None if backwards is None else with_target(backwards),
        two_steps=model.motion_over_two_steps(frames) if config.composed_motion else None,
    )


def with_target(source_from_target: Tensor) -> Tensor:
    """Returns frame_from_target (B, N, 4, 4) of source_from_target (B, N - 1, 4, 4).

    The identity is inserted in the middle, for the target.
    """
    middle = (source_from_target.shape[1] + 1) // 2
    identity = torch.eye(
        4, dtype=source_from_target.dtype, device=source_from_target.device
    ).expand_as(source_from_target[:, :1])
    return torch.cat(
        [source_from_target[:, :middle], identity, source_from_target[:, middle:]], dim=1
    )


def _inverse_depth(model: Model, frames: Tensor, config: ObjectiveConfig) -> list[Tensor]:
    """Returns the inverse depth (B, D, 1, h, w) by scale of the configured frames (B, N, ...)."""
    if not config.needs_depth:
        return []
    middle = frames.shape[1] // 2
    images = frames if config.depth_frames == "all" else frames[:, middle : middle + 1]
    scales = model.inverse_depth(images.flatten(0, 1))
    return [scale.unflatten(0, images.shape[:2]) for scale in scales]
