"""Trajectory of a running node, saved by the service ~/save_trajectory over real DDS."""

from pathlib import Path

import numpy as np
import pytest
from nav_msgs.msg import Odometry
from rclpy.parameter import Parameter

from sfm_odometry.errors import InputError
from sfm_odometry.geometry import se3
from sfm_odometry.io.trajectories import read_poses
from sfm_odometry.nodes import trajectory_recorder
from sfm_odometry.nodes.conversions import ns_to_stamp, stamp_to_ns
from sfm_odometry.nodes.parameters import NodeParameters
from sfm_odometry.nodes.tf_conversions import (
    BASE_FROM_OPTICAL,
    matrix_from_pose,
    pose_message,
)
from sfm_odometry.nodes.trajectory_recorder import TrajectoryRecorder

START_NS = 1_700_000_000_000_000_000


def drive(rig, indices: range, count: int) -> None:
    for index in indices:
        rig.send(index)
    rig.spinner.until(lambda: len(rig.received.odom) == count, f"{count} odometry messages")


def change(rig, **parameters: object) -> None:
    results = rig.node.set_parameters(
        [Parameter(f"trajectory.{name}", value=value) for name, value in parameters.items()]
    )
    assert all(result.successful for result in results)


def test_the_trajectory_of_a_running_node_is_saved(rig, tmp_path: Path) -> None:
    path = tmp_path / "saved.txt"
    rig.start(**{"trajectory.path": str(path)})
    nothing = rig.trigger("save_trajectory")
    assert not nothing.success and nothing.message == "there is no pose to save yet"
    drive(rig, range(6), 6)

    # TUM, as on the topic odom, to the nanosecond.
    answer = rig.trigger("save_trajectory")
    assert answer.success and answer.message == f"6 poses of base_link saved to {path} (tum)"
    stamps = [line.split()[0] for line in path.read_text().splitlines()]
    sent = [stamp_to_ns(message.header.stamp) for message in rig.received.odom]
    assert [int(stamp.replace(".", "")) for stamp in stamps] == sent
    odom_from_base = np.stack(
        [matrix_from_pose(message.pose.pose) for message in rig.received.odom]
    )
    np.testing.assert_allclose(read_poses(path).poses, odom_from_base, atol=1e-8)

    # KITTI, of the camera.
    change(rig, format="kitti", frame="camera")
    assert rig.trigger("save_trajectory").message.endswith(f"the camera saved to {path} (kitti)")
    camera = read_poses(path).poses
    np.testing.assert_allclose(camera[0], np.eye(4), atol=1e-9)
    base_from_camera = rig.node.session.extrinsics.base_from_camera
    np.testing.assert_allclose(
        base_from_camera @ camera @ se3.inverse(base_from_camera), odom_from_base, atol=1e-7
    )


def test_a_reset_begins_a_new_trajectory_and_pausing_keeps_it(rig, tmp_path: Path) -> None:
    path = tmp_path / "saved.txt"
    rig.start(**{"trajectory.path": str(path)})
    drive(rig, range(5), 5)
    assert rig.trigger("pause").success
    assert rig.trigger("save_trajectory").message.startswith("5 poses")
    assert rig.trigger("resume").success and rig.trigger("reset").success
    drive(rig, range(5, 11), 11)
    assert rig.trigger("save_trajectory").message.startswith("6 poses")
    np.testing.assert_allclose(read_poses(path).poses[0], np.eye(4), atol=1e-9)


def test_what_cannot_be_saved_is_told(rig, tmp_path: Path) -> None:
    rig.start(autostart=False, **{"trajectory.path": str(tmp_path / "absent" / "saved.txt")})
    unconfigured = rig.trigger("save_trajectory")
    assert not unconfigured.success and unconfigured.message == "the node is not configured"
    rig.node.trigger_configure()
    rig.node.trigger_activate()
    rig.wait_until_connected()
    drive(rig, range(5), 5)
    refused = rig.trigger("save_trajectory")
    assert not refused.success and "saved.txt: cannot be written" in refused.message
    change(rig, path=str(tmp_path))
    assert "cannot be written: is a folder" in rig.trigger("save_trajectory").message
    results = rig.node.set_parameters([Parameter("trajectory.format", value="bag")])
    assert "must be one of tum, kitti" in results[0].reason


def odometry(index: int, stamp_ns: int | None = None) -> Odometry:
    pose = np.eye(4)
    pose[:3, :3] = se3.so3_exp(np.array([0.0, 0.0, 0.01 * index]))
    pose[:3, 3] = index, -index, 0.5
    message = Odometry()
    message.header.stamp = ns_to_stamp(START_NS + index * 10**8 if stamp_ns is None else stamp_ns)
    message.pose.pose = pose_message(pose)
    return message


@pytest.fixture
def parameters(tmp_path: Path) -> NodeParameters:
    return NodeParameters(trajectory_path=str(tmp_path / "saved.txt"))


def saved_x(parameters: NodeParameters) -> list[float]:
    return read_poses(Path(parameters.trajectory_path)).poses[:, 0, 3].tolist()


def test_memory_is_bounded_and_the_oldest_poses_fall_out(
    parameters: NodeParameters, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trajectory_recorder, "BLOCK_POSES", 8)
    recorder = TrajectoryRecorder(max_poses=20)
    for index in range(100):
        recorder.add(odometry(index), BASE_FROM_OPTICAL)
        assert len(recorder._poses) <= 4
        if index in (0, 7, 8, 19, 20, 99):
            told = recorder.save(parameters)
            newest = list(range(max(index - 19, 0), index + 1))
            assert saved_x(parameters) == newest
            assert ("older ones" in told) == (index >= 20)
    assert "; 80 older ones are beyond trajectory.max_poses" in told


def test_stamps_that_jump_back_begin_anew(parameters: NodeParameters) -> None:
    recorder = TrajectoryRecorder(max_poses=20)
    for index, stamp_ns in enumerate([5, 6, 7, 3, 4]):
        recorder.add(odometry(index, stamp_ns * 10**9), BASE_FROM_OPTICAL)
    recorder.save(parameters)
    assert saved_x(parameters) == [3, 4]
    recorder.clear()
    with pytest.raises(InputError, match="no pose to save yet"):
        recorder.save(parameters)
