"""Depth of a frame at keypoints of its tracking view."""

import numpy as np
import pytest

from sfm_odometry.tracking.direct_config import AlignmentConfig
from sfm_odometry.tracking.frame import Frame, median_depth
from sfm_odometry.tracking.lazy import LazyFuture

SIZE = (64, 32)
K = np.array([[50.0, 0.0, 31.5], [0.0, 50.0, 15.5], [0.0, 0.0, 1.0]])
K_TRACKING = np.array([[100.0, 0.0, 79.5], [0.0, 100.0, 79.5], [0.0, 0.0, 1.0]])


def make_frame(depth, tracking=True):
    view = (np.zeros((160, 160), np.uint8), K_TRACKING) if tracking else None
    image = LazyFuture(lambda: np.zeros((SIZE[1], SIZE[0], 1), np.uint8))
    return Frame(image, K, lambda _: depth, AlignmentConfig(), tracking=view)


@pytest.fixture
def depth():
    return np.arange(SIZE[0] * SIZE[1], dtype=np.float32).reshape(SIZE[1], SIZE[0]) + 1.0


def test_depth_is_that_of_the_same_ray_in_the_networks_image(depth):
    view = make_frame(depth).tracking_view
    keypoints = np.array([[79.5, 79.5], [99.5, 69.5]])  # the axis, and (0.2, -0.1)
    assert view.depth_at(keypoints - 0.1).tolist() == [depth[15, 31], depth[10, 41]]


def test_depth_is_unknown_beyond_the_networks_image(depth):
    view = make_frame(depth).tracking_view
    assert np.isnan(view.depth_at(np.array([[79.5, 5.0], [2.0, 79.5], [79.5, 155.0]]))).all()


def test_median_is_that_of_the_known_depth(depth):
    depth[:, :40] = np.nan
    depth[:, 40:] = 7.0
    assert median_depth(depth) == 7.0
    assert np.isnan(median_depth(np.full_like(depth, np.nan)))


def test_without_another_size_features_are_tracked_in_the_networks_image(depth):
    frame = make_frame(depth, tracking=False)
    assert frame.tracking_view is frame
    assert frame.depth_at(np.array([[3.2, 4.4]])).tolist() == [depth[4, 3]]
