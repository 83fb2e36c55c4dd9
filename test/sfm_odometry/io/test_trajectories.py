"""Trajectory files."""

import cv2
import numpy as np
import pytest

from sfm_odometry.errors import InputError
from sfm_odometry.io.trajectories import (
    PoseFile,
    poses_by_stamp,
    read_poses,
    write_kitti,
    write_tum,
)

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
        (IDENTITY_ROW.replace("1", "nan", 1), "line 1: no finite pose in the file"),
        (IDENTITY_ROW.replace("1", "one", 1), "line 1: 'one' is not a number"),
        (f"{IDENTITY_ROW}\n2 0 0 0 0 2 0 0 0 0 2 0\n", "line 2: the 3x3 part is no rotation"),
        ("1 0 0 0 0 1 0 0 0 0 -1 0\n", "the 3x3 part is no rotation"),
        ("1e200 0 0 0 0 1 0 0 0 0 1 0\n", "the 3x3 part is no rotation"),
        ("0 1 2 3 0 0 0 2\n", "line 1: quaternion of length 2, expected 1"),
        ("0 1 2 3 0 0 0 0\n", "no finite pose in the file"),
        ("1 2 3 4 5 6\n", "line 1: 6 numbers, expected 12"),
        ("1e30 1 2 3 0 0 0 1\n", "stamp 1e30, expected seconds"),
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


def tum_numbers(poses):
    """Rows x y z qx qy qz qw, by OpenCV's rotation vectors."""
    rows = []
    for pose in poses:
        vector = cv2.Rodrigues(pose[:3, :3])[0][:, 0]
        angle = np.linalg.norm(vector)
        rows.append([*pose[:3, 3], *(np.sin(angle / 2) * vector / angle), np.cos(angle / 2)])
    return np.array(rows)


EUROC_NS = 1403636579763555584
POSES = random_poses(5, seed=3)
TUM = tum_numbers(POSES)
EUROC = TUM[:, [0, 1, 2, 6, 3, 4, 5]]
"""x y z qw qx qy qz."""
EUROC_HEAD = (
    "#timestamp [ns],p_RS_R_x [m],p_RS_R_y [m],p_RS_R_z [m],q_RS_w [],q_RS_x [],q_RS_y [],q_RS_z []"
)
EUROC_HEAD_17 = (
    "#timestamp, p_RS_R_x [m], p_RS_R_y [m], p_RS_R_z [m], q_RS_w [], q_RS_x [], q_RS_y [], "
    "q_RS_z [], v_RS_R_x [m s^-1], v_RS_R_y [m s^-1], v_RS_R_z [m s^-1], b_w_RS_S_x [rad s^-1], "
    "b_w_RS_S_y [rad s^-1], b_w_RS_S_z [rad s^-1], b_a_RS_S_x [m s^-2], b_a_RS_S_y [m s^-2], "
    "b_a_RS_S_z [m s^-2]"
)


def in_ns(index):
    return EUROC_NS + index * 50_000_000


def rows_of(values, separator=" ", stamp=None, end="", head=""):
    """Text of a file: rows of values, behind a stamp, with something at their ends."""
    lines = [head] if head else []
    for index, row in enumerate(values):
        words = [repr(float(value)) for value in row]
        lines.append(separator.join(([stamp(index)] if stamp else []) + words) + end)
    return "\n".join(lines) + "\n"


def seconds_of(index):
    return f"{in_ns(index) // 10**9}.{in_ns(index) % 10**9:09d}"


def whole_ns(index):
    return str(in_ns(index))


