"""What the networks say of a batch, as far as an objective wants to know it."""

from dataclasses import dataclass

import torch
from torch import Tensor

from sfm_odometry.geometry.projection import invert_transform
from sfm_odometry.networks.model import Model
from training.objective.objective_config import ObjectiveConfig


@dataclass(frozen=True)
class Predictions:
    """Of B snippets with N frames and S = N - 1 sources."""

    inverse_depth: list[Tensor]
    """(B, D, 1, h, w), finest first: of the target (D = 1) or of all frames (D = N); empty where
    no term needs depth."""
    frame_from_target: Tensor
    """(B, N, 4, 4), the identity at the target."""
    mask_logits: list[Tensor]
    """(B, S, 2, h, w), finest first; empty without masks."""
    reversed_frame_from_target: Tensor | None = None
    """The same motions, as the network sees them in the snippet played backwards."""
    two_steps: Tensor | None = None
    """(B, N - 2, 4, 4): entry i maps frame i + 2 into frame i, seen directly."""

    def source_from_target(self) -> Tensor:
        """(B, S, 4, 4): `frame_from_target` without the target itself."""
        middle = self.frame_from_target.shape[1] // 2
        return torch.cat(
            [self.frame_from_target[:, :middle], self.frame_from_target[:, middle + 1 :]], dim=1
        )

    def previous_from_current(self) -> Tensor:
        """(B, N - 1, 4, 4): entry i maps frame i + 1 into frame i."""
        return self.frame_from_target[:, :-1] @ invert_transform(self.frame_from_target[:, 1:])


def predict(model: Model, frames: Tensor, config: ObjectiveConfig) -> Predictions:
    """Run the networks on snippets (B, N, C, H, W) in [0, 1]: those and only those that a term
    of the objective looks at."""
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
    """frame_from_target (B, N, 4, 4) of all frames: source_from_target (B, N - 1, 4, 4) with the
    identity put in the middle."""
    middle = (source_from_target.shape[1] + 1) // 2
    identity = torch.eye(
        4, dtype=source_from_target.dtype, device=source_from_target.device
    ).expand_as(source_from_target[:, :1])
    return torch.cat(
        [source_from_target[:, :middle], identity, source_from_target[:, middle:]], dim=1
    )


def _inverse_depth(model: Model, frames: Tensor, config: ObjectiveConfig) -> list[Tensor]:
    if not config.needs_depth:
        return []
    middle = frames.shape[1] // 2
    seen = frames if config.depth_frames == "all" else frames[:, middle : middle + 1]
    return [scale.unflatten(0, seen.shape[:2]) for scale in model.inverse_depth(seen.flatten(0, 1))]
