"""Scale estimates, metres in the model's unit of length, and the interface of scale sources."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from sfm_odometry.tracking.noise_model import UNKNOWN_SCALE

FIXED_SIGMA = 0.1
"""Relative drift of the packaged model's unit along a drive (0.05 on rendered ones, 0.1 on KITTI
00 and 03), which a constant scale does not follow."""


@dataclass(frozen=True)
class ScaleEstimate:
    """Factor for depth and translation at one time."""

    value: float
    """Metres in the model's unit of length, if it is metric."""
    relative_sigma: float
    """Standard deviation of the value, relative to it; never zero."""
    is_metric: bool
    source: str
    """Name of the source: none, fixed, camera_height, odometry or twist."""
    reason: str = ""
    """Reason for not being metric; empty if it is."""


class DepthView(Protocol):
    """Grey image with depth."""

    @property
    def grey(self) -> np.ndarray:
        """Grey image (H, W), uint8."""
        ...

    @property
    def intrinsics(self) -> np.ndarray:
        """Camera matrix (3, 3)."""
        ...

    def depth_at(self, keypoints: np.ndarray) -> np.ndarray:
        """Depths (N,) along z at keypoints (N, 2), NaN where none is known."""
        ...


class DepthFrame(DepthView, Protocol):
    """Images of a frame that scale sources use; each is computed on first access."""

    @property
    def depth(self) -> np.ndarray:
        """Depth along z (H, W), float32, in the model's unit of length."""
        ...

    @property
    def tracking_view(self) -> DepthView:
        """Larger image of the same view, or this frame itself where there is none."""
        ...


@dataclass(frozen=True)
class FramePair:
    """Two frames and the motion between them; lengths are in the model's unit."""

    previous: DepthFrame
    current: DepthFrame
    previous_from_current: np.ndarray
    """Rigid motion (4, 4)."""
    start_ns: int
    end_ns: int
    depth_unit: float = 1.0
    """Length of one unit of the frames' depth, in the unit of the motion."""
    start_has_depth: bool = True
    """Whether the previous frame's depth was predicted for tracking; otherwise it costs a run of
    the network."""

    def followed_by(self, pair: "FramePair") -> "FramePair":
        """Pair from this one's previous frame to the current frame of the pair that follows."""
        return FramePair(
            previous=self.previous,
            current=pair.current,
            previous_from_current=self.previous_from_current @ pair.previous_from_current,
            start_ns=self.start_ns,
            end_ns=pair.end_ns,
            depth_unit=pair.depth_unit,
        )

    @property
    def length(self) -> float:
        """Distance that the camera travelled."""
        return float(np.linalg.norm(self.previous_from_current[:3, 3]))


class ScaleSource(ABC):
    """Measures the scale.

    Each pair of frames is passed to `observe` once, oldest first, before the scale at its end is
    requested. Sources ignore inputs that they have no use for.
    """

    @abstractmethod
    def estimate(self, stamp_ns: int) -> ScaleEstimate:
        """Returns the scale at a time."""

    @property
    def needs_depth(self) -> bool:
        """Whether the depth of every frame is measured, and should be inferred ahead of time."""
        return False

    def observe(self, pair: FramePair) -> None:  # noqa: B027
        """Measures the scale on a pair of frames."""

    def add_speed(self, stamp_ns: int, speed_mps: float) -> None:  # noqa: B027
        """Adds a speed of the camera, measured by another sensor."""

    def set_gravity_direction(self, down: np.ndarray) -> None:  # noqa: B027
        """Sets the downward direction (3,) in the camera's optical frame, known from its mount."""

    def reset(self) -> None:  # noqa: B027
        """Discards all measurements: another camera, or a clock that jumped back."""


class ConstantScale(ScaleSource):
    """Scale without measurements: unknown, or given by the user."""

    def __init__(self, estimate: ScaleEstimate) -> None:
        self._estimate = estimate

    @classmethod
    def unknown(cls) -> "ConstantScale":
        """Unknown scale: lengths stay in the model's unit."""
        return cls(
            ScaleEstimate(
                value=1.0,
                relative_sigma=UNKNOWN_SCALE,
                is_metric=False,
                source="none",
                reason="scale.mode is none",
            )
        )

    @classmethod
    def fixed(cls, value: float) -> "ConstantScale":
        """Scale given by the user."""
        return cls(ScaleEstimate(value, FIXED_SIGMA, is_metric=True, source="fixed"))

    def estimate(self, stamp_ns: int) -> ScaleEstimate:
        """Returns the same scale at all times."""
        return self._estimate
