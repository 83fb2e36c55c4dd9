"""Pinhole intrinsics."""

import numpy as np
import pytest

from sfm_odometry.errors import CalibrationError
from sfm_odometry.geometry.camera import Intrinsics, check_plausible

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


@pytest.mark.parametrize(("numbers", "size", "words"), [
    ((0.58, 1.92, 0.5, 0.5), (1242, 375), "looks like shares of the image: multiply by its width"),
    ((0.58, 0.58, 0.49, 0.15), (1242, 375), "looks like shares of the image"),
    ((1.2, 1.6, 0.5, 0.5), (640, 480), "looks like shares of the image"),
    ((4.2, 4.2, 2.4, 1.8), (640, 480), "looks like millimetres or metres"),
    ((0.0042, 0.0042, 0.0024, 0.0018), (640, 480), "looks like millimetres or metres"),
    ((721.5, 721.5, 0.0, 0.0), (1242, 375), "the centre is not filled"),
    ((2886.0, 2886.0, 2438.0, 691.0), (1242, 375), "of a larger image, of about 4877x1383"),
    ((1200.0, 1200.0, 640.0, 480.0), (640, 480), "of a larger image, of about 1281x961"),
    ((721.5, 721.5, -1500.0, 172.0), (1242, 375), "a centre near the image"),
    ((721.5, 721.5, 609.0, 1500.0), (1242, 375), "a centre near the image"),
    ((100.0, 100.0, 609.0, 172.0), (1242, 375), "expected focal lengths from 124.2 to 62100"),
    ((721.5, 7.2, 609.0, 172.0), (1242, 375), "expected focal lengths from 124.2"),
    ((721537.0, 721537.0, 609.0, 172.0), (1242, 375), "expected focal lengths from 124.2"),
])  # fmt: skip
def test_numbers_that_no_camera_has_are_refused_with_their_cause(numbers, size, words):
    with pytest.raises(CalibrationError, match=words) as caught:
        check_plausible(Intrinsics(*numbers, *size))
    assert "are not those of a camera" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("camera", [
    KITTI,
    KITTI.cropped(0, 300, 1242, 50),  # a strip below the principal point
    KITTI.cropped(700, 0, 542, 375),
    KITTI.resized(416, 128),
    Intrinsics(150.0, 150.0, 320.0, 240.0, 640, 480),  # 130 degrees
    Intrinsics(20000.0, 20000.0, 640.0, 360.0, 1280, 720),  # a telephoto lens
    Intrinsics(500.0, 500.0, 240.0, 320.0, 480, 640),
    Intrinsics(1000.0, 1000.0, 640.0, 4.0, 1280, 8),
    Intrinsics(1.0, 1.0, 0.0, 0.0, 1, 1),
])  # fmt: skip
def test_plausible_cameras_are_taken(camera):
    check_plausible(camera)
