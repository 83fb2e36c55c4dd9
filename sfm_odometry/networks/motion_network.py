"""Base class of the motion networks: a snippet of frames to motions and explainability masks."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, Generic, Literal, Protocol, TypeVar

import torch
from torch import Tensor, nn

from sfm_odometry.errors import InputError
from sfm_odometry.geometry.projection import invert_transform, transform_from_vector
from sfm_odometry.networks.stage import Stage

Features = TypeVar("Features")
Stages = Mapping[str, Callable[..., Any]]
"""The stages of a network by name, or functions that compute the same."""
FrameCache = dict[str, Tensor]
"""Results of one frame, and of it and the one before, kept while the window slides."""


class MotionConfig(Protocol):
    """Settings that the configurations of all motion networks have."""

    @property
    def image_channels(self) -> int:
        """Channels of a frame: 1 for grey, 3 for RGB."""

    @property
    def frames(self) -> int:
        """Frames of a snippet; the middle one is the target view, the others are the sources."""

    @property
    def motion(self) -> Literal["star", "chain"]:
        """Motion of each vector: source_from_target, or previous_from_current of two neighbours.

        star: source_from_target (Zhou et al.); chain: previous_from_current (Mahjourian et al.).
        """

    @property
    def translation_gain(self) -> float:
        """Factor from the network's last layer to lengths."""

    @property
    def rotation_gain(self) -> float:
        """Factor from the network's last layer to angles in radians."""

    @property
    def masks(self) -> bool:
        """Whether the network predicts a mask for each source view."""


class MotionNetwork(nn.Module, ABC, Generic[Features]):
    """Maps normalised snippets (B, N, C, H, W) to N - 1 motions and as many masks.

    Frames are in order of time.
    """

    def __init__(self, config: MotionConfig) -> None:
        super().__init__()
        self.config = config
        self.sources = config.frames - 1

    @abstractmethod
    def encode(self, frames: Tensor) -> Features:
        """Features of snippets (B, N, C, H, W), the input of the motion and mask branches."""

    @abstractmethod
    def raw_vectors(self, features: Features) -> Tensor:
        """Six numbers for each motion (B, N - 1, 6) before their gains."""

    @abstractmethod
    def mask_logits(self, features: Features, finest_only: bool = False) -> list[Tensor]:
        """Logits of the masks (B, N - 1, 2, h, w), finest scale first.

        Softmax over channel 0, unexplainable, and channel 1, explainable.
        """

    @abstractmethod
    def stages(self) -> dict[str, Stage]:
        """Stages that `slide` needs, by name, in the order of computation."""

    @abstractmethod
    def slide(
        self, stages: Stages, frames: list[Tensor], caches: list[FrameCache], with_mask: bool
    ) -> tuple[Tensor, Tensor | None]:
        """Vectors (1, N - 1, 6) and the mask of a sliding window of frames (1, C, H, W).

        stages: compute the stages of this network. caches: one for each frame; results that belong
        to one frame, or to it and the one before, are kept there and reused in the next window.
        The mask (1, 1, h, w) is the explainability of the target, 0 to 1, averaged over the
        sources; None without masks, or where `with_mask` is false.
        """

    def explainability(self, features: Features) -> Tensor:
        """Explainability of the target (1, 1, h, w), 0 to 1, of one snippet, at the finest scale.

        It is averaged over the sources.
        """
        return torch.softmax(self.mask_logits(features, finest_only=True)[0], dim=2)[:, :, 1].mean(
            dim=1, keepdim=True
        )

    def vectors(self, features: Features) -> Tensor:
        """Six numbers for each motion (B, N - 1, 6): tx ty tz rx ry rz, float32."""
        raw = self.raw_vectors(features).float()
        translations, rotations = raw.split(3, dim=-1)
        return torch.cat(
            [translations * self.config.translation_gain, rotations * self.config.rotation_gain],
            dim=-1,
        )

    # Products of motions in half precision would turn cameras by a tenth of a degree.
    @torch.autocast("cpu", enabled=False)
    @torch.autocast("cuda", enabled=False)
    def source_from_target(self, vectors: Tensor) -> Tensor:
        """Motions (B, N - 1, 4, 4) from the target camera to each source camera, from `vectors`.

        Sources are in order of time.
        """
        motions = transform_from_vector(vectors)
        return motions if self.config.motion == "star" else chain_to_star(motions)

    def previous_from_current(self, vectors: Tensor) -> Tensor:
        """Motions of neighbours (B, N - 1, 4, 4), oldest first, from `vectors`."""
        motions = transform_from_vector(vectors)
        return star_to_chain(motions) if self.config.motion == "star" else motions

    def two_steps(self, frames: Tensor) -> Tensor:
        """Motions (B, N - 2, 4, 4) over two frames, measured directly.

        Entry i maps frame i + 2 into frame i. Raises InputError where the network takes snippets as
        a whole only.
        """
        raise InputError(
            f"{type(self).__name__} sees a snippet as a whole, not frames in pairs: "
            "it has no motion over two frames"
        )

    def forward(self, frames: Tensor, with_masks: bool = True) -> tuple[Tensor, list[Tensor]]:
        """source_from_target (B, N - 1, 4, 4) and mask logits, finest scale first.

        The list of logits is empty without masks, or where `with_masks` is false.
        """
        features = self.encode(frames)
        logits = self.mask_logits(features) if self.config.masks and with_masks else []
        return self.source_from_target(self.vectors(features)), logits


def target_of(frames: int) -> int:
    """Index of the target view in a snippet of `frames` frames."""
    return frames // 2


def chain_to_star(previous_from_current: Tensor) -> Tensor:
    """source_from_target (B, N - 1, 4, 4) from the motions of neighbours (B, N - 1, 4, 4).

    Entry i of the input maps frame i + 1 into frame i. The target is in the middle of N frames.
    """
    frames = previous_from_current.shape[1] + 1
    target = frames // 2
    motions: dict[int, Tensor] = {}
    step = None
    for source in range(target - 1, -1, -1):
        link = previous_from_current[:, source]
        step = link if step is None else link @ step
        motions[source] = step
    step = None
    for source in range(target + 1, frames):
        link = invert_transform(previous_from_current[:, source - 1])
        step = link if step is None else link @ step
        motions[source] = step
    return torch.stack([motions[source] for source in sorted(motions)], dim=1)


def star_to_chain(source_from_target: Tensor) -> Tensor:
    """previous_from_current (B, N - 1, 4, 4) of neighbours from source_from_target.

    Inverse of :func:`chain_to_star`.
    """
    target = (source_from_target.shape[1] + 1) // 2
    identity = torch.eye(
        4, dtype=source_from_target.dtype, device=source_from_target.device
    ).expand_as(source_from_target[:, :1])
    frame_from_target = torch.cat(
        [source_from_target[:, :target], identity, source_from_target[:, target:]], dim=1
    )
    return frame_from_target[:, :-1] @ invert_transform(frame_from_target[:, 1:])
