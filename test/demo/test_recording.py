"""Association of the recorded odometry with the frames played."""

import numpy as np
import pytest

from demo.recording import (
    NodeRecording,
    OdometrySample,
    associate,
    camera_trajectory,
    read_publish_log,
)
from sfm_odometry.errors import InputError

# Optical frame (z ahead, x right, y down) half a metre ahead of base_link and 1.6 m up.
BASE_FROM_CAMERA = np.array(
    [[0.0, 0.0, 1.0, 0.5], [-1.0, 0.0, 0.0, 0.0], [0.0, -1.0, 0.0, 1.6], [0.0, 0.0, 0.0, 1.0]]
)


def pose_with_yaw(yaw_rad: float, x: float, y: float) -> np.ndarray:
    pose = np.eye(4)
    pose[:2, :2] = [[np.cos(yaw_rad), -np.sin(yaw_rad)], [np.sin(yaw_rad), np.cos(yaw_rad)]]
    pose[:2, 3] = x, y
    return pose


def sample(
    stamp_ns: int, received_ns: int, odom_from_base: np.ndarray | None = None
) -> OdometrySample:
    return OdometrySample(
        stamp_ns, received_ns, np.eye(4) if odom_from_base is None else odom_from_base, np.zeros(6)
    )


def test_driving_ahead_moves_the_camera_along_its_optical_axis():
    trajectory = camera_trajectory(
        np.stack([pose_with_yaw(0.0, x, 0.0) for x in (0.0, 1.0, 2.0)]), BASE_FROM_CAMERA
    )
    np.testing.assert_allclose(trajectory[0], np.eye(4), atol=1e-12)
    np.testing.assert_allclose(trajectory[:, :3, 3], [[0, 0, 0], [0, 0, 1], [0, 0, 2]], atol=1e-12)


def test_turning_left_on_the_spot_moves_the_camera_by_its_lever_arm():
    trajectory = camera_trajectory(
        np.stack([pose_with_yaw(0.0, 0.0, 0.0), pose_with_yaw(np.pi / 2, 0.0, 0.0)]),
        BASE_FROM_CAMERA,
    )
    # The camera sits 0.5 m ahead of the turning point: afterwards it is 0.5 m to the left (-x) and
    # 0.5 m back (-z), facing -x.
    np.testing.assert_allclose(trajectory[1, :3, 3], [-0.5, 0.0, -0.5], atol=1e-12)
    np.testing.assert_allclose(trajectory[1, :3, 2], [-1.0, 0.0, 0.0], atol=1e-12)


def test_the_trajectory_does_not_depend_on_the_odom_frame():
    poses = np.stack([pose_with_yaw(0.1 * k, 1.0 * k, 0.3 * k) for k in range(4)])
    elsewhere = pose_with_yaw(1.2, 30.0, -7.0)
    np.testing.assert_allclose(
        camera_trajectory(elsewhere @ poses, BASE_FROM_CAMERA),
        camera_trajectory(poses, BASE_FROM_CAMERA),
        atol=1e-12,
    )


def test_latency_is_from_publishing_an_image_to_receiving_its_odometry():
    published = {10: 1_000_000_000, 20: 1_100_000_000, 30: 1_200_000_000}
    recording = NodeRecording(
        odometry=[sample(20, 1_130_000_000), sample(10, 1_131_000_000), sample(30, 1_240_000_000)],
        base_from_camera=BASE_FROM_CAMERA,
    )
    trajectory = associate(recording, published)
    assert trajectory.frames.tolist() == [0, 1, 2]
    assert trajectory.latencies_ms.tolist() == pytest.approx([131.0, 30.0, 40.0])


def test_lost_frames_leave_gaps_and_unknown_or_repeated_stamps_do_not_count():
    published = dict.fromkeys((10, 20, 30, 40), 0)
    samples = [sample(10, 1), sample(10, 9_000_000), sample(99, 1), sample(40, 1)]
    trajectory = associate(
        NodeRecording(odometry=samples, base_from_camera=BASE_FROM_CAMERA), published
    )
    assert trajectory.frames.tolist() == [0, 3]
    assert trajectory.frames_in == 4
    assert trajectory.latencies_ms[0] < 1.0


def test_startup_latencies_are_those_of_the_first_four_frames():
    published = dict.fromkeys(range(1, 11), 0)
    samples = [sample(stamp, stamp * 1_000_000) for stamp in range(1, 11)]
    trajectory = associate(
        NodeRecording(odometry=samples, base_from_camera=BASE_FROM_CAMERA), published
    )
    assert trajectory.startup_latencies_ms.tolist() == [1, 2, 3, 4]
    assert trajectory.steady_latencies_ms.tolist() == [5, 6, 7, 8, 9, 10]


def test_no_odometry_is_an_error_with_the_number_of_frames_played():
    with pytest.raises(InputError, match="no odometry arrived for the 2 frames played"):
        associate(NodeRecording(base_from_camera=BASE_FROM_CAMERA), {10: 0, 20: 0})


def test_the_publish_log_is_read_in_its_order_and_other_files_are_refused(tmp_path):
    log = tmp_path / "published.csv"
    log.write_text("stamp_ns,publish_time_ns\n100,7\n200,9\n")
    assert list(read_publish_log(log).items()) == [(100, 7), (200, 9)]
    log.write_text("time\n1.5\n")
    with pytest.raises(InputError, match=r"published\.csv: expected the player's publish log"):
        read_publish_log(log)
    with pytest.raises(InputError, match=r"missing\.csv"):
        read_publish_log(tmp_path / "missing.csv")
