"""Projection of laser scans to sparse depth, and the files of scans and calibrations."""

import numpy as np
import pytest

from sfm_odometry.errors import CalibrationError, InputError
from training.evaluate.velodyne import VelodyneCamera, read_scan, read_velodyne_camera, scan_depth


def looking_along_x(width=5, height=4, focal=2.0, cx=3.0, cy=2.0, behind_m=0.0):
    """Camera `behind_m` in front of the laser.

    x right = -y, y down = -z, z ahead = x - behind_m.
    """
    camera_from_velodyne = np.array([[0, -1, 0, 0], [0, 0, -1, 0], [1, 0, 0, -behind_m]])
    return VelodyneCamera(
        np.array([[focal, 0, cx], [0, focal, cy], [0, 0, 1]]) @ camera_from_velodyne, width, height
    )


def points(*rows):
    return np.array([[*row, 0.5] for row in rows], np.float32)


def test_a_point_ahead_falls_one_pixel_before_the_principal_point():
    depth = scan_depth(points((10, 0, 0)), looking_along_x())
    # round(cx, cy) - 1, as in the development kit.
    assert np.argwhere(np.isfinite(depth)).tolist() == [[1, 2]]
    assert depth[1, 2] == 10


def test_right_is_minus_y_and_down_is_minus_z():
    # u = 2 * 1 + 3 - 1, v = 2 * 0.5 + 2 - 1.
    depth = scan_depth(points((4, -4, -2)), looking_along_x())
    assert np.argwhere(np.isfinite(depth)).tolist() == [[2, 4]]


@pytest.mark.parametrize(
    ("u", "column"),
    [(2.49, 1), (2.5, 1), (2.51, 2), (3.5, 3), (0.51, 0), (0.5, None), (5.49, 4), (5.5, None)],
)
def test_pixels_are_rounded_to_the_nearest_with_halves_to_even(u, column):
    depth = scan_depth(points((8, -8 * (u - 3) / 2, 0)), looking_along_x())
    assert np.flatnonzero(np.isfinite(depth).any(axis=0)).tolist() == (
        [] if column is None else [column]
    )


def test_the_nearest_of_several_points_counts_in_any_order():
    rows = [(20, 0, 0), (7, 0, 0), (9, 0, 0)]
    for order in ([0, 1, 2], [1, 2, 0], [2, 0, 1]):
        assert scan_depth(points(*(rows[k] for k in order)), looking_along_x())[1, 2] == 7


def test_points_behind_are_left_out():
    # (-5, 0, 0) projects to the same pixel as (5, 0, 0); (0.1, 0, 0) lies behind a camera 0.3 m in
    # front of the laser.
    assert np.isnan(scan_depth(points((-5, 0, 0)), looking_along_x())).all()
    assert np.isnan(scan_depth(points((0.1, 0, 0)), looking_along_x(behind_m=0.3))).all()


def test_depth_of_the_laser_or_of_the_camera():
    camera = looking_along_x(behind_m=0.25)
    assert scan_depth(points((10, 0, 0)), camera)[1, 2] == 10
    assert scan_depth(points((10, 0, 0)), camera, "camera")[1, 2] == 9.75
    with pytest.raises(InputError, match="depth of 'radar', expected one of velodyne, camera"):
        scan_depth(points((10, 0, 0)), camera, "radar")


def test_a_scan_is_rows_of_four_little_endian_floats(tmp_path):
    (tmp_path / "0.bin").write_bytes(
        bytes.fromhex("0000803f 00000040 00004040 0000803e 000080bf 00000000 0000003f 00000000")
    )
    assert read_scan(tmp_path / "0.bin").tolist() == [[1, 2, 3, 0.25], [-1, 0, 0.5, 0]]
    for data in (b"", b"123456789"):
        (tmp_path / "0.bin").write_bytes(data)
        with pytest.raises(
            InputError, match=rf"0\.bin: {len(data)} bytes, expected a multiple of 16"
        ):
            read_scan(tmp_path / "0.bin")
    with pytest.raises(InputError, match=r"1\.bin: no such file"):
        read_scan(tmp_path / "1.bin")


CAM_TO_CAM = """\
calib_time: 09-Jan-2012 13:57:47
corner_dist: 9.950000e-02
S_02: 1.392000e+03 5.120000e+02
K_02: 9.0e+02 0.0e+00 6.0e+02 0.0e+00 9.0e+02 2.0e+02 0.0e+00 0.0e+00 1.0e+00
R_rect_00: 0.0e+00 -1.0e+00 0.0e+00 1.0e+00 0.0e+00 0.0e+00 0.0e+00 0.0e+00 1.0e+00
S_rect_02: 6.000000e+00 4.000000e+00
R_rect_02: 1.0e+00 0.0e+00 0.0e+00 0.0e+00 1.0e+00 0.0e+00 0.0e+00 0.0e+00 1.0e+00
P_rect_02: 2.0e+00 0.0e+00 3.0e+00 5.0e+00 0.0e+00 2.0e+00 2.0e+00 6.0e+00 0.0 0.0 1.0 7.0
"""
VELO_TO_CAM = """\
calib_time: 15-Mar-2012 11:37:16
R: 0.0e+00 -1.0e+00 0.0e+00 0.0e+00 0.0e+00 -1.0e+00 1.0e+00 0.0e+00 0.0e+00
T: 1.000000e-01 2.000000e-01 3.000000e-01
delta_f: 0.000000e+00 0.000000e+00
delta_c: 0.000000e+00 0.000000e+00
"""


def write_calibration(folder, cam_to_cam=CAM_TO_CAM, velo_to_cam=VELO_TO_CAM):
    (folder / "calib_cam_to_cam.txt").write_text(cam_to_cam)
    (folder / "calib_velo_to_cam.txt").write_text(velo_to_cam)
    return folder


def test_projection_of_a_day_by_hand(tmp_path):
    camera = read_velodyne_camera(write_calibration(tmp_path), 2)
    assert (camera.width, camera.height) == (6, 4)
    # (8, 1, 2) -> camera (-1 + .1, -2 + .2, 8 + .3); the made-up rectification turns x, y to -y, x;
    # then P, translation and all.
    x, y, z = 1.8, -0.9, 8.3
    expected = [2 * x + 3 * z + 5, 2 * y + 2 * z + 6, z + 7]
    np.testing.assert_allclose(camera.pixels_from_velodyne @ [8, 1, 2, 1], expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("cam_to_cam", "velo_to_cam", "message"),
    [
        (
            CAM_TO_CAM.replace("P_rect_02", "P_rect_01"),
            VELO_TO_CAM,
            r"calib_cam_to_cam\.txt: no P_rect_02 in it",
        ),
        (CAM_TO_CAM, VELO_TO_CAM.replace("T:", "t:"), r"calib_velo_to_cam\.txt: no T in it"),
        (
            CAM_TO_CAM,
            VELO_TO_CAM.replace(" 3.000000e-01", ""),
            r"calib_velo_to_cam\.txt, T: 2 numbers, expected 3",
        ),
        (
            CAM_TO_CAM.replace("S_rect_02: 6.0", "S_rect_02: six"),
            VELO_TO_CAM,
            "S_rect_02: 'six00000e.00' is not a number",
        ),
    ],
)
def test_invalid_calibrations_are_refused(tmp_path, cam_to_cam, velo_to_cam, message):
    with pytest.raises((CalibrationError, InputError), match=message):
        read_velodyne_camera(write_calibration(tmp_path, cam_to_cam, velo_to_cam), 2)
