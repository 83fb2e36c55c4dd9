"""Contents that viewers share: points, the path, images."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from sfm_odometry.geometry.camera import Intrinsics
from sfm_odometry.results import DenseMap
from sfm_odometry.viewers.scene import (
    MAX_IMAGE_WIDTH,
    MAX_PATH_POSES,
    PATH_PERIOD_NS,
    TravelledPath,
    camera_jpeg,
    coloured_points,
    posed_motions,
)
from sfm_odometry.viewers.viewer import Viewers


def test_points_project_back_to_the_pixels_that_gave_their_colours():
    camera = Intrinsics(30.0, 40.0, 9.2, 5.1, 20, 12)
    depth = np.random.default_rng(0).uniform(2, 9, (12, 20)).astype(np.float32)
    depth[3, 4] = np.nan
    image = np.dstack(np.mgrid[0:12, 0:20]).astype(np.uint8)
    image = np.dstack([image, np.zeros((12, 20), np.uint8)])
    points, colours = coloured_points(DenseMap(0, depth, camera), image, camera)
    assert points.shape == colours.shape == (12 * 20 - 1, 3)
    u = points[:, 0] / points[:, 2] * 30.0 + 9.2
    v = points[:, 1] / points[:, 2] * 40.0 + 5.1
    assert np.stack([v, u], axis=1) == pytest.approx(colours[:, :2], abs=1e-3)
    assert points[:, 2] == pytest.approx(depth[np.isfinite(depth)])


def test_grey_images_give_grey_points_and_a_stride_leaves_out_pixels():
    camera = Intrinsics(30.0, 30.0, 9.5, 5.5, 20, 12)
    depth = DenseMap(0, np.full((12, 20), 4.0, np.float32), camera)
    points, colours = coloured_points(
        depth, np.full((24, 40), 77, np.uint8), camera.resized(40, 24), 2
    )
    assert points.shape == (6 * 10, 3)
    assert (colours == 77).all() and colours.shape == (60, 3)


def test_poses_are_those_of_the_base_on_which_the_camera_is_mounted(make_view):
    view = make_view(3)
    (posed,) = posed_motions(view)
    expected = np.eye(4)
    expected[0, 3] = 6.0
    assert posed.odom_from_base == pytest.approx(expected)


def test_a_long_path_is_thinned_and_keeps_its_newest_pose():
    path = TravelledPath()
    for index in range(3 * MAX_PATH_POSES):
        path.add(np.full((4, 4), float(index)))
        assert path.poses[-1][0, 0] == index
    assert MAX_PATH_POSES // 2 <= len(path.poses) <= MAX_PATH_POSES
    numbers = [pose[0, 0] for pose in path.poses]
    assert numbers == sorted(numbers) and numbers[0] < 5


def test_the_path_is_due_once_a_second_of_the_stamps_also_when_they_jump_back():
    path = TravelledPath()
    assert not path.is_due(0)
    path.add(np.eye(4))
    due = [path.is_due(stamp) for stamp in (5, 6, 5 + PATH_PERIOD_NS, 6)]
    assert due == [True, False, True, False]
    assert path.is_due(5 - PATH_PERIOD_NS)


def test_wide_images_are_reduced_with_their_intrinsics(make_view):
    camera = Intrinsics(1000.0, 1000.0, 959.5, 539.5, 1920, 1080)
    view = replace(make_view(0), image=np.zeros((1080, 1920), np.uint8), intrinsics=camera)
    data, intrinsics = camera_jpeg(view)
    decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    assert decoded.shape == (720, MAX_IMAGE_WIDTH)
    assert intrinsics == camera.resized(MAX_IMAGE_WIDTH, 720)


class Broken:
    """A viewer whose disk is full."""

    wants_depth = wants_mask = True
    closed = 0

    def show(self, view):
        raise OSError("no space left")

    def clear(self):
        raise AssertionError("not called after the failure")

    def close(self):
        self.closed += 1


class Counting:
    wants_depth = wants_mask = False
    shown = cleared = closed = 0

    def show(self, view):
        self.shown += 1

    def clear(self):
        self.cleared += 1

    def close(self):
        self.closed += 1


def test_a_viewer_that_fails_is_named_once_and_the_others_go_on(make_view):
    said: list[str] = []
    broken, counting = Broken(), Counting()
    viewers = Viewers([broken, counting], said.append)
    assert viewers.wants_depth and viewers.wants_mask
    for number in range(3):
        viewers.show(make_view(number))
    viewers.clear()
    viewers.close()
    assert said == ["Broken failed and is closed: OSError: no space left"]
    assert (broken.closed, counting.shown, counting.cleared, counting.closed) == (1, 3, 1, 1)
    assert not viewers.wants_depth
