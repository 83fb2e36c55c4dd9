"""Pinhole intrinsics."""

import numpy as np
import pytest

from sfm_odometry.errors import CalibrationError
from sfm_odometry.geometry.camera import Intrinsics

KITTI = Intrinsics(721.5377, 721.5377, 609.5593, 172.854, 1242, 375)


def project(camera, point):
    return np.array(
        [camera.fx * point[0] / point[2] + camera.cx, camera.fy * point[1] / point[2] + camera.cy]
    )


def test_resizing_moves_pixel_centres_as_area_resampling_does():
    half = KITTI.resized(621, 375)
    u, v = project(KITTI, (0.3, -0.1, 2.0))
    assert project(half, (0.3, -0.1, 2.0)) == pytest.approx([(u + 0.5) / 2 - 0.5, v])


def test_resizing_and_back_is_the_identity():
    again = KITTI.resized(416, 128).resized(1242, 375)
    assert again.matrix() == pytest.approx(KITTI.matrix())


def test_cropping_shifts_the_principal_point():
    u, v = project(KITTI, (1.0, 1.0, 5.0))
    assert project(KITTI.cropped(10, 20, 100, 100), (1.0, 1.0, 5.0)) == pytest.approx(
        [u - 10, v - 20]
    )


def test_flipping_mirrors_pixel_centres():
    u, v = project(KITTI, (1.0, 1.0, 5.0))
    assert project(KITTI.flipped(), (-1.0, 1.0, 5.0)) == pytest.approx([1241 - u, v])
    assert KITTI.flipped().flipped() == KITTI


@pytest.mark.parametrize(
    "change", [{"fx": 0.0}, {"fy": -1.0}, {"cx": float("nan")}, {"cy": float("inf")}, {"width": 0}]
)
def test_impossible_intrinsics_are_refused(change):
    values = {"fx": 1.0, "fy": 1.0, "cx": 0.0, "cy": 0.0, "width": 2, "height": 2} | change
    with pytest.raises(CalibrationError, match=str(next(iter(change.values())))):
        Intrinsics(**values)


def test_skew_is_refused():
    matrix = KITTI.matrix()
    matrix[0, 1] = 1.0
    with pytest.raises(CalibrationError, match="skew"):
        Intrinsics.from_matrix(matrix, 1242, 375)
