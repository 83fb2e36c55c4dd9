"""Trajectory files."""

import cv2
import numpy as np
import pytest

from sfm_odometry.errors import InputError
from sfm_odometry.io.trajectories import read_poses, write_kitti, write_tum

IDENTITY_ROW = "1 0 0 0 0 1 0 0 0 0 1 0"


def random_poses(count, seed=0):
    rng = np.random.default_rng(seed)
    poses = np.tile(np.eye(4), (count, 1, 1))
    for pose in poses:
        pose[:3, :3] = cv2.Rodrigues(rng.uniform(-2, 2, 3))[0]
        pose[:3, 3] = rng.uniform(-1000, 1000, 3)
    return poses


def write(tmp_path, text):
    path = tmp_path / "poses.txt"
    path.write_text(text)
    return path


def test_kitti_round_trip_keeps_nine_digits(tmp_path):
    poses = random_poses(50)
    write_kitti(tmp_path / "p.txt", poses)
    file = read_poses(tmp_path / "p.txt")
    assert file.stamps_s is None and file.frame_numbers is None
    np.testing.assert_allclose(file.poses, poses, rtol=1e-9, atol=1e-12)


def test_tum_round_trip_keeps_stamps_and_nine_digits(tmp_path):
    poses = random_poses(50)
    stamps_s = 1317384506.0 + 0.1 * np.arange(50)
    write_tum(tmp_path / "p.txt", stamps_s, poses)
    file = read_poses(tmp_path / "p.txt")
    np.testing.assert_array_equal(file.stamps_s, stamps_s)
    np.testing.assert_allclose(file.poses, poses, rtol=1e-8, atol=1e-8)


def test_a_known_tum_row_turns_z_by_90_degrees(tmp_path):
    half = np.sqrt(0.5)
    file = read_poses(
        write(tmp_path, f"# stamp tx ty tz qx qy qz qw\n0.5 1 2 3 0 0 {half} {half}\n")
    )
    np.testing.assert_allclose(
        file.poses[0], [[0, -1, 0, 1], [1, 0, 0, 2], [0, 0, 1, 3], [0, 0, 0, 1]], atol=1e-12
    )
    assert file.stamps_s.tolist() == [0.5]


def test_a_kitti_row_is_the_upper_3x4_row_by_row(tmp_path):
    file = read_poses(write(tmp_path, "0 -1 0 7 1 0 0 8 0 0 1 9\n"))
    np.testing.assert_array_equal(
        file.poses[0], [[0, -1, 0, 7], [1, 0, 0, 8], [0, 0, 1, 9], [0, 0, 0, 1]]
    )


def test_rows_of_13_carry_the_frame_number(tmp_path):
    file = read_poses(write(tmp_path, f"440 {IDENTITY_ROW}\n\n444 {IDENTITY_ROW}\n"))
    assert file.frame_numbers.tolist() == [440, 444]
    assert file.poses.shape == (2, 4, 4)


def test_values_of_kittis_own_precision_are_kept_as_they_are(tmp_path):
    row = (
        "9.999986e-01 7.122128e-04 1.533514e-03 -1.1e-02 "
        "-7.055720e-04 9.999903e-01 -4.327036e-03 -1.7e-02 "
        "-1.536580e-03 4.325946e-03 9.999894e-01 9.6e-01\n"
    )
    file = read_poses(write(tmp_path, row))
    assert file.poses[0, 0, 0] == 9.999986e-01


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no poses in it, expected rows of 12"),
        ("# only a comment\n", "no poses in it"),
        ("1 2 3\n", "line 1: 3 numbers, expected 12"),
        (f"{IDENTITY_ROW}\n0 {IDENTITY_ROW}\n", "line 2: 13 numbers, expected 12 as in line 1"),
        (IDENTITY_ROW.replace("1", "nan", 1), "line 1: 'nan' is not a finite number"),
        (f"{IDENTITY_ROW}\n2 0 0 0 0 2 0 0 0 0 2 0\n", "line 2: the 3x3 part is no rotation"),
        ("1 0 0 0 0 1 0 0 0 0 -1 0\n", "the 3x3 part is no rotation"),
        ("1e200 0 0 0 0 1 0 0 0 0 1 0\n", "the 3x3 part is no rotation"),
        ("0 1 2 3 0 0 0 2\n", "line 1: quaternion of length 2, expected 1"),
        ("0 1 2 3 0 0 0 0\n", "quaternion of length 0"),
        (
            "1 0 0 0 0 0 0 1\n1 0 0 0 0 0 0 1\n",
            "line 2: stamp 1 after 1, expected increasing stamps",
        ),
        (f"3 {IDENTITY_ROW}\n2 {IDENTITY_ROW}\n", "line 2: frame number 2 after 3"),
        (f"0.5 {IDENTITY_ROW}\n", "frame number 0.5, expected a whole number"),
    ],
)
def test_bad_files_are_refused_by_name_and_line(tmp_path, text, message):
    path = write(tmp_path, text)
    with pytest.raises(InputError) as caught:
        read_poses(path)
    assert str(caught.value).startswith(str(path)) and message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"absent\.txt: no such file"):
        read_poses(tmp_path / "absent.txt")


def test_stamps_and_poses_must_match_when_writing(tmp_path):
    with pytest.raises(InputError, match="2 stamps for 3 poses"):
        write_tum(tmp_path / "p.txt", np.arange(2), random_poses(3))
    with pytest.raises(InputError, match=r"must be \(N, 4, 4\)"):
        write_kitti(tmp_path / "p.txt", np.eye(4))
