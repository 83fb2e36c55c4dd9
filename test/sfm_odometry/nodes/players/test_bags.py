"""From a sequence folder to a bag and back through real topics; and bad bags."""

from pathlib import Path

import numpy as np
import pytest
import rclpy
import yaml
from nav_msgs.msg import Path as PathMessage
from rclpy.serialization import deserialize_message
from rosbags.rosbag1 import Writer as Writer1
from rosbags.rosbag2 import Reader
from rosbags.typesys import Stores, get_typestore
from sensor_msgs.msg import CameraInfo, Image
from tf2_msgs.msg import TFMessage

from sfm_odometry.errors import InputError, OutputError
from sfm_odometry.io.kitti import open_sequence
from sfm_odometry.nodes import bag_player, kitti_to_bag
from sfm_odometry.nodes.conversions import stamp_to_ns
from sfm_odometry.nodes.players.bags import (
    bag_messages,
    bag_topics,
    create_bag,
    is_latched,
    message_class,
)
from sfm_odometry.nodes.players.drive import DriveMessages, Mounting
from sfm_odometry.nodes.qos import LATCHED_QOS
from sfm_odometry.nodes.spinning import make_executor

STORAGES = ("mcap", "sqlite3")


@pytest.fixture(params=STORAGES)
def bag(request: pytest.FixtureRequest, drive_folder: Path, tmp_path: Path) -> Path:
    path = tmp_path / "bag"
    assert (
        kitti_to_bag.main(
            [str(drive_folder), "--out", str(path), "--storage", request.param, "--epoch", "1000"]
        )
        == 0
    )
    return path


def test_bag_holds_the_drive(bag: Path, drive_folder: Path) -> None:
    frames = list(DriveMessages(open_sequence(drive_folder), Mounting()).frames())
    images = []
    infos = []
    transforms = []
    for topic, received_ns, data in bag_messages(bag, ["/image", "/camera_info", "/tf"]):
        kind, found = {
            "/image": (Image, images),
            "/camera_info": (CameraInfo, infos),
            "/tf": (TFMessage, transforms),
        }[topic]
        message = deserialize_message(bytes(data), kind)
        header = message.transforms[0].header if kind is TFMessage else message.header
        assert stamp_to_ns(header.stamp) == received_ns
        found.append(message)
    assert len(images) == len(infos) == len(transforms) == 12
    for index, (image, info, frame) in enumerate(zip(images, infos, frames, strict=True)):
        frame.stamp(1000 * 10**9 + index * 10**8)
        assert (image, info) == (frame.image, frame.camera_info)
    assert {t.transforms[0].child_frame_id for t in transforms} == {"ground_truth_base_link"}


def test_metadata_is_what_ros2_bag_reads(bag: Path) -> None:
    content = yaml.safe_load((bag / "metadata.yaml").read_text())["rosbag2_bagfile_information"]
    assert content["storage_identifier"] in STORAGES
    assert content["message_count"] == 1 + 1 + 3 * 12
    assert content["duration"]["nanoseconds"] == 1_100_000_000
    assert content["starting_time"]["nanoseconds_since_epoch"] == 1000 * 10**9
    assert (bag / content["relative_file_paths"][0]).is_file()
    topics = {
        entry["topic_metadata"]["name"]: entry["topic_metadata"]
        for entry in content["topics_with_message_count"]
    }
    assert topics["/image"]["type"] == "sensor_msgs/msg/Image"
    assert topics["/image"]["serialization_format"] == "cdr"
    assert all(topic["type_description_hash"].startswith("RIHS01_") for topic in topics.values())
    profile = yaml.safe_load(topics["/tf_static"]["offered_qos_profiles"])[0]
    assert (profile["durability"], profile["reliability"], profile["history"]) == (
        1,
        1,
        1,
    )  # transient local, reliable, keep last


def test_messages_are_read_by_rosbags(bag: Path) -> None:
    types = get_typestore(Stores.ROS2_HUMBLE)
    with Reader(bag) as reader:
        for connection, _, data in reader.messages():
            message = types.deserialize_cdr(data, connection.msgtype)
            if connection.topic == "/camera_info":
                assert (message.width, message.k[0], message.header.frame_id) == (
                    424,
                    300.0,
                    "camera_optical_frame",
                )
            if connection.topic == "/ground_truth/path":
                assert len(message.poses) == 12


def test_latched_topics_are_recognised(bag: Path) -> None:
    latched = {connection.topic for connection in bag_topics(bag) if is_latched(connection)}
    assert latched == {"/tf_static", "/ground_truth/path"}


