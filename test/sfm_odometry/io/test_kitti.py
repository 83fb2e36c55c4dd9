"""KITTI sequences and the files in their folders."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from sfm_odometry.errors import CalibrationError, ImageError, InputError
from sfm_odometry.geometry.camera import Intrinsics
from sfm_odometry.io.kitti import (
    camera_of_folder,
    open_sequence,
    read_calibration,
    read_image,
    read_times,
)
from sfm_odometry.io.trajectories import write_kitti

REAL = Path(__file__).resolve().parents[3] / "../shared/data/kitti"
needs_real_data = pytest.mark.skipif(
    not REAL.is_dir(), reason="the real KITTI frames (../shared/data) are not on this machine"
)

WIDTH = 62
HEIGHT = 19
P_ROW = "36 0 30.5 {} 0 36 9.25 0 0 0 1 0"


def straight_poses(count):
    poses = np.tile(np.eye(4), (count, 1, 1))
    poses[:, 2, 3] = np.arange(count)
    return poses


def write_images(folder, numbers, digits=6, suffix=".png"):
    folder.mkdir(parents=True)
    for number in numbers:
        cv2.imwrite(
            str(folder / f"{number:0{digits}}{suffix}"),
            np.full((HEIGHT, WIDTH), number % 256, np.uint8),
        )


@pytest.fixture
def odometry(tmp_path):
    """A KITTI odometry folder of 5 frames with cameras 0 and 2, times and poses."""
    folder = tmp_path / "dataset" / "sequences" / "07"
    write_images(folder / "image_0", range(5))
    write_images(folder / "image_2", range(5))
    (folder / "calib.txt").write_text(
        "".join(f"P{camera}: {P_ROW.format(-20 * camera)}\n" for camera in (0, 1, 2))
        + "Tr: 1 2 3\n"
    )
    (folder / "times.txt").write_text("".join(f"{0.1036 * number:e}\n" for number in range(5)))
    write_kitti(folder / "poses.txt", straight_poses(5))
    return folder


@pytest.fixture
def raw(tmp_path):
    """A KITTI raw drive of 4 colour frames of camera 3."""
    drive = tmp_path / "2011_09_26" / "2011_09_26_drive_0015_sync"
    write_images(drive / "image_03" / "data", range(4), digits=10, suffix=".jpg")
    calibration = (
        f"calib_time: 09-Jan-2012 13:57:47\nS_rect_03: {WIDTH}.0 {HEIGHT}.0\n"
        f"P_rect_03: {P_ROW.format(-30)}\n"
    )
    (drive.parent / "calib_cam_to_cam.txt").write_text(calibration)
    clock = "".join(f"2011-09-26 13:02:{25 + number}.964389445\n" for number in range(4))
    (drive / "image_03" / "timestamps.txt").write_text(clock)
    return drive


def test_an_odometry_folder_opens_with_all_its_files(odometry):
    sequence = open_sequence(odometry)
    assert sequence.name == "07" and len(sequence) == 5
    assert sequence.frame_numbers == (0, 1, 2, 3, 4)
    assert {path.parent.name for path in sequence.image_paths} == {"image_2"}
    assert sequence.intrinsics == Intrinsics(36, 36, 30.5, 9.25, WIDTH, HEIGHT)
    np.testing.assert_allclose(sequence.stamps_s, 0.1036 * np.arange(5))
    np.testing.assert_array_equal(sequence.poses, straight_poses(5))
    assert sequence.depth_paths is None and sequence.mask_paths is None


def test_the_camera_can_be_chosen(odometry):
    assert open_sequence(odometry, camera=0).image_paths[0].parent.name == "image_0"
    with pytest.raises(InputError, match="no image_3 in it, only image_0, image_2"):
        open_sequence(odometry, camera=3)
    with pytest.raises(InputError, match=r"camera 5 is none of KITTI's"):
        open_sequence(odometry, camera=5)


def test_times_and_poses_may_be_absent(odometry):
    (odometry / "times.txt").unlink()
    (odometry / "poses.txt").unlink()
    sequence = open_sequence(odometry)
    assert sequence.poses is None
    np.testing.assert_allclose(sequence.stamps_s, [0, 0.1, 0.2, 0.3, 0.4])


def test_official_poses_of_the_whole_sequence_are_taken_by_frame_number(odometry):
    (odometry / "poses.txt").unlink()
    official = odometry.parent.parent / "poses" / "07.txt"
    official.parent.mkdir()
    write_kitti(official, straight_poses(1101))
    np.testing.assert_array_equal(open_sequence(odometry).poses, straight_poses(5))
    write_kitti(official, straight_poses(4))
    with pytest.raises(
        InputError, match=r"07\.txt: 4 poses for 5 images \(frames 0 to 4\), expected one for each"
    ):
        open_sequence(odometry)


@pytest.mark.parametrize("count", [4, 6])
def test_poses_and_times_of_another_length_are_refused(odometry, count):
    (odometry / "times.txt").write_text("".join(f"{number}\n" for number in range(count)))
    with pytest.raises(InputError, match=rf"times\.txt: {count} times for 5 images"):
        open_sequence(odometry)
    (odometry / "times.txt").unlink()
    write_kitti(odometry / "poses.txt", straight_poses(count))
    with pytest.raises(InputError, match=rf"poses\.txt: {count} poses for 5 images"):
        open_sequence(odometry)


def test_rows_follow_the_frame_numbers_over_a_gap(odometry):
    (odometry / "image_2" / "000002.png").unlink()
    sequence = open_sequence(odometry)
    assert sequence.frame_numbers == (0, 1, 3, 4)
    np.testing.assert_allclose(sequence.stamps_s, 0.1036 * np.array([0, 1, 3, 4]))
    assert sequence.poses[:, 2, 3].tolist() == [0, 1, 3, 4]


def test_numbered_poses_find_their_frames(odometry):
    rows = [
        f"{number} " + " ".join(map(str, pose[:3].ravel()))
        for number, pose in enumerate(straight_poses(9))
    ]
    (odometry / "poses.txt").write_text("\n".join(rows))
    np.testing.assert_array_equal(open_sequence(odometry).poses, straight_poses(5))
    (odometry / "poses.txt").write_text("\n".join(rows[1:]))
    with pytest.raises(InputError, match=r"poses\.txt: no pose of frame 0"):
        open_sequence(odometry)


def test_a_rendered_drive_brings_depth_and_masks(odometry):
    write_images(odometry / "depth", range(5))
    write_images(odometry / "motion_mask", range(5))
    sequence = open_sequence(odometry)
    assert [path.name for path in sequence.depth_paths] == [
        path.name for path in sequence.image_paths
    ]
    assert sequence.mask_paths[4] == odometry / "motion_mask" / "000004.png"
    (odometry / "depth" / "000003.png").unlink()
    with pytest.raises(InputError, match="depth: no file of frame 3"):
        open_sequence(odometry)


def test_a_raw_drive_opens_with_its_clock(raw):
    sequence = open_sequence(raw)
    assert sequence.name == "2011_09_26_drive_0015_sync"
    assert sequence.frame_numbers == (0, 1, 2, 3)
    assert sequence.intrinsics == Intrinsics(36, 36, 30.5, 9.25, WIDTH, HEIGHT)
    np.testing.assert_allclose(sequence.stamps_s, [0, 1, 2, 3])
    assert sequence.poses is None


def test_a_raw_calibration_of_another_size_is_refused(raw):
    path = raw.parent / "calib_cam_to_cam.txt"
    path.write_text(path.read_text().replace(f"{WIDTH}.0", "1242"))
    with pytest.raises(
        CalibrationError,
        match=f"S_rect_03: calibrated for images of 1242x{HEIGHT} pixels, "
        f"but these have {WIDTH}x{HEIGHT}",
    ):
        open_sequence(raw)


def test_a_folder_of_sfmlearners_port_opens(tmp_path):
    folder = tmp_path / "scene"
    write_images(folder, range(3), digits=10, suffix=".jpg")
    np.savetxt(folder / "cam.txt", [[36, 0, 30.5], [0, 36, 9.25], [0, 0, 1]])
    assert open_sequence(folder).intrinsics == Intrinsics(36, 36, 30.5, 9.25, WIDTH, HEIGHT)


def test_a_folder_is_opened_from_within(odometry, monkeypatch):
    monkeypatch.chdir(odometry)
    assert open_sequence(".").name == "07"


def test_folders_without_a_sequence_are_refused(tmp_path, odometry):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="absent: no such folder"):
        open_sequence(tmp_path / "absent")
    with pytest.raises(InputError, match="empty: no sequence in it, expected image_0"):
        open_sequence(tmp_path / "empty")
    with pytest.raises(InputError, match="is a file, expected a folder"):
        open_sequence(odometry / "calib.txt")


def test_missing_pieces_of_a_sequence_are_named(odometry):
    (odometry / "image_2" / "000000.png").write_bytes(b"")
    assert open_sequence(odometry).frame_numbers[0] == 0  # the size is that of the next image
    for path in (odometry / "image_2").iterdir():
        path.write_bytes(b"")
    with pytest.raises(ImageError, match=r"image_2/000000\.png: empty file"):
        open_sequence(odometry)
    (odometry / "calib.txt").unlink()
    with pytest.raises(InputError, match=r"calib\.txt: no such file"):
        open_sequence(odometry, camera=0)
    for path in (odometry / "image_0").iterdir():
        path.unlink()
    with pytest.raises(InputError, match="image_0: no images in it"):
        open_sequence(odometry, camera=0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("P0: " + P_ROW.format(0), "no P2 for camera 2 in it, only P0"),
        ("Tr: 1 2 3", "no P2 for camera 2 in it, expected P0..P3"),
        ("P2: 1 2 3", "P2: 3 numbers, expected 12"),
        ("P2: " + P_ROW.format("nan"), "P2: 'nan' is not a finite number"),
        ("P2: " + P_ROW.format("x"), "P2: 'x' is not a number"),
        ("P2: -36 0 30 0 0 36 9 0 0 0 1 0", "P2: focal lengths must be positive"),
        ("P2: 36 3 30 0 0 36 9 0 0 0 1 0", "P2: camera matrix with skew 3"),
        ("P2: 36 0 30 0 0 36 9 0 0 0 2 0", "bottom row starts"),
        ("", "0 numbers, expected lines P0: to P3:"),
        ("36 0 30 0 36 9", "6 numbers, expected"),
    ],
)
def test_bad_calibrations_are_refused_in_one_line(tmp_path, text, message):
    path = tmp_path / "calib.txt"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        read_calibration(path, 2, WIDTH, HEIGHT)
    assert (
        str(caught.value).startswith(str(path))
        and message in str(caught.value)
        and "\n" not in str(caught.value)
    )


def test_a_missing_camera_is_a_calibration_error(odometry):
    with pytest.raises(CalibrationError, match="no P3 for camera 3 in it, only P0, P1, P2"):
        read_calibration(odometry / "calib.txt", 3, WIDTH, HEIGHT)


def test_nine_numbers_in_a_row_are_a_matrix_too(tmp_path):
    (tmp_path / "000_cam.txt").write_text("36,0.,30.5,0.,36,9.25,0.,0.,1.")
    assert read_calibration(tmp_path / "000_cam.txt", 2, WIDTH, HEIGHT) == Intrinsics(
        36, 36, 30.5, 9.25, WIDTH, HEIGHT
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no times in it"),
        ("0\n0.1\n0.1\n", "line 3: time 0.1 s after 0.1 s, expected increasing times"),
        ("0\nnan\n", "line 2: 'nan' is not a finite number"),
        ("0 1\n", "line 1: 2 numbers, expected one time"),
        ("2011-09-26 13:02:25.9\n2011-09-26 13:02:24.9\n", "line 2: time -1 s after 0 s"),
        ("2011-09-26 25:02:25.9\n", "line 1: '2011-09-26 25:02:25.9', expected a time like"),
    ],
)
def test_bad_times_are_refused_by_line(tmp_path, text, message):
    path = tmp_path / "times.txt"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        read_times(path)
    assert str(caught.value).startswith(str(path)) and message in str(caught.value)


def test_clock_times_keep_their_nanoseconds(tmp_path):
    path = tmp_path / "timestamps.txt"
    path.write_text("2011-09-26 23:59:59.999999000\n2011-09-27 00:00:00.000000250\n")
    np.testing.assert_allclose(read_times(path), [0, 1250e-9], atol=1e-15)


@pytest.mark.parametrize(
    ("folder", "camera"),
    [
        ("seq/image_0", 0),
        ("seq/image_02", 2),
        ("drive/image_03/data", 3),
        ("seq/images", None),
        ("image_9", None),
    ],
)
def test_the_camera_stands_in_the_folders_name(folder, camera):
    assert camera_of_folder(Path(folder)) == camera


@needs_real_data
def test_the_real_sequences_open():
    sequence = open_sequence(REAL / "odometry/sequences/03")
    assert len(sequence) == 520 and sequence.poses.shape == (520, 4, 4)
    assert sequence.intrinsics == Intrinsics(721.5377, 721.5377, 609.5593, 172.854, 1242, 375)
    assert read_image(sequence.image_paths[519]).shape == (375, 1242)
    # 200 images beside the official poses of all 4541 frames.
    assert open_sequence(REAL / "odometry/sequences/00").poses.shape == (200, 4, 4)
    drive = open_sequence(REAL / "raw/2011_09_26/2011_09_26_drive_9003_sync")
    assert len(drive) == 21 and read_image(drive.image_paths[0]).shape == (375, 1242, 3)
    prepared = open_sequence(REAL / "prepared_416x128/2011_09_26_drive_0001_sync_02")
    assert len(prepared) == 108 and (prepared.intrinsics.width, prepared.intrinsics.height) == (
        416,
        128,
    )
