"""Height of the camera over the ground, in the unit of the motion."""

import math
from dataclasses import dataclass

import numpy as np

from sfm_odometry.scale.estimate import FramePair
from sfm_odometry.scale.ground import (
    DOWN,
    GroundConfig,
    GroundRegion,
    NoGround,
    NoParallax,
    align_ground,
    fit_ground,
    ground_region,
)

MAX_WAIT_NS = 3_000_000_000
"""Time over which the camera may move until the ground shows enough parallax; then the measurement
starts anew, as its motion drifts and the view changes."""


@dataclass(frozen=True)
class HeightMeasurement:
    """Height of the camera over the ground in one frame."""

    stamp_ns: int
    log_height: float
    """Logarithm of the height in the unit of the motion."""
    relative_sigma: float
    climb: float
    """Share of the camera's motion that is along the ground's normal, -1 to 1."""


class GroundHeightMeter:
    """Measures the camera's height on the ground plane.

    The plane is found in the predicted depth and then aligned to two images with the refined motion
    between them: the height is in the translation's unit. A slow camera moves too little from one
    frame to the next, so the first image is kept until the ground has moved by enough pixels.
    """

    def __init__(
        self, config: GroundConfig | None = None, stride: int = 1, known_depth_only: bool = False
    ) -> None:
        """stride: frames between two measurements, at least. known_depth_only: measure only in
        frames whose depth was predicted for tracking."""
        self._config = config or GroundConfig()
        self._stride = stride
        self._known_depth_only = known_depth_only
        self._down = DOWN
        self._region: tuple[tuple[object, ...], GroundRegion] | None = None
        self.reset()

    def set_gravity_direction(self, down: np.ndarray) -> None:
        """Set the downward direction (3,) in the camera's axes; until then it is level."""
        self._down = np.asarray(down, dtype=np.float64) / np.linalg.norm(down)

    def reset(self) -> None:
        """Forget the frames."""
        self._newest: FramePair | None = None
        self._span: FramePair | None = None
        self._frames = 0

    def observe(self, pair: FramePair) -> HeightMeasurement | None:
        """Add a pair of consecutive frames; returns the height where it can be measured.

        The pairs before are measured, up to a frame whose depth is known by now. Raises NoGround
        where no plane is found, and NoParallax while the camera has hardly moved.
        """
        previous = self._newest
        self._newest = pair
        if previous is None:
            return None
        span = previous if self._span is None else self._span.followed_by(previous)
        self._span = span
        self._frames += 1
        if self._frames < self._stride or (self._known_depth_only and not pair.start_has_depth):
            return None
        try:
            measurement = self._measure(span)
        except NoParallax:
            if span.end_ns - span.start_ns > MAX_WAIT_NS:
                self._start_span()
            raise
        except NoGround:
            self._start_span()
            raise
        self._start_span()
        return measurement

    def _start_span(self) -> None:
        self._span = None
        self._frames = 0

    def _measure(self, pair: FramePair) -> HeightMeasurement:
        # Plane in the predicted depth.
        depth = pair.current.depth
        if pair.depth_unit != 1.0:
            depth = depth * np.float32(pair.depth_unit)
        region = self._region_of(pair.intrinsics, depth.shape)
        depth_plane = fit_ground(depth, region, self._config)
        # The same plane by the two images.
        plane = align_ground(
            previous=pair.previous.grey,
            current=pair.current.grey,
            previous_from_current=pair.previous_from_current,
            intrinsics=pair.intrinsics,
            region=region,
            depth_plane=depth_plane,
            config=self._config,
        )
        # Motion of the camera along the plane's normal, which points down.
        forward = pair.previous_from_current[:3, :3].T @ pair.previous_from_current[:3, 3]
        climb = -float(plane.normal @ forward) / max(pair.length, 1e-9)
        return HeightMeasurement(pair.end_ns, math.log(plane.height), plane.relative_sigma, climb)

    def _region_of(self, intrinsics: np.ndarray, shape: tuple[int, ...]) -> GroundRegion:
        """Ground's region, computed again only for another camera or direction."""
        key = (shape, intrinsics.tobytes(), self._down.tobytes())
        if self._region is None or self._region[0] != key:
            size = (shape[1], shape[0])
            self._region = (key, ground_region(intrinsics, size, self._down, self._config))
        return self._region[1]
