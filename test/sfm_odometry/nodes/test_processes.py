"""The nodes as processes: the path from a folder to odometry, exit codes, and what a user reads
when something is wrong."""

import itertools
import signal
from pathlib import Path

import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from nav_msgs.msg import Odometry
from nav_msgs.msg import Path as PathMessage
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, Image
from tf2_msgs.msg import TFMessage

from sfm_odometry.nodes.conversions import stamp_to_ns
from sfm_odometry.nodes.qos import LATCHED_QOS

NODE = "sfm_odometry.nodes.odometry_node"
PLAYER = "sfm_odometry.nodes.kitti_player"


def parameters(model_path: Path, **others: object) -> list[str]:
    values = {"model.path": model_path, "model.device": "cpu", **others}
    return [
        "--ros-args",
        *(word for name, value in values.items() for word in ("-p", f"{name}:={value}")),
    ]


def test_a_folder_is_tracked_from_process_to_process(
    spinner, processes, model_path: Path, drive_folder: Path, tmp_path: Path
) -> None:
    listener = spinner.add(rclpy.create_node("listener"))
    odometry: list[Odometry] = []
    transforms: list[TFMessage] = []
    listener.create_subscription(Odometry, "odom", odometry.append, 50)
    listener.create_subscription(TFMessage, "/tf", transforms.append, 50)
    node = processes.start(NODE, *parameters(model_path, always_process_most_recent_frame="false"))
    spinner.until(lambda: listener.count_publishers("odom") == 1, "the node")
    log = tmp_path / "published.csv"
    code, output = processes.run(PLAYER, drive_folder, "--hz", 20, "--publish-log", log)
    assert code == 0, output
    spinner.until(lambda: len(odometry) == 12, "odometry of all twelve frames")
    rows = [tuple(map(int, line.split(","))) for line in log.read_text().splitlines()[1:]]
    assert [stamp for stamp, _ in rows] == [
        stamp_to_ns(message.header.stamp) for message in odometry
    ]
    assert all(abs(published - stamp) < 30e9 for stamp, published in rows)
    assert "base_link" in {
        transform.child_frame_id for message in transforms for transform in message.transforms
    }
    node.send_signal(signal.SIGINT)
    output, _ = node.communicate(timeout=60)
    assert node.returncode == 0, output
    assert "Traceback" not in output


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_the_node_with_success(
    spinner, processes, model_path: Path, number: signal.Signals
) -> None:
    listener = spinner.add(rclpy.create_node("listener"))
    statuses: list[DiagnosticArray] = []
    listener.create_subscription(DiagnosticArray, "/sfm_odometry/status", statuses.append, 10)
    node = processes.start(NODE, *parameters(model_path))
    spinner.until(lambda: statuses, "a status")
    node.send_signal(number)
    output, _ = node.communicate(timeout=60)
    assert (node.returncode, "Traceback" in output) == (0, False), output


def test_signal_ends_a_player_that_waits_for_listeners(
    spinner, processes, drive_folder: Path
) -> None:
    listener = spinner.add(rclpy.create_node("listener"))
    player = processes.start(PLAYER, drive_folder, "--wait", -1)
    spinner.until(lambda: listener.count_publishers("image") == 1, "the player")
    player.send_signal(signal.SIGTERM)
    output, _ = player.communicate(timeout=60)
    assert (player.returncode, "Traceback" in output) == (0, False), output


def test_player_loops_sends_clock_and_true_poses(spinner, processes, drive_folder: Path) -> None:
    listener = spinner.add(rclpy.create_node("listener"))
    images: list[Image] = []
    infos: list[CameraInfo] = []
    paths: list[PathMessage] = []
    static: list[TFMessage] = []
    truth: list[TFMessage] = []
    clocks: list[Clock] = []
    listener.create_subscription(Image, "image", images.append, 10)
    listener.create_subscription(CameraInfo, "camera_info", infos.append, 10)
    listener.create_subscription(PathMessage, "ground_truth/path", paths.append, LATCHED_QOS)
    listener.create_subscription(TFMessage, "/tf_static", static.append, LATCHED_QOS)
    listener.create_subscription(TFMessage, "/tf", truth.append, 10)
    listener.create_subscription(Clock, "/clock", clocks.append, 10)
    player = processes.start(
        PLAYER,
        drive_folder,
        "--rate",
        10,
        "--loop",
        "--clock",
        "--start",
        2,
        "--frames",
        6,
        "--camera-frame",
        "eye",
    )
    spinner.until(
        lambda: len(images) >= 8 and len(infos) >= 8 and paths and static and truth and clocks,
        "a second round",
    )
    player.send_signal(signal.SIGINT)
    output, _ = player.communicate(timeout=60)
    assert player.returncode == 0, output
    stamps = [stamp_to_ns(image.header.stamp) for image in images]
    assert all(later > earlier for earlier, later in itertools.pairwise(stamps))
    assert stamps[5] - stamps[0] == pytest.approx(
        0.5e9, abs=2e5
    )  # recorded time, although played ten times as fast
    assert stamps[6] - stamps[5] >= 1e9
    assert stamps == [stamp_to_ns(info.header.stamp) for info in infos][: len(stamps)]
    assert {image.header.frame_id for image in images} == {"eye"}
    assert [stamp_to_ns(pose.header.stamp) for pose in paths[0].poses] == stamps[:6]
    assert {(t.header.frame_id, t.child_frame_id) for t in static[0].transforms} == {
        ("base_link", "eye"),
        ("odom", "ground_truth_odom"),
    }
    assert stamp_to_ns(clocks[0].clock) >= stamps[0] - 1e6
    poses = {stamp_to_ns(pose.header.stamp): pose.pose for path in paths for pose in path.poses}
    for message in truth:
        (transform,) = message.transforms
        assert (transform.header.frame_id, transform.child_frame_id) == (
            "ground_truth_odom",
            "ground_truth_base_link",
        )
        translation, position = (
            transform.transform.translation,
            poses[stamp_to_ns(transform.header.stamp)].position,
        )
        assert (translation.x, translation.y, translation.z) == (position.x, position.y, position.z)