MATRICES = POSES[:, :3].reshape(-1, 12)
MATRICES_16 = POSES.reshape(-1, 16)
REST = np.full((5, 9), 0.25)
STAMPED_FILES = {
    "TUM": ("poses.txt", rows_of(TUM, stamp=seconds_of)),
    "TUM with tabs": ("poses.txt", rows_of(TUM, "\t", seconds_of)),
    "TUM with commas and names": (
        "poses.csv",
        rows_of(TUM, ", ", seconds_of, head="timestamp,tx,ty,tz,qx,qy,qz,qw"),
    ),
    "TUM with semicolons": ("poses.csv", rows_of(TUM, ";", seconds_of)),
    "decimal commas": ("poses.csv", rows_of(TUM, ";", seconds_of).replace(".", ",")),
    "byte-order mark": ("poses.txt", "\ufeff" + rows_of(TUM, stamp=seconds_of)),
    "Windows lines": ("poses.txt", rows_of(TUM, stamp=seconds_of).replace("\n", "\r\n")),
    "comments": (
        "poses.txt",
        "% by Matlab\n// by C\n# by Python\n" + rows_of(TUM, stamp=seconds_of, end=" # kept"),
    ),
    "a line of words": (
        "poses.txt",
        rows_of(TUM, stamp=seconds_of, head="Stamp tx ty tz qx qy qz qw"),
    ),
    "ORB-SLAM3": ("CameraTrajectory.txt", rows_of(TUM, stamp=lambda i: f"{in_ns(i)}.000000")),
    "microseconds": ("poses.txt", rows_of(TUM, stamp=lambda i: f"{in_ns(i) / 1000:.3f}")),
    "milliseconds": ("poses.txt", rows_of(TUM, stamp=lambda i: f"{in_ns(i) / 10**6:.6f}")),
    "EuRoC with 8 columns": ("data.csv", rows_of(EUROC, ",", whole_ns, head=EUROC_HEAD)),
    "EuRoC with 17 columns": (
        "data.csv",
        rows_of(np.hstack([EUROC, REST]), ",", whole_ns, head=EUROC_HEAD_17),
    ),
    "EuRoC without its head": ("data.csv", rows_of(np.hstack([EUROC, REST]), ",", whole_ns)),
    "EuRoC by the name": (
        "state_groundtruth_estimate0.txt",
        rows_of(EUROC, " ", seconds_of),
    ),
    "VINS": ("vio.csv", rows_of(np.hstack([EUROC, REST[:, :3]]), ",", whole_ns, end=",")),
    "VINS with a loop": ("loop.csv", rows_of(EUROC, ",", whole_ns, end=",")),
    "OpenVINS": (
        "poses.txt",
        rows_of(
            np.hstack([TUM, REST[:, :2]]),
            stamp=seconds_of,
            head="# timestamp(s) tx ty tz qx qy qz qw Pr11 Pr12",
        ),
    ),
    "other order of columns": (
        "poses.csv",
        rows_of(
            np.hstack([TUM[:, 3:], TUM[:, :3]]),
            ",",
            seconds_of,
            head="time,q_x,q_y,q_z,q_w,x,y,z",
        ),
    ),
    "rostopic": (
        "odom.csv",
        "%time,field.header.seq,field.header.stamp,field.header.frame_id,"
        + ",".join(f"field.pose.pose.position.{axis}" for axis in "xyz")
        + ","
        + ",".join(f"field.pose.pose.orientation.{axis}" for axis in "xyzw")
        + ",field.twist.twist.linear.x\n"
        + "".join(
            f"{in_ns(i) + 77},{i},{in_ns(i)},odom,{','.join(map(repr, row.tolist()))},0.5\n"
            for i, row in enumerate(TUM)
        ),
    ),
    "a matrix of 12 after a stamp": ("poses.txt", rows_of(MATRICES, stamp=seconds_of)),
    "a matrix of 16 after a stamp": ("poses.txt", rows_of(MATRICES_16, " ", whole_ns)),
}


@pytest.mark.parametrize("name", STAMPED_FILES)
def test_stamped_files_of_many_tools_are_the_same_trajectory(tmp_path, name):
    file_name, text = STAMPED_FILES[name]
    path = tmp_path / file_name
    path.write_text(text, encoding="utf-8", newline="")
    file = read_poses(path)
    np.testing.assert_allclose(file.poses, POSES, rtol=1e-8, atol=1e-8)
    expected_s = [in_ns(index) / 1e9 for index in range(5)]
    np.testing.assert_allclose(file.stamps_s, expected_s, rtol=0, atol=1e-6)
    assert file.frame_numbers is None


