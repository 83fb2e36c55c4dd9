"""Pixel values of depth and mask messages, number by number."""

import numpy as np
import pytest

from sfm_odometry.nodes.image_encoding import colorize_depth, depth_to_millimetres, mask_to_grey


def test_depth_to_millimetres_rounds_and_saturates_with_zero_for_unknown() -> None:
    depth = np.array([[0.1, 1.2344, 1.2346, np.nan], [65.534, 65.535, 65.6, 1e5]], np.float32)
    result = depth_to_millimetres(depth)
    assert result.dtype == np.uint16
    np.testing.assert_array_equal(result, [[100, 1234, 1235, 0], [65534, 65535, 65535, 65535]])
    assert np.isnan(depth[0, 3])  # the caller's depth is not touched


def test_mask_to_grey() -> None:
    np.testing.assert_array_equal(
        mask_to_grey(np.array([[0.0, 0.5, 1.0, 1.5, -1.0, np.nan]], np.float32)),
        [[0, 128, 255, 255, 0, 0]],
    )


@pytest.mark.parametrize(("depth_m", "channel"), [(0.5, 2), (2.2, 2), (79.0, 0)])
def test_colorize_depth_is_red_near_and_blue_far(depth_m: float, channel: int) -> None:
    colours = colorize_depth(np.array([[depth_m, np.nan]], np.float32), 80.0)
    assert colours[0, 0].argmax() == channel
    assert colours[0, 1].tolist() == [0, 0, 0]
