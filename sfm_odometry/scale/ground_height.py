"""Height of the camera over the ground, in the unit of the motion."""

import math
from collections import deque
from dataclasses import dataclass

import numpy as np

from sfm_odometry.scale.estimate import DepthView, FramePair
from sfm_odometry.scale.ground import (
    DOWN,
    GroundConfig,
    GroundPlane,
    GroundRegion,
    NoGround,
    NoParallax,
    fit_ground,
    ground_region,
)
from sfm_odometry.scale.ground_alignment import GroundImages, align_ground

MAX_WAIT_NS = 3_000_000_000
"""Time over which the camera may move until the ground shows enough parallax; then the measurement
starts anew, as its motion drifts and the view changes."""

CLIMB_WINDOW = 15
"""Measurements of the median climb."""
MIN_CLIMB_SIGMA = 0.004
"""Least standard deviation of the climb: the ground ahead has another slope than that below."""
MAX_REGIONS = 4
"""Regions that are kept: those of two sizes of image, of two directions of gravity."""


@dataclass(frozen=True)
class HeightMeasurement:
    """Height of the camera over the ground in one frame."""

    stamp_ns: int
    log_height: float
    """Logarithm of the height in the unit of the motion."""
    relative_sigma: float
    median_climb: float
    """Share of the camera's motion that is along the ground's normal by the images, as the median
    of the last absolute values: 0 for a camera that keeps to the ground, at most 1."""


class GroundHeightMeter:
    """Measures the camera's height on the ground plane.

    The plane is found in the predicted depth and then aligned to two images with the refined motion
    between them: the height is in the translation's unit. A camera that drives moves along the
    ground, which determines its tilt better than the images do, and with it the height. A slow
    camera moves too little from one frame to the next, so the first image is kept until the ground
    has moved by enough pixels.
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
        self._regions: dict[tuple[object, ...], GroundRegion] = {}
        self._climbs: deque[float] = deque(maxlen=CLIMB_WINDOW)
        self.reset()

    def set_gravity_direction(self, down: np.ndarray) -> None:
        """Set the downward direction (3,) in the camera's axes; until then it is level."""
        self._down = np.asarray(down, dtype=np.float64) / np.linalg.norm(down)

    def reset(self) -> None:
        """Forget the frames."""
        self._climbs.clear()
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
        frame = pair.current
        depth = frame.depth * np.float32(pair.depth_unit)
        depth_plane = fit_ground(depth, self._region_of(frame), self._config)
        # The same plane by two images, those of the networks' size and then the larger ones.
        plane = depth_plane
        views: list[tuple[DepthView, DepthView]] = [(pair.previous, frame)]
        if frame.tracking_view is not frame:
            views.append((pair.previous.tracking_view, frame.tracking_view))
        for previous, current in views:
            images = self._images(previous, current, depth_plane, pair.depth_unit)
            plane = align_ground(
                images, pair.previous_from_current, plane, depth_plane, self._config
            )
        # The tilt of the plane by the direction in which the camera moves.
        forward = pair.previous_from_current[:3, :3].T @ pair.previous_from_current[:3, 3]
        self._climbs.append(abs(plane.climb(forward)))
        median_climb = float(np.median(self._climbs))
        plane = plane.with_climb(forward, max(median_climb, MIN_CLIMB_SIGMA))
        return HeightMeasurement(
            stamp_ns=pair.end_ns,
            log_height=math.log(plane.height),
            relative_sigma=math.hypot(plane.relative_sigma, self._config.height_sigma),
            median_climb=median_climb,
        )

    def _images(
        self, previous: DepthView, current: DepthView, depth_plane: GroundPlane, depth_unit: float
    ) -> GroundImages:
        """Two images, and the pixels of the ground in them by the depth of the current one."""
        region = self._region_of(current)
        depth = current.depth_at(region.pixels) * depth_unit
        inliers = depth_plane.inliers(region.rays, depth, self._config.inlier_distance)
        return GroundImages(previous.grey, current.grey, current.intrinsics, region, inliers)

    def _region_of(self, view: DepthView) -> GroundRegion:
        """Ground's region of a view; kept until another camera or direction comes."""
        size = (view.grey.shape[1], view.grey.shape[0])
        key = (size, view.intrinsics.tobytes(), self._down.tobytes())
        if key not in self._regions:
            if len(self._regions) >= MAX_REGIONS:
                self._regions.clear()
            self._regions[key] = ground_region(view.intrinsics, size, self._down, self._config)
        return self._regions[key]