@pytest.mark.parametrize(
    ("text", "frames"),
    [
        (rows_of(MATRICES), None),
        (rows_of(MATRICES_16, ","), None),
        (rows_of(TUM), None),
        (rows_of(MATRICES, stamp=lambda index: f"{7 + 2 * index}"), [7, 9, 11, 13, 15]),
        (rows_of(MATRICES, stamp=lambda index: f"{index:.6e}"), [0, 1, 2, 3, 4]),
        (rows_of(MATRICES_16, stamp=lambda index: f"{index + 1}"), [1, 2, 3, 4, 5]),
        (rows_of(POSES.reshape(-1, 4)), None),
        (
            "".join(
                f"{index} {index} {index + 1}\n" + rows_of(pose) for index, pose in enumerate(POSES)
            ),
            [0, 1, 2, 3, 4],
        ),
    ],
    ids=["12", "16", "7", "13", "13 as decimals", "17", "blocks", "Redwood"],
)
def test_files_without_stamps_are_the_same_trajectory(tmp_path, text, frames):
    file = read_poses(write(tmp_path, text))
    np.testing.assert_allclose(file.poses, POSES, rtol=1e-8, atol=1e-8)
    assert file.stamps_s is None
    assert frames == (None if file.frame_numbers is None else file.frame_numbers.tolist())


def test_a_guessed_order_of_the_quaternion_is_told(tmp_path):
    file = read_poses(write(tmp_path, rows_of(EUROC, ",", whole_ns)))
    (note,) = file.notes
    assert "quaternion w x y z" in note and note.startswith(str(tmp_path))
    file = read_poses(write(tmp_path, rows_of(TUM, ",", seconds_of)))
    (note,) = file.notes
    assert "quaternion x y z w" in note
    assert read_poses(write(tmp_path, rows_of(TUM, " ", seconds_of))).notes == ()


