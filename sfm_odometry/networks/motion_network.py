"""What every motion network has in common: from a snippet of frames to the motions between them
and to explainability masks."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, Generic, Literal, Protocol, TypeVar

import torch
from torch import Tensor, nn

from sfm_odometry.errors import InputError
from sfm_odometry.geometry.projection import invert_transform, transform_from_vector
from sfm_odometry.networks.stage import Stage

Features = TypeVar("Features")
Run = Mapping[str, Callable[..., Any]]
"""The parts of a network by name, or what computes the same."""
Memory = dict[str, Tensor]
"""What is kept of one frame, and of it and the one before, while the window slides."""


class MotionConfig(Protocol):
    """What the configuration of a motion network says at least."""

    @property
    def image_channels(self) -> int:
        """1 for grey frames, 3 for RGB."""

    @property
    def frames(self) -> int:
        """Frames of a snippet; the middle one is the target view, the others are the sources."""

    @property
    def motion(self) -> Literal["star", "chain"]:
        """star: each vector is source_from_target (Zhou et al.); chain: previous_from_current of
        two neighbours (Mahjourian et al.)."""

    @property
    def translation_gain(self) -> float:
        """Factor from the network's last layer to lengths."""

    @property
    def rotation_gain(self) -> float:
        """Factor from the network's last layer to angles in radians."""

    @property
    def masks(self) -> bool:
        """Whether there is a mask for each source view."""


class MotionNetwork(nn.Module, ABC, Generic[Features]):
    """Snippets (B, N, C, H, W), normalised and in order of time, to N - 1 motions and as many
    masks."""

    def __init__(self, config: MotionConfig) -> None:
        super().__init__()
        self.config = config
        self.sources = config.frames - 1

    @abstractmethod
    def encode(self, frames: Tensor) -> Features:
        """What motions and masks are both read from."""

    @abstractmethod
    def raw_vectors(self, features: Features) -> Tensor:
        """Six numbers a motion (B, N - 1, 6) before their gains."""

    @abstractmethod
    def mask_logits(self, features: Features, finest_only: bool = False) -> list[Tensor]:
        """Logits (B, N - 1, 2, h, w), finest first: channel 0 unexplainable, channel 1
        explainable, softmax over the two."""

    @abstractmethod
    def parts(self) -> dict[str, Stage]:
        """What `slide` is made of, in the order of computing it."""

    @abstractmethod
    def slide(
        self, run: Run, frames: list[Tensor], memories: list[Memory], with_mask: bool
    ) -> tuple[Tensor, Tensor | None]:
        """Vectors (1, N - 1, 6) of a window that slides, of frames (1, C, H, W) and a memory for
        each; `run` computes the parts.

        And how explainable the target is (1, 1, h, w), 0 to 1, averaged over the sources, where
        there are masks and it is wanted. What belongs to one frame, or to it and the one before, is
        kept in that frame's memory and found there the next time.
        """

    def explainable(self, features: Features) -> Tensor:
        """How explainable the target is (1, 1, h, w), at the finest scale, averaged over the
        sources, of one snippet."""
        return torch.softmax(self.mask_logits(features, finest_only=True)[0], dim=2)[:, :, 1].mean(
            dim=1, keepdim=True
        )

    def vectors(self, features: Features) -> Tensor:
        """Six numbers a motion (B, N - 1, 6): tx ty tz rx ry rz, float32."""
        raw = self.raw_vectors(features).float()
        translations, rotations = raw.split(3, dim=-1)
        return torch.cat(
            [translations * self.config.translation_gain, rotations * self.config.rotation_gain],
            dim=-1,
        )

    @torch.autocast(
        "cpu", enabled=False
    )  # products of motions in half precision would turn cameras by a tenth of a degree
    @torch.autocast("cuda", enabled=False)
    def source_from_target(self, vectors: Tensor) -> Tensor:
        """Motions (B, N - 1, 4, 4) that map target-camera points into each source camera,
        sources in order of time, from `vectors`."""
        motions = transform_from_vector(vectors)
        return motions if self.config.motion == "star" else chain_to_star(motions)

    def previous_from_current(self, vectors: Tensor) -> Tensor:
        """Motions of neighbours (B, N - 1, 4, 4), oldest first, from `vectors`."""
        motions = transform_from_vector(vectors)
        return star_to_chain(motions) if self.config.motion == "star" else motions

    def two_steps(self, frames: Tensor) -> Tensor:
        """Motions (B, N - 2, 4, 4) over two frames, seen directly: entry i maps frame i + 2 into
        frame i.

        Raises InputError where the network sees snippets as a whole only.
        """
        raise InputError(
            f"{type(self).__name__} sees a snippet as a whole, not frames in pairs: it has no motion over two frames"
        )

    def forward(self, frames: Tensor, with_masks: bool = True) -> tuple[Tensor, list[Tensor]]:
        """source_from_target (B, N - 1, 4, 4) and mask logits, finest first; these are empty
        without masks, or where none are wanted."""
        features = self.encode(frames)
        logits = self.mask_logits(features) if self.config.masks and with_masks else []
        return self.source_from_target(self.vectors(features)), logits


def target_of(frames: int) -> int:
    """Index of the target view in a snippet of so many frames."""
    return frames // 2


def chain_to_star(previous_from_current: Tensor) -> Tensor:
    """source_from_target (B, N - 1, 4, 4) from the motions of neighbours (B, N - 1, 4, 4), target
    in the middle of N frames.

    Entry i of the input maps frame i + 1 into frame i.
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
    """previous_from_current (B, N - 1, 4, 4) of neighbours from source_from_target: the inverse
    of :func:`chain_to_star`."""
    target = (source_from_target.shape[1] + 1) // 2
    identity = torch.eye(
        4, dtype=source_from_target.dtype, device=source_from_target.device
    ).expand_as(source_from_target[:, :1])
    frame_from_target = torch.cat(
        [source_from_target[:, :target], identity, source_from_target[:, target:]], dim=1
    )
    return frame_from_target[:, :-1] @ invert_transform(frame_from_target[:, 1:])
