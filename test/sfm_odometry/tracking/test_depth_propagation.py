"""Depth maps moved to later views."""

import numpy as np

from sfm_odometry.geometry import se3
from sfm_odometry.tracking.depth_propagation import CELL, PropagatedDepth, propagate_depth

K = np.array([[60.0, 0.0, 31.5], [0.0, 60.0, 23.5], [0.0, 0.0, 1.0]])
SHAPE = (48, 64)


class View:
    """Frame that counts how often its depth is predicted."""

    depth_intrinsics = K

    def __init__(self, depth):
        self._depth = np.full(SHAPE, depth, np.float32)
        self.predictions = 0

    @property
    def depth(self):
        self.predictions += 1
        return self._depth


def moved(x=0.0, y=0.0, z=0.0, yaw=0.0):
    motion = np.eye(4)
    motion[:3, :3] = se3.so3_exp(np.array([0.0, yaw, 0.0]))
    motion[:3, 3] = (x, y, z)
    return motion


def test_without_motion_depth_stays():
    rows = np.linspace(3.0, 9.0, SHAPE[0], dtype=np.float32)[:, None].repeat(SHAPE[1], axis=1)
    result = propagate_depth(rows, K, np.eye(4))
    assert result.shape == SHAPE and result.dtype == np.float32
    # The nearest pixel of a cell is at most a cell away.
    assert np.abs(result - rows).max() <= CELL * 6.0 / (SHAPE[0] - 1) + 1e-5


def test_a_wall_comes_nearer_as_the_camera_drives_towards_it():
    result = propagate_depth(np.full(SHAPE, 8.0, np.float32), K, moved(z=-3.0))
    assert np.isfinite(result).all() and np.allclose(result, 5.0)


def test_depth_follows_a_turn_and_is_unknown_where_the_camera_had_not_looked():
    """A plane is seen at another depth in each column, by its equation n x = d."""
    turn = moved(yaw=0.3)
    result = propagate_depth(np.full(SHAPE, 8.0, np.float32), K, turn)
    normal = turn[:3, :3] @ [0.0, 0.0, 1.0]
    u, v = np.meshgrid(np.arange(SHAPE[1]), np.arange(SHAPE[0]))
    rays = np.stack([(u - K[0, 2]) / K[0, 0], (v - K[1, 2]) / K[1, 1], np.ones(SHAPE)])
    expected = 8.0 / np.tensordot(normal, rays, 1)
    known = np.isfinite(result)
    assert 0.4 < known.mean() < 0.9
    assert np.abs(result / expected - 1.0)[known].max() < 0.06


def test_the_nearest_surface_hides_the_others():
    depth = np.full(SHAPE, 20.0, np.float32)
    depth[:, 20:28] = 4.0
    result = propagate_depth(depth, K, moved(x=-0.5))
    # The pole has moved by 60 * 0.5 / 4 = 7.5 pixels, the wall by 1.5.
    assert np.allclose(result[:, 16:18], 4.0)
    assert np.allclose(result[:, 40:], 20.0)


def test_points_behind_the_camera_and_unknown_ones_are_left_out():
    depth = np.full(SHAPE, 5.0, np.float32)
    assert np.isnan(propagate_depth(depth, K, moved(z=-6.0))).all()
    depth[:] = np.nan
    assert np.isnan(propagate_depth(depth, K, np.eye(4))).all()


def test_depth_is_predicted_again_after_the_given_steps():
    source = PropagatedDepth(max_steps=3)
    views = [View(10.0 - step) for step in range(5)]
    seen = []
    for step, view in enumerate(views):
        if step:
            source.advance(moved(z=-1.0))
        seen.append(float(np.nanmedian(source.of(view))))
    assert [view.predictions for view in views] == [1, 0, 0, 1, 0]
    assert np.allclose(seen, [10.0, 9.0, 8.0, 7.0, 6.0])


def test_after_a_reset_depth_is_predicted():
    source = PropagatedDepth(max_steps=3)
    source.of(View(5.0))
    source.advance(moved(z=-1.0))
    source.reset()
    view = View(7.0)
    assert np.allclose(source.of(view), 7.0) and view.predictions == 1 and source.steps == 0
