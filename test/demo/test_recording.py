import numpy as np
import pytest

from demo.recording import OdometrySample, Recording, camera_track, read_publish_log, track_of
from sfm_odometry.errors import InputError

# An optical frame on a robot: z ahead, x right, y down, half a metre ahead of base_link and 1.6 m
# up.
BASE_FROM_CAMERA = np.array(
    [[0.0, 0.0, 1.0, 0.5], [-1.0, 0.0, 0.0, 0.0], [0.0, -1.0, 0.0, 1.6], [0.0, 0.0, 0.0, 1.0]]
)


def yawed(yaw_rad: float, x: float, y: float) -> np.ndarray:
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


def test_a_robot_that_drives_ahead_moves_its_camera_along_the_optical_axis():
    track = camera_track(np.stack([yawed(0.0, x, 0.0) for x in (0.0, 1.0, 2.0)]), BASE_FROM_CAMERA)
    np.testing.assert_allclose(track[0], np.eye(4), atol=1e-12)
    np.testing.assert_allclose(track[:, :3, 3], [[0, 0, 0], [0, 0, 1], [0, 0, 2]], atol=1e-12)


def test_turning_left_on_the_spot_swings_the_camera_to_the_left_by_its_lever():
    track = camera_track(
        np.stack([yawed(0.0, 0.0, 0.0), yawed(np.pi / 2, 0.0, 0.0)]), BASE_FROM_CAMERA
    )
    # The camera sits 0.5 m ahead of the turning point: afterwards it is 0.5 m to the left (-x) and
    # 0.5 m back (-z), facing -x.
    np.testing.assert_allclose(track[1, :3, 3], [-0.5, 0.0, -0.5], atol=1e-12)
    np.testing.assert_allclose(track[1, :3, 2], [-1.0, 0.0, 0.0], atol=1e-12)


def test_the_track_does_not_depend_on_where_the_odom_frame_lies():
    poses = np.stack([yawed(0.1 * k, 1.0 * k, 0.3 * k) for k in range(4)])
    elsewhere = yawed(1.2, 30.0, -7.0)
    np.testing.assert_allclose(
        camera_track(elsewhere @ poses, BASE_FROM_CAMERA),
        camera_track(poses, BASE_FROM_CAMERA),
        atol=1e-12,
    )


def test_latency_is_arrival_of_the_odometry_minus_publishing_of_its_own_image():
    published = {10: 1_000_000_000, 20: 1_100_000_000, 30: 1_200_000_000}
    recording = Recording(
        odometry=[sample(20, 1_130_000_000), sample(10, 1_131_000_000), sample(30, 1_240_000_000)],
        base_from_camera=BASE_FROM_CAMERA,
    )
    track = track_of(recording, published)
    assert track.frames.tolist() == [0, 1, 2]
    assert track.latencies_ms.tolist() == pytest.approx([131.0, 30.0, 40.0])


def test_lost_frames_leave_gaps_and_foreign_or_repeated_odometry_does_not_count():
    published = dict.fromkeys((10, 20, 30, 40), 0)
    heard = [sample(10, 1), sample(10, 9_000_000), sample(99, 1), sample(40, 1)]
    track = track_of(Recording(odometry=heard, base_from_camera=BASE_FROM_CAMERA), published)
    assert track.frames.tolist() == [0, 3]
    assert track.frames_in == 4
    assert track.latencies_ms[0] < 1.0


def test_the_first_four_frames_are_kept_apart_from_the_steady_ones():
    published = dict.fromkeys(range(1, 11), 0)
    heard = [sample(stamp, stamp * 1_000_000) for stamp in range(1, 11)]
    track = track_of(Recording(odometry=heard, base_from_camera=BASE_FROM_CAMERA), published)
    assert track.startup_latencies_ms.tolist() == [1, 2, 3, 4]
    assert track.steady_latencies_ms.tolist() == [5, 6, 7, 8, 9, 10]


def test_silence_is_an_error_that_says_how_many_frames_were_played():
    with pytest.raises(InputError, match="no odometry arrived for the 2 frames played"):
        track_of(Recording(base_from_camera=BASE_FROM_CAMERA), {10: 0, 20: 0})


def test_the_players_log_is_read_in_its_order_and_another_file_refused(tmp_path):
    log = tmp_path / "published.csv"
    log.write_text("stamp_ns,publish_time_ns\n100,7\n200,9\n")
    assert list(read_publish_log(log).items()) == [(100, 7), (200, 9)]
    log.write_text("time\n1.5\n")
    with pytest.raises(InputError, match=r"published\.csv: expected the player's publish log"):
        read_publish_log(log)
    with pytest.raises(InputError, match=r"missing\.csv"):
        read_publish_log(tmp_path / "missing.csv")