def test_compressed_images_are_the_files(drive_folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "bag"
    arguments = [
        str(drive_folder),
        "--out",
        str(path),
        "--compressed",
        "--image-topic",
        "/cam/image",
        "--frames",
        "3",
    ]
    assert kitti_to_bag.main(arguments) == 0
    messages = [deserialize_message(bytes(data), message_class("sensor_msgs/msg/CompressedImage"))
                for _, _, data in bag_messages(path, ["/cam/image/compressed"])]  # fmt: skip
    assert [bytes(message.data) for message in messages] == [
        (drive_folder / "image_2" / f"{index:06d}.png").read_bytes() for index in range(3)
    ]
    assert {message.format for message in messages} == {"rgb8; png compressed bgr8"}


def test_replay_sends_what_the_bag_holds(spinner, bag: Path) -> None:
    received = listen_to_player(spinner)
    player = bag_player.BagPlayer(bag_player.make_parser().parse_args([str(bag), "--rate", "5"]))
    executor = make_executor()
    executor.add_node(player)
    try:
        spinner.until(
            lambda: all(
                publisher.get_subscription_count()
                for publisher in player.publisher_by_topic.values()
            )
        )
        player.play()
        spinner.until(
            lambda: (
                len(received["/image"])
                == len(received["/camera_info"])
                == len(received["/bag/tf"])
                == 12
            ),
            "all messages",
        )
        spinner.until(lambda: received["/tf_static"] and received["/ground_truth/path"])
    finally:
        executor.shutdown()
        player.destroy_node()
    assert not received["/tf"]
    stored: dict[str, list[bytes]] = {}
    for topic, _, data in bag_messages(
        bag, ["/image", "/camera_info", "/tf", "/tf_static", "/ground_truth/path"]
    ):
        stored.setdefault(topic, []).append(bytes(data))
    for topic, sent in stored.items():
        messages = received["/bag/tf" if topic == "/tf" else topic]
        assert messages == [deserialize_message(data, type(messages[0])) for data in sent]


def listen_to_player(spinner) -> dict[str, list]:
    """Subscribe to all topics of the player; returns their messages by topic."""
    topics = {
        "/image": (Image, 50),
        "/camera_info": (CameraInfo, 50),
        "/bag/tf": (TFMessage, 50),
        "/tf": (TFMessage, 50),
        "/tf_static": (TFMessage, LATCHED_QOS),
        "/ground_truth/path": (PathMessage, LATCHED_QOS),
    }
    listener = spinner.add(rclpy.create_node("listener"))
    received: dict[str, list] = {topic: [] for topic in topics}
    for topic, (message_type, qos) in topics.items():
        listener.create_subscription(message_type, topic, received[topic].append, qos)
    return received


def test_topics_can_be_chosen(ros: None, bag: Path) -> None:
    def topics_of(*arguments: str) -> set[str]:
        player = bag_player.BagPlayer(bag_player.make_parser().parse_args([str(bag), *arguments]))
        topics = {publisher.topic_name for publisher in player.publisher_by_topic.values()}
        player.destroy_node()
        return topics

    assert topics_of() == {"/image", "/camera_info", "/bag/tf", "/tf_static", "/ground_truth/path"}
    assert topics_of("--keep-tf", "--exclude", "/image", "/ground_truth/path") == {
        "/camera_info",
        "/tf",
        "/tf_static",
    }
    assert topics_of("--topics", "/image") == {"/image"}
    with pytest.raises(InputError, match="no topic left to play"):
        topics_of("--topics", "/nothing")


def test_damaged_bags_are_named(bag: Path) -> None:
    (storage,) = (path for path in bag.iterdir() if path.suffix in (".mcap", ".db3"))
    storage.write_bytes(storage.read_bytes()[:3000])
    with pytest.raises(InputError, match=str(bag)):
        list(bag_messages(bag, ["/image"]))


def test_bags_that_cannot_be_written_or_opened(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file or folder"):
        bag_topics(tmp_path / "none")
    (tmp_path / "metadata.yaml").write_text("rosbag2_bagfile_information: {version: 5}")
    with pytest.raises(InputError, match="cannot be read, expected a whole bag"):
        bag_topics(tmp_path)
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(OutputError, match="cannot be written"),
        create_bag(tmp_path / "file" / "bag", "mcap"),
    ):
        pass


def test_a_recording_that_was_cut_off_is_played_as_far_as_it_goes(
    bag: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    count = len(list(bag_messages(bag, ["/image"])))
    (storage,) = (path for path in bag.iterdir() if path.suffix in (".mcap", ".db3"))
    storage.write_bytes(storage.read_bytes()[: storage.stat().st_size * 3 // 4])
    (bag / "metadata.yaml").unlink()
    assert "/image" in {connection.topic for connection in bag_topics(bag)}
    capsys.readouterr()
    messages = [deserialize_message(bytes(data), Image)
                for _, _, data in bag_messages(bag, ["/image"])]  # fmt: skip
    assert 0 < len(messages) < count
    assert "warning:" in capsys.readouterr().err


def test_bags_of_ros_1_are_played(tmp_path: Path) -> None:
    types = get_typestore(Stores.ROS1_NOETIC)
    time = types.types["builtin_interfaces/msg/Time"](sec=5, nanosec=7)
    header = types.types["std_msgs/msg/Header"](seq=3, stamp=time, frame_id="camera")
    kind = "sensor_msgs/msg/Image"
    message = types.types[kind](
        header=header, height=1, width=2, encoding="mono8", is_bigendian=0, step=2,
        data=np.array([4, 9], np.uint8),
    )  # fmt: skip
    with Writer1(tmp_path / "drive.bag") as writer:
        images = writer.add_connection("/image", kind, typestore=types)
        writer.write(images, 10**9, types.serialize_ros1(message, kind))
    ((topic, received_ns, data),) = bag_messages(tmp_path / "drive.bag", ["/image"])
    image = deserialize_message(bytes(data), Image)
    assert (topic, received_ns, image.header.frame_id) == ("/image", 10**9, "camera")
    assert (image.header.stamp.nanosec, bytes(image.data)) == (7, bytes([4, 9]))


def test_unknown_message_types_are_none() -> None:
    assert message_class("sensor_msgs/msg/Image") is Image
    assert message_class("sensor_msgs/msg/Nothing") is None
    assert message_class("no_such_msgs/msg/Image") is None


def test_ground_truth_is_finite(bag: Path) -> None:
    (data,) = (data for _, _, data in bag_messages(bag, ["/ground_truth/path"]))
    path = deserialize_message(bytes(data), PathMessage)
    positions = np.array([[pose.pose.position.x, pose.pose.position.y] for pose in path.poses])
    assert np.isfinite(positions).all() and positions[-1, 0] == pytest.approx(0.8 * 11)
