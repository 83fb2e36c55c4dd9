"""Trajectories out of bags: every type of message, and the topics and frames that are named."""

import json

import numpy as np
import pytest

pytest.importorskip("rosbags")
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from sfm_odometry.errors import InputError
from sfm_odometry.geometry import se3
from sfm_odometry.io.bag_trajectories import read_bag_poses, split_source
from sfm_odometry.io.trajectories import write_tum
from training.evaluate.__main__ import main

TYPES = get_typestore(Stores.ROS2_HUMBLE)
START_NS = 1_700_000_000_000_000_000
COUNT = 40


def make(name, **fields):
    return TYPES.types[name](**fields)


def header(index):
    stamp_ns = START_NS + index * 10**8
    time = make("builtin_interfaces/msg/Time", sec=stamp_ns // 10**9, nanosec=stamp_ns % 10**9)
    return make("std_msgs/msg/Header", stamp=time, frame_id="odom")


def numbers(pose):
    x, y, z, w = se3.quaternions_xyzw_from_rotations(pose[None, :3, :3])[0].tolist()
    return pose[:3, 3].tolist(), {"x": x, "y": y, "z": z, "w": w}


def pose_message(pose):
    (x, y, z), q = numbers(pose)
    return make(
        "geometry_msgs/msg/Pose",
        position=make("geometry_msgs/msg/Point", x=x, y=y, z=z),
        orientation=make("geometry_msgs/msg/Quaternion", **q),
    )


def vector(x=0.0, y=0.0, z=0.0):
    return make("geometry_msgs/msg/Vector3", x=x, y=y, z=z)


def with_covariance(pose):
    return make(
        "geometry_msgs/msg/PoseWithCovariance", pose=pose_message(pose), covariance=np.zeros(36)
    )


def odometry(pose, index):
    twist = make(
        "geometry_msgs/msg/TwistWithCovariance",
        twist=make("geometry_msgs/msg/Twist", linear=vector(), angular=vector()),
        covariance=np.zeros(36),
    )
    return make(
        "nav_msgs/msg/Odometry",
        header=header(index),
        child_frame_id="base_link",
        pose=with_covariance(pose),
        twist=twist,
    )


def stamped(pose, index):
    return make("geometry_msgs/msg/PoseStamped", header=header(index), pose=pose_message(pose))


def stamped_with_covariance(pose, index):
    return make(
        "geometry_msgs/msg/PoseWithCovarianceStamped",
        header=header(index),
        pose=with_covariance(pose),
    )


def transform(pose, index, child="base_link"):
    (x, y, z), q = numbers(pose)
    body = make(
        "geometry_msgs/msg/Transform",
        translation=vector(x, y, z),
        rotation=make("geometry_msgs/msg/Quaternion", **q),
    )
    return make(
        "geometry_msgs/msg/TransformStamped",
        header=header(index),
        child_frame_id=child,
        transform=body,
    )


def write_bag(path, topics):
    """Writes {topic: messages} to a bag; each list at 10 Hz."""
    with Writer(path, version=8, storage_plugin=StoragePlugin.MCAP) as writer:
        for topic, messages in topics.items():
            kind = messages[0].__msgtype__
            connection = writer.add_connection(topic, kind, typestore=TYPES)
            for index, message in enumerate(messages):
                writer.write(
                    connection, START_NS + index * 10**8, TYPES.serialize_cdr(message, kind)
                )


@pytest.fixture
def poses(winding):
    return winding[:COUNT]


@pytest.fixture
def bag(tmp_path, poses):
    """Bag with the poses on a topic of each type."""
    still = np.eye(4)
    of_each = list(enumerate(poses))
    paths = [
        make(
            "nav_msgs/msg/Path",
            header=header(end - 1),
            poses=[stamped(pose, index) for index, pose in of_each[:end]],
        )
        for end in (COUNT // 2, COUNT)
    ]
    topics = {
        "/odom": [odometry(pose, index) for index, pose in of_each],
        "/slam/pose": [stamped(pose, index) for index, pose in of_each],
        "/amcl_pose": [stamped_with_covariance(pose, index) for index, pose in of_each],
        "/vicon": [transform(pose, index) for index, pose in of_each],
        "/path": paths,
        "/tf": [
            make(
                "tf2_msgs/msg/TFMessage",
                transforms=[transform(pose, index), transform(still, index, "wheel")],
            )
            for index, pose in of_each
        ],
        "/image": [
            make("sensor_msgs/msg/CompressedImage", header=header(0), format="png",
                 data=np.zeros(3, np.uint8))
        ],
    }  # fmt: skip
    write_bag(tmp_path / "bag", topics)
    return tmp_path / "bag"


@pytest.mark.parametrize("topic", ["/odom", "slam/pose", "/amcl_pose", "/vicon", "/path"])
def test_every_type_of_pose_is_read(bag, poses, topic):
    file = read_bag_poses(bag, topic)
    np.testing.assert_allclose(file.poses, poses, atol=1e-12)
    np.testing.assert_allclose(file.stamps_s, START_NS / 1e9 + 0.1 * np.arange(COUNT), atol=1e-6)
    assert file.notes == ()


def test_transforms_are_chosen_by_their_frames(bag, poses):
    np.testing.assert_allclose(
        read_bag_poses(bag, "/tf", "odom.base_link").poses, poses, atol=1e-12
    )
    with pytest.raises(InputError, match=r"/tf: has odom\.base_link, odom\.wheel, expected one"):
        read_bag_poses(bag, "/tf")
    with pytest.raises(InputError, match=r"expected one of them as BAG:TOPIC:PARENT\.CHILD"):
        read_bag_poses(bag, "/tf", "map.base_link")


@pytest.mark.parametrize(
    ("topic", "message"),
    [
        ("", "has /amcl_pose (geometry_msgs/msg/PoseWithCovarianceStamped), /odom"),
        ("/image", "topic /image is of sensor_msgs/msg/CompressedImage, expected one with poses"),
        ("/nothing", "no topic /nothing, expected one with poses; it has /amcl_pose"),
    ],
)
def test_topics_without_poses_are_refused_by_naming_those_with(bag, topic, message):
    with pytest.raises(InputError) as caught:
        read_bag_poses(bag, topic)
    assert str(caught.value).startswith(str(bag)) and message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_single_topic_need_not_be_named_and_bad_poses_are_left_out(tmp_path, poses):
    bad = odometry(poses[3], 3)
    bad.pose.pose.orientation.w = float("nan")
    empty = odometry(poses[4], 4)
    empty.pose.pose.orientation = make("geometry_msgs/msg/Quaternion", x=0.0, y=0.0, z=0.0, w=0.0)
    messages = [odometry(pose, index) for index, pose in enumerate(poses)]
    messages[3:5] = [bad, empty]
    messages[7] = odometry(poses[6], 6)
    write_bag(tmp_path / "bag", {"/o": messages})
    file = read_bag_poses(tmp_path / "bag")
    assert len(file.poses) == COUNT - 3
    assert ["taken from /o" in file.notes[0], "2 of 40 messages" in file.notes[1]] == [True] * 2
    assert "1 of 38 rows repeats" in file.notes[2]


def test_sources_are_told_apart_from_files(bag, tmp_path):
    assert split_source(f"{bag}:/odom") == (bag, "/odom", "")
    assert split_source(f"{bag}:odom") == (bag, "odom", "")
    assert split_source(f"{bag}:/tf:odom.base_link") == (bag, "/tf", "odom.base_link")
    assert split_source(str(bag)) == (bag, "", "")
    assert split_source(str(tmp_path / "poses.txt")) is None
    assert split_source("absent.mcap:/odom")[1] == "/odom"
    odd = tmp_path / "a:b.txt"
    odd.write_text("")
    assert split_source(str(odd)) is None


def test_the_evaluation_takes_topics_as_truth_and_as_prediction(bag, tmp_path, poses, capsys):
    stamps_s = START_NS / 1e9 + 0.1 * np.arange(COUNT)
    write_tum(tmp_path / "gt.tum", stamps_s, poses)
    for gt, pred in ((tmp_path / "gt.tum", f"{bag}:/odom"), (f"{bag}:/path", f"{bag}:/vicon")):
        assert main(["odometry", "--gt", str(gt), "--pred", str(pred), "--json"]) == 0
        scores = json.loads(capsys.readouterr().out)
        assert scores["frames"] == COUNT and scores["ate_m"] < 1e-6
    assert main(["compare", "--gt", f"{bag}:/odom", "--pred", f"slam={bag}:slam/pose"]) == 0
    assert "slam" in capsys.readouterr().out
    assert main(["odometry", "--gt", "none.mcap:/odom", "--pred", "x.txt"]) == 2
    assert capsys.readouterr().err.startswith("error: none.mcap: no such file or folder")
