"""A frame with everything that there is to see, made by hand."""

from collections.abc import Callable

import numpy as np
import pytest

from sfm_odometry.geometry.camera import Intrinsics
from sfm_odometry.geometry.mount import BASE_FROM_OPTICAL
from sfm_odometry.results import (
    DenseMap,
    EventKind,
    FrameMotion,
    OdometryEvent,
    OdometryResult,
    TrackingState,
)
from sfm_odometry.scale import ScaleEstimate
from sfm_odometry.tracking.lazy import LazyFuture
from sfm_odometry.viewers.viewer import View

SECOND_NS = 1_000_000_000
START_NS = 1_700_000_000 * SECOND_NS
IMAGE = Intrinsics(100.0, 100.0, 47.5, 23.5, 96, 48)
MAP = IMAGE.resized(24, 12)
MOUNT = BASE_FROM_OPTICAL.copy()
MOUNT[:3, 3] = 0.5, 0.0, 1.2
"""The camera half a metre before the base and 1.2 m above it."""


@pytest.fixture
def make_view() -> Callable[..., View]:
    """Makes the view of a frame by its number: the camera drives 2 m a second along its z axis."""

    def make(number: int, depth: Callable[[], DenseMap] | None = None) -> View:
        stamp_ns = START_NS + number * SECOND_NS
        pose, step = np.eye(4), np.eye(4)
        pose[2, 3], step[2, 3] = 2.0 * number, 2.0
        motion = FrameMotion(
            stamp_ns, pose, 0.01 * np.eye(6), step, 1.0, np.array([0, 0, 2.0, 0, 0, 0]), np.eye(6)
        )
        values = np.full((MAP.height, MAP.width), 5.0, np.float32)
        values[0] = np.nan
        result = OdometryResult(
            TrackingState.TRACKING,
            ScaleEstimate(1.0, 0.1, False, "none"),
            events=(OdometryEvent(EventKind.GAP, "gap of 0.70 s"),),
            motions=(motion,),
            mask=DenseMap(stamp_ns - SECOND_NS, np.full_like(values, 0.6), MAP),
            depth_future=LazyFuture(depth or (lambda: DenseMap(stamp_ns, values, MAP))),
        )
        image = np.zeros((IMAGE.height, IMAGE.width, 3), np.uint8)
        image[...] = 250, 120, 10
        return View(stamp_ns, image, IMAGE, result, MOUNT)

    return make
