"""Results of the odometry: tracking state, events, motions, depth and masks of one frame."""

from dataclasses import dataclass
from enum import Enum

import numpy as np

from sfm_odometry.geometry.camera import Intrinsics
from sfm_odometry.scale import ScaleEstimate
from sfm_odometry.tracking.lazy import LazyFuture


class TrackingState(Enum):
    """State of the odometry after a frame."""

    FILLING_WINDOW = "filling_window"
    TRACKING = "tracking"
    LOST = "lost"


class EventKind(Enum):
    """Kinds of events that interrupt or disturb tracking."""

    CAMERA_CHANGE = "camera_change"
    """The intrinsics changed by more than `max_intrinsics_change`: the window starts anew."""
    GAP = "gap"
    """More than `max_gap_s` passed since the frame before: the window starts anew."""
    CLOCK_JUMP = "clock_jump"
    """The stamp is at least a second older than the newest, or its clock was set forward: the
    window starts anew."""
    LOST = "lost"
    """The window's motion is not plausible: the window starts anew."""


@dataclass(frozen=True)
class OdometryEvent:
    """Event that came with a frame."""

    kind: EventKind
    detail: str
    """Description for people, with its numbers."""

    def __str__(self) -> str:
        return f"lost: {self.detail}" if self.kind is EventKind.LOST else self.detail


@dataclass(frozen=True)
class FrameMotion:
    """Pose and motion of a frame whose pose became known; lengths are in the published unit."""

    stamp_ns: int
    start_from_camera: np.ndarray
    """(4, 4) float64: this camera in the optical frame of the first one."""
    pose_covariance: np.ndarray
    """(6, 6) of that pose, translation then rotation, in the axes of this camera."""
    previous_from_current: np.ndarray
    """(4, 4) float64: the step from the frame before; the identity for the first."""
    dt_s: float
    twist: np.ndarray
    """(6,): linear and angular velocity in the axes of this camera."""
    twist_covariance: np.ndarray
    """(6, 6) of the twist."""
    unrefined: str = ""
    """Reason for which the networks' own motion was kept; empty where the step was refined."""


@dataclass(frozen=True)
class DenseMap:
    """Depth or mask of a frame: values (H, W) float32 at the networks' size."""

    stamp_ns: int
    values: np.ndarray
    intrinsics: Intrinsics
    """Of the map's own pixels."""


@dataclass(frozen=True)
class OdometryResult:
    """Result of :meth:`MonocularOdometry.process` for one frame."""

    state: TrackingState
    scale: ScaleEstimate
    """Factor from the model's unit of length to the published one, in motions and depth alike."""
    refused: str = ""
    """Reason for which the frame was refused; empty where it was taken."""
    events: tuple[OdometryEvent, ...] = ()
    """All events of this frame, in the order in which they happened."""
    motions: tuple[FrameMotion, ...] = ()
    """Frames with a new pose, oldest first: the whole window when it fills, then one a frame."""
    mask: DenseMap | None = None
    """Explainability mask, 0 to 1, of the window's target frame."""
    preprocess_ms: float = 0.0
    inference_ms: float = 0.0
    """Time from the preprocessed frame to its motions."""
    depth_future: LazyFuture[DenseMap] | None = None
    """Depth of the newest frame, which may still be computed on a background thread."""

    @property
    def depth(self) -> DenseMap | None:
        """Depth of the newest frame along z, NaN = unknown; waits until it is computed."""
        return None if self.depth_future is None else self.depth_future.get()