@pytest.mark.parametrize(("arguments", "words"), [
    (["-p", "model.path:=/nowhere/model.safetensors"], "/nowhere/model.safetensors: no such model file"),
    (["-p", "use_sim_time:=maybe"], "'use_sim_time' to 'maybe'"),
    (["-p", "image_qos:=fast"], "image_qos must be one of auto, best_effort, reliable, got 'fast'"),
])  # fmt: skip
def test_node_that_cannot_start_says_why_in_one_line(
    processes, arguments: list[str], words: str
) -> None:
    code, output = processes.run(NODE, "--ros-args", *arguments)
    errors = [line for line in output.splitlines() if line.startswith("error: ")]
    assert code == 2 and len(errors) == 1 and words in errors[0] and "Traceback" not in output, (
        output
    )


@pytest.mark.parametrize(("arguments", "words"), [
    (["--params-file", "/nowhere.yaml"], "/nowhere.yaml"),
    (["--log-level", "loud"], "'--log-level loud'"),
    (["model.path:=/somewhere"], "unknown ROS argument: model.path:=/somewhere"),
])  # fmt: skip
def test_ros_arguments_that_cannot_be_read_are_one_line(
    processes, arguments: list[str], words: str
) -> None:
    for module, own in ((NODE, []), (PLAYER, ["/nowhere"])):
        code, output = processes.run(module, *own, "--ros-args", *arguments)
        line = output.splitlines()[-1]
        assert code == 2 and "error: " in line and words in line and "Traceback" not in output, (
            output
        )


@pytest.mark.parametrize(("module", "arguments", "words"), [
    (PLAYER, ["/nowhere"], "/nowhere: no such folder"),
    (PLAYER, ["DRIVE", "--camera", "1"], "no image_1 in it"),
    (PLAYER, ["DRIVE", "--start", "40"], "has 12 frames, none left"),
    (PLAYER, ["DRIVE", "--publish-log", "DRIVE"], "cannot be written"),
    (PLAYER, ["DRIVE", "--rate", "0"], "must be a number greater than zero, got '0'"),
    ("sfm_odometry.nodes.kitti_to_bag", ["/nowhere", "--out", "NEW"], "/nowhere: no such folder"),
    ("sfm_odometry.nodes.kitti_to_bag", ["DRIVE", "--out", "DRIVE"], "exists already, expected the name of a new bag"),
    ("sfm_odometry.nodes.bag_player", ["/nowhere"], "/nowhere: no such bag"),
    ("sfm_odometry.nodes.bag_player", ["DRIVE"], "bag cannot be read, expected a rosbag2 folder with metadata.yaml"),
])  # fmt: skip
def test_bad_input_is_one_line_and_exit_code_2(
    processes, drive_folder: Path, tmp_path: Path, module: str, arguments: list[str], words: str
) -> None:
    places = {"DRIVE": str(drive_folder), "NEW": str(tmp_path / "new")}
    code, output = processes.run(
        module, *(places.get(argument, argument) for argument in arguments)
    )
    assert code == 2 and words in output.splitlines()[-1] and "Traceback" not in output, output


def test_a_corrupt_image_ends_the_player_with_its_name(
    processes, drive_folder: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "corrupt"
    (folder / "image_2").mkdir(parents=True)
    for name in ("calib.txt", "image_2/000000.png", "image_2/000001.png"):
        (folder / name).write_bytes((drive_folder / name).read_bytes())
    (folder / "image_2" / "000002.png").write_bytes(b"\x89PNG not really")
    code, output = processes.run(PLAYER, folder, "--wait", 0)
    assert code == 2 and "000002.png" in output.splitlines()[-1] and "Traceback" not in output, (
        output
    )
