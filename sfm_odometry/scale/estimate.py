"""The scale: metres in the model's unit of length, how sure that is, and the interface of all
that measures it."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from sfm_odometry.tracking.noise_model import UNKNOWN_SCALE

FIXED_SIGMA = 0.1
"""Share by which the packaged model's unit wanders along a drive (0.05 on rendered ones, 0.1 on
KITTI 00 and 03): a constant misses it."""


@dataclass(frozen=True)
class ScaleEstimate:
    """The one factor for depth and translation, at one time."""

    value: float
    """Metres, where it is metric, in the model's unit of length."""
    relative_sigma: float
    """Standard deviation of the value as a share of it; never zero."""
    is_metric: bool
    source: str
    """Who says so: none, fixed, camera_height, odometry or twist."""
    reason: str = ""
    """Why it is not metric; empty where it is."""


class DepthFrame(Protocol):
    """What a source of scale may look at in a frame; either is made when first asked for."""

    @property
    def grey(self) -> np.ndarray:
        """(H, W) uint8."""
        ...

    @property
    def depth(self) -> np.ndarray:
        """(H, W) float32 along z, in the model's unit of length."""
        ...


@dataclass(frozen=True)
class FramePair:
    """A step of the camera between two frames; lengths are in the model's unit."""

    previous: DepthFrame
    current: DepthFrame
    previous_from_current: np.ndarray
    """(4, 4)."""
    start_ns: int
    end_ns: int
    intrinsics: np.ndarray
    """(3, 3) of both frames."""

    @property
    def length(self) -> float:
        """How far the camera went."""
        return float(np.linalg.norm(self.previous_from_current[:3, 3]))


class ScaleSource(ABC):
    """Measures the scale. Each step is shown to it once, oldest first, before the scale of that
    step is asked for.

    What a source has no use for it ignores.
    """

    @abstractmethod
    def estimate(self, stamp_ns: int) -> ScaleEstimate:
        """The scale at a time."""

    def observe(self, step: FramePair) -> None:  # noqa: B027
        """Look at a step that has no scale yet."""

    def add_speed(self, stamp_ns: int, speed_mps: float) -> None:  # noqa: B027
        """Take a speed of the camera from elsewhere."""

    def set_gravity_direction(self, down: np.ndarray) -> None:  # noqa: B027
        """Take where down is in the camera's optical frame, (3,), as its mount says."""

    def reset(self) -> None:  # noqa: B027
        """Forget what was measured: another camera, or a clock that jumped back."""


class ConstantScale(ScaleSource):
    """A scale that nothing measures: unknown, or given by the user."""

    def __init__(self, estimate: ScaleEstimate) -> None:
        self._estimate = estimate

    @classmethod
    def unknown(cls) -> "ConstantScale":
        """Lengths stay in the model's unit."""
        return cls(ScaleEstimate(1.0, UNKNOWN_SCALE, False, "none", "scale.mode is none"))

    @classmethod
    def fixed(cls, value: float) -> "ConstantScale":
        """The user's word."""
        return cls(ScaleEstimate(value, FIXED_SIGMA, True, "fixed"))

    def estimate(self, stamp_ns: int) -> ScaleEstimate:
        """Always the same."""
        return self._estimate
