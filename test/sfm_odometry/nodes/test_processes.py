"""The nodes as processes: from a folder to odometry, exit codes, and error messages."""

import itertools
import signal
from pathlib import Path
from types import SimpleNamespace

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
BAG_PLAYER = "sfm_odometry.nodes.bag_player"
BAG_WRITER = "sfm_odometry.nodes.kitti_to_bag"


def parameters(model_path: Path, **others: object) -> list[str]:
    """ROS arguments of the model and of other parameters."""
    values = {
        "model.path": model_path,
        "model.device": "cpu",
        "model.backend": "eager",
        **others,
    }
    return [
        "--ros-args",
        *(word for name, value in values.items() for word in ("-p", f"{name}:={value}")),
    ]


def test_player_and_node_as_processes(
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
    output, _ = node.communicate(timeout=180)
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
    output, _ = node.communicate(timeout=180)
    assert (node.returncode, "Traceback" in output) == (0, False), output


def test_signal_ends_a_player_that_waits_for_listeners(
    spinner, processes, drive_folder: Path
) -> None:
    listener = spinner.add(rclpy.create_node("listener"))
    player = processes.start(PLAYER, drive_folder, "--wait", -1)
    spinner.until(lambda: listener.count_publishers("image") == 1, "the player")
    player.send_signal(signal.SIGTERM)
    output, _ = player.communicate(timeout=180)
    assert (player.returncode, "Traceback" in output) == (0, False), output


def test_player_loops_sends_clock_and_true_poses(spinner, processes, drive_folder: Path) -> None:
    received = listen_to_player(spinner)
    options = "--rate 10 --loop --clock --start 2 --frames 6 --camera-frame eye"
    player = processes.start(PLAYER, drive_folder, *options.split())
    spinner.until(
        lambda: (
            len(received.images) >= 8
            and len(received.infos) >= 8
            and all((received.paths, received.static, received.tf, received.clocks))
        ),
        "a second round",
    )
    player.send_signal(signal.SIGINT)
    output, _ = player.communicate(timeout=180)
    assert player.returncode == 0, output
    check_player_stamps(received)
    check_player_transforms(received)


def listen_to_player(spinner) -> SimpleNamespace:
    """Subscribe to all topics of the player; returns their messages."""
    received = SimpleNamespace(images=[], infos=[], paths=[], static=[], tf=[], clocks=[])
    subscribe = spinner.add(rclpy.create_node("listener")).create_subscription
    subscribe(Image, "image", received.images.append, 10)
    subscribe(CameraInfo, "camera_info", received.infos.append, 10)
    subscribe(PathMessage, "ground_truth/path", received.paths.append, LATCHED_QOS)
    subscribe(TFMessage, "/tf_static", received.static.append, LATCHED_QOS)
    subscribe(TFMessage, "/tf", received.tf.append, 10)
    subscribe(Clock, "/clock", received.clocks.append, 10)
    return received


def check_player_stamps(received: SimpleNamespace) -> None:
    """Check the stamps of six frames in 0.5 s of recorded time, and of a second round."""
    stamps = [stamp_to_ns(image.header.stamp) for image in received.images]
    assert all(later > earlier for earlier, later in itertools.pairwise(stamps))
    # Stamps are of recorded time, although played ten times as fast.
    assert stamps[5] - stamps[0] == pytest.approx(0.5e9, abs=2e5)
    assert stamps[6] - stamps[5] >= 1e9
    assert stamps == [stamp_to_ns(info.header.stamp) for info in received.infos][: len(stamps)]
    assert [stamp_to_ns(pose.header.stamp) for pose in received.paths[0].poses] == stamps[:6]
    assert stamp_to_ns(received.clocks[0].clock) >= stamps[0] - 1e6


def check_player_transforms(received: SimpleNamespace) -> None:
    """Check the frames, and that the transforms are the poses of the path."""
    assert {image.header.frame_id for image in received.images} == {"eye"}
    assert {(t.header.frame_id, t.child_frame_id) for t in received.static[0].transforms} == {
        ("base_link", "eye"),
        ("odom", "ground_truth_odom"),
    }
    poses = {
        stamp_to_ns(pose.header.stamp): pose.pose for path in received.paths for pose in path.poses
    }
    for message in received.tf:
        (transform,) = message.transforms
        assert (transform.header.frame_id, transform.child_frame_id) == (
            "ground_truth_odom",
            "ground_truth_base_link",
        )
        translation = transform.transform.translation
        position = poses[stamp_to_ns(transform.header.stamp)].position
        assert (translation.x, translation.y, translation.z) == (position.x, position.y, position.z)


@pytest.mark.parametrize(("arguments", "words"), [
    (
        ["-p", "model.path:=/nowhere/model.safetensors"],
        "/nowhere/model.safetensors: no such model file",
    ),
    (["-p", "use_sim_time:=maybe"], "'use_sim_time' to 'maybe'"),
    (["-p", "image_qos:=fast"], "image_qos must be one of auto, best_effort, reliable, got 'fast'"),
])  # fmt: skip
def test_a_node_that_cannot_start_prints_the_reason_in_one_line(
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
def test_bad_ros_arguments_are_one_line(processes, arguments: list[str], words: str) -> None:
    for module, positional in ((NODE, []), (PLAYER, ["/nowhere"])):
        code, output = processes.run(module, *positional, "--ros-args", *arguments)
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
    (BAG_WRITER, ["/nowhere", "--out", "NEW"], "/nowhere: no such folder"),
    (BAG_WRITER, ["DRIVE", "--out", "DRIVE"], "exists already, expected the name of a new bag"),
    (BAG_PLAYER, ["/nowhere"], "/nowhere: no such file or folder, expected a bag"),
    (BAG_PLAYER, ["DRIVE"], "cannot be read, expected a whole bag of ROS: no metadata.yaml"),
])  # fmt: skip
def test_bad_input_is_one_line_and_exit_code_2(
    processes, drive_folder: Path, tmp_path: Path, module: str, arguments: list[str], words: str
) -> None:
    folders = {"DRIVE": str(drive_folder), "NEW": str(tmp_path / "new")}
    code, output = processes.run(
        module, *(folders.get(argument, argument) for argument in arguments)
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
