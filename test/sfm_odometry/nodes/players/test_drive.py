"""Messages of a sequence folder."""

from pathlib import Path

import numpy as np
import pytest
from sensor_msgs.msg import CompressedImage

from sfm_odometry.errors import ImageError
from sfm_odometry.io.kitti import open_sequence, read_image
from sfm_odometry.io.ros_image import decode_image
from sfm_odometry.nodes import tf_conversions
from sfm_odometry.nodes.conversions import stamp_to_ns
from sfm_odometry.nodes.players.drive import DriveMessages, Mounting


@pytest.mark.parametrize("compressed", [False, True])
def test_messages_are_the_files_with_their_times(drive_folder: Path, compressed: bool) -> None:
    drive = DriveMessages(
        open_sequence(drive_folder), Mounting(), start=3, stop=7, compressed=compressed
    )
    frames = list(drive.frames())
    assert len(drive) == len(frames) == 4
    assert [frame.index for frame in frames] == [3, 4, 5, 6]
    assert [frame.since_start_ns for frame in frames] == [0, 100_000_000, 200_000_000, 300_000_000]
    for frame in frames:
        assert isinstance(frame.image, CompressedImage) == compressed
        np.testing.assert_array_equal(
            decode_image(frame.image), read_image(drive.sequence.image_paths[frame.index])
        )
        assert (frame.camera_info.width, frame.camera_info.height, frame.camera_info.k[0]) == (
            424,
            136,
            300.0,
        )


def test_an_even_rate_replaces_the_recorded_times(drive_folder: Path) -> None:
    assert DriveMessages(
        open_sequence(drive_folder), Mounting(), stop=3, hz=40.0
    ).since_start_ns == [0, 25_000_000, 50_000_000]


def test_both_messages_get_the_stamp(drive_folder: Path) -> None:
    frame = next(DriveMessages(open_sequence(drive_folder), Mounting(camera_frame="eye")).frames())
    frame.stamp(123_456_789_012)
    assert (
        stamp_to_ns(frame.image.header.stamp)
        == stamp_to_ns(frame.camera_info.header.stamp)
        == 123_456_789_012
    )
    assert frame.image.header.frame_id == frame.camera_info.header.frame_id == "eye"


def test_ground_truth_is_of_the_base_and_starts_at_the_origin(drive_folder: Path) -> None:
    mounting = Mounting(camera_height_m=2.0)
    drive = DriveMessages(open_sequence(drive_folder), mounting, start=2)
    poses = drive.ground_truth_poses()
    np.testing.assert_allclose(poses[0], np.eye(4), atol=1e-12)
    camera_poses = drive.sequence.poses
    camera = mounting.base_from_camera()
    np.testing.assert_allclose(
        poses[5] @ camera, camera @ np.linalg.inv(camera_poses[2]) @ camera_poses[7], atol=1e-9
    )
    path = drive.ground_truth_path(5_000_000_000, speed=2.0)
    assert path.header.frame_id == "ground_truth_odom"
    assert [stamp_to_ns(pose.header.stamp) for pose in path.poses][:3] == [
        5_000_000_000,
        5_050_000_000,
        5_100_000_000,
    ]
    np.testing.assert_allclose(
        tf_conversions.matrix_from_pose(path.poses[5].pose), poses[5], atol=1e-9
    )


def test_static_transform_is_the_mounting() -> None:
    mounting = Mounting("robot", "eye", 1.4)
    stamped = mounting.static_transform(7)
    assert (stamped.header.frame_id, stamped.child_frame_id) == ("robot", "eye")
    np.testing.assert_allclose(
        tf_conversions.matrix_from_transform(stamped.transform),
        mounting.base_from_camera(),
        atol=1e-12,
    )
    np.testing.assert_allclose(
        mounting.base_from_camera() @ [0, 0, 1, 1], [1, 0, 1.4, 1]
    )  # one metre in front of the lens


def test_a_folder_without_poses_has_no_ground_truth(drive_folder: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    bare.mkdir()
    (bare / "image_2").symlink_to(drive_folder / "image_2")
    (bare / "calib.txt").symlink_to(drive_folder / "calib.txt")
    drive = DriveMessages(open_sequence(bare), Mounting())
    assert drive.ground_truth_poses() is None and drive.ground_truth_path(1) is None


def test_an_image_of_another_size_is_refused_by_name(drive_folder: Path, tmp_path: Path) -> None:
    import cv2

    folder = tmp_path / "mixed"
    (folder / "image_2").mkdir(parents=True)
    (folder / "calib.txt").symlink_to(drive_folder / "calib.txt")
    for index, size in enumerate([(136, 424, 3), (136, 425, 3)]):
        cv2.imwrite(str(folder / "image_2" / f"{index:06d}.png"), np.zeros(size, np.uint8))
    with pytest.raises(ImageError, match=r"000001.png: 425x136 pixels, expected 424x136"):
        list(DriveMessages(open_sequence(folder), Mounting()).frames())