@pytest.mark.parametrize(("unit", "name"), [(10**9, "nano"), (10**6, "micro"), (10**3, "milli")])
@pytest.mark.parametrize("start_s", [0, 40, 12_345])
def test_units_of_times_since_boot_are_recognised_by_their_steps(tmp_path, unit, name, start_s):
    path = write(tmp_path, rows_of(TUM, stamp=lambda i: str(start_s * unit + i * unit // 20)))
    file = read_poses(path)
    np.testing.assert_allclose(file.stamps_s, start_s + np.arange(5) / 20, atol=1e-3)
    assert f"{name}seconds" in file.notes[0]


def test_repeated_stamps_are_left_out_with_all_their_digits(tmp_path):
    stamps = ["1311868229.5694", "1311868229.5760", "1311868229.5760", "1311868229.576000001"]
    file = read_poses(write(tmp_path, rows_of(TUM[:4], stamp=lambda index: stamps[index])))
    np.testing.assert_allclose(file.poses[:, :3, 3], POSES[[0, 1, 3], :3, 3])
    (note,) = file.notes
    assert "1 of 4 rows repeats" in note and "line 3: stamp 1311868229.576 s" in note


def test_rows_out_of_order_are_sorted_and_told(tmp_path):
    order = [0, 2, 1, 4, 3]
    file = read_poses(write(tmp_path, rows_of(TUM[order], stamp=lambda i: f"{order[i] / 10}")))
    np.testing.assert_allclose(file.poses, POSES, atol=1e-8)
    assert "2 go back, first line 3: stamp 0.1 s after stamp 0.2 s" in file.notes[0]
    file = read_poses(write(tmp_path, f"3 {IDENTITY_ROW}\n2 {IDENTITY_ROW}\n2 {IDENTITY_ROW}\n"))
    assert file.frame_numbers.tolist() == [2, 3]
    assert len(file.notes) == 2


def test_two_trajectories_of_the_same_time_are_refused(tmp_path):
    row = " 0 0 0 0 0 0 1\n"
    text = "".join(f"{index / 10:.1f}{row}" for index in [*range(20), *range(5, 30)])
    with pytest.raises(
        InputError, match=r"line 21: stamp 0\.5 s after stamp 1\.9 s, a second traj"
    ):
        read_poses(write(tmp_path, text))
    # Parts in the wrong order are one trajectory.
    text = "".join(f"{index / 10:.1f}{row}" for index in [*range(20, 40), *range(20)])
    assert len(read_poses(write(tmp_path, text)).poses) == 40


def test_rows_without_a_finite_pose_are_left_out(tmp_path):
    rows = rows_of(MATRICES).splitlines()
    rows[1] = " ".join(["nan"] * 12)
    rows[3] = rows[3].replace(rows[3].split()[0], "-inf", 1)
    file = read_poses(write(tmp_path, "\n".join(rows)))
    assert file.frame_numbers.tolist() == [0, 2, 4]
    np.testing.assert_allclose(file.poses, POSES[[0, 2, 4]])
    assert "2 of 5 rows hold no finite pose and are left out (first line 2)" in file.notes[0]


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("0.0 1 0 0 0 0 0 1 7\n0.1 2 0 0 0 0 0 1 7\n", "columns behind are left out"),
        ('"0.0","1","0","0","0","0","0","1"\n"0.1","2","0","0","0","0","0","1"\n', "as in TUM"),
        ("0.0 1 0 0 0 0 0 1\n0.05 0 0 0 0 0 0 0\n0.1 2 0 0 0 0 0 1\n", "1 of 3 rows hold no"),
        ("1,1,0,0,1,0,0,0,0,0,0,0,0,0,0,0\n2,2,0,0,1,0,0,0,0,0,0,0,0,0,0,0\n", "as EuRoC's"),
    ],
    ids=["trailing column", "quotes", "quaternion of zeros", "EuRoC without a column"],
)
def test_odd_rows_and_columns_do_not_lock_a_file(tmp_path, text, note):
    file = read_poses(write(tmp_path, text))
    assert file.poses[:, 0, 3].tolist() == [1.0, 2.0]
    assert note in " ".join(file.notes)


def test_a_last_row_that_was_cut_is_left_out(tmp_path):
    text = rows_of(TUM, stamp=seconds_of)
    file = read_poses(write(tmp_path, text[: text.rindex(" ")]))
    assert len(file.poses) == 4 and "line 5: the last row is cut off" in file.notes[0]
    with pytest.raises(InputError, match="line 5: 7 numbers, expected 8 as in line 1"):
        read_poses(write(tmp_path, text[: text.rindex(" ")] + "\n"))


def test_rounded_quaternions_are_normalised(tmp_path):
    file = read_poses(write(tmp_path, "0 1 2 3 0.71 0 0 0.71\n"))
    np.testing.assert_allclose(file.poses[0, :3, :3] @ [0, 1, 0], [0, 0, 1], atol=1e-12)
    with pytest.raises(InputError, match=r"line 1: quaternion of length 0\.9"):
        read_poses(write(tmp_path, "0 1 2 3 0.9 0 0 0\n"))


def test_poses_of_stamps_are_ordered(tmp_path):
    file = poses_by_stamp("bag:/odom", [in_ns(1), in_ns(0), in_ns(1)], POSES[:3])
    assert isinstance(file, PoseFile) and file.stamps_s.tolist() == [
        in_ns(0) / 10**9,
        in_ns(1) / 10**9,
    ]
    np.testing.assert_array_equal(file.poses, POSES[[1, 0]])
    assert len(file.notes) == 2


def test_a_file_with_repeated_stamps_of_a_data_set(tmp_path):
    text = (
        "# ground truth trajectory\n# file: 'rgbd_dataset_freiburg2_desk.bag'\n"
        "# timestamp tx ty tz qx qy qz qw\n"
        "1311868229.5694 1.40 0.96 1.36 0 0 0 1\n1311868229.5760 1.41 0.96 1.36 0 0 0 1\n"
        "1311868229.5760 1.41 0.97 1.36 0 0 0 1\n1311868229.5794 1.42 0.96 1.37 0 0 0 1\n"
    )
    file = read_poses(write(tmp_path, text))
    assert file.stamps_s.tolist() == [1311868229.5694, 1311868229.576, 1311868229.5794]
