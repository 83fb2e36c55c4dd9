"""Launch files and configuration.

The actions of the launch system, which need not be installed, are replaced by records. Where it is
installed, the launch files are started by it too.
"""

import ast
import importlib.util
import json
import math
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import yaml

from sfm_odometry.errors import InputError
from sfm_odometry.nodes import foxglove_layout
from sfm_odometry.nodes.launch_arguments import is_launched_itself
from sfm_odometry.nodes.parameters import NodeParameters, ros_name
from sfm_odometry.nodes.tf_conversions import BASE_FROM_OPTICAL, rigid_transform

ROOT = Path(__file__).resolve().parents[3]
REFERENCE_ARGUMENTS = {
    "image_topic",
    "camera_info_topic",
    "namespace",
    "params_file",
    "model_path",
    "device",
    "odom_frame",
    "base_frame",
    "publish_tf",
    "image_transport",
    "use_sim_time",
    "rviz",
    "log_level",
    "autostart",
    "camera_frame",
    "mount",
    "calibration",
    "fov",
    "input_is_rectified",
    "scale",
    "camera_height",
    "scale_value",
    "on_exit",
}
WEBCAM_ARGUMENTS = {"video_device", "video", "driver", "width", "height", "framerate"}
WEBCAM_ARGUMENTS |= {"max_rate", "rate", "loop", "shutdown_at_end"}


class Recorded:
    """Record of an action of launch: its arguments."""

    def __init__(self, *values: Any, **keywords: Any) -> None:
        self.values = values
        self.keywords = keywords


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name.replace(".", "_"), ROOT / "launch" / name)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Recorded]]:
    """Function that returns the recorded actions of a launch file with arguments."""
    names = (
        "LaunchContext",
        "LaunchDescription",
        "LaunchDescriptionEntity",
        "DeclareLaunchArgument",
        "ExecuteProcess",
        "Node",
        "OpaqueFunction",
        "Shutdown",
    )
    modules = ("launch", "launch.actions", "launch.logging", "launch_ros", "launch_ros.actions")
    warnings: list[str] = []
    for module in modules:
        fake = ModuleType(module)
        fake.get_logger = lambda name: SimpleNamespace(warning=warnings.append)
        for name in names:
            setattr(fake, name, type(name, (Recorded,), {}))
        monkeypatch.setitem(sys.modules, module, fake)
    for variable in (
        "FASTDDS_DEFAULT_PROFILES_FILE",
        "FASTRTPS_DEFAULT_PROFILES_FILE",
        "ROS_DISTRO",
    ):
        monkeypatch.delenv(variable, raising=False)

    def run(name: str, itself: bool = True, **arguments: str) -> list[Recorded]:
        """itself: whether the file is launched itself, and not by one that includes it."""
        module = load(name)
        given = [f"{argument}:={value}" for argument, value in arguments.items()]
        command = ["ros2", "launch", "sfm_odometry" if itself else "robot", name, *given]
        monkeypatch.setattr(sys, "argv", command)
        (description,) = module.generate_launch_description().values
        defaults = {
            action.values[0]: action.keywords["default_value"] for action in description[:-1]
        }
        run.warnings = warnings
        return module.launch_setup(
            SimpleNamespace(launch_configurations={**defaults, **arguments}, argv=given)
        )

    return run


@pytest.mark.parametrize(("name", "more"), [
    ("camera.launch.py", set()),
    ("kitti_replay.launch.py", {"bag", "sequence", "rate", "loop", "shutdown_at_end"}),
    ("rtabmap.launch.py", {"map_frame", "rtabmap_args"}),
    ("fusion.launch.py", {"ekf_file"}),
    ("webcam.launch.py", WEBCAM_ARGUMENTS),
])  # fmt: skip
def test_arguments_are_those_of_the_reference(start, name: str, more: set[str]) -> None:
    (description,) = load(name).generate_launch_description().values
    assert {action.values[0] for action in description[:-1]} == REFERENCE_ARGUMENTS | more
    assert all(action.keywords["description"] for action in description[:-1])


def test_arguments_become_parameters_that_the_node_has(start) -> None:
    known = {ros_name(item) for item in fields(NodeParameters)} | {"use_sim_time"}
    assert set(load("camera.launch.py").PARAMETER_OF_ARGUMENT.values()) <= known


def test_camera_starts_the_node_with_the_files_parameters(start, tmp_path: Path) -> None:
    model = tmp_path / "m.safetensors"
    model.touch()
    (node,) = start(
        "camera.launch.py",
        image_topic="/front/image_rect",
        model_path=str(model),
        publish_tf="False",
    )
    file, overrides = node.keywords["parameters"]
    assert file == str(ROOT / "config" / "sfm_odometry.yaml")
    assert overrides == {
        "model.path": str(model),
        "publish_tf": False,
    }  # the others as in the file
    assert node.keywords["remappings"] == [
        ("image", "/front/image_rect"),
        ("camera_info", "/front/camera_info"),
    ]
    assert node.keywords["additional_env"] == {
        "FASTDDS_DEFAULT_PROFILES_FILE": str(ROOT / "config" / "fastdds_images.xml")
    }


@pytest.mark.parametrize(
    ("image", "expected"),
    [("image", "camera_info"), ("/a/image_raw", "/a/camera_info"), ("/image", "/camera_info")],
)
def test_camera_info_topic_is_in_the_images_namespace(start, image: str, expected: str) -> None:
    assert load("camera.launch.py").camera_info_topic(image) == expected


@pytest.mark.parametrize(
    ("distro", "variable"),
    [("humble", "FASTRTPS"), ("jazzy", "FASTRTPS"), ("kilted", "FASTDDS"), ("", "FASTDDS")],
)
def test_profile_is_named_as_the_distribution_reads_it(
    start, monkeypatch: pytest.MonkeyPatch, distro: str, variable: str
) -> None:
    monkeypatch.setenv("ROS_DISTRO", distro)
    assert list(load("camera.launch.py").dds_profile()) == [f"{variable}_DEFAULT_PROFILES_FILE"]
    monkeypatch.setenv("FASTDDS_DEFAULT_PROFILES_FILE", "/my/own.xml")
    assert load("camera.launch.py").dds_profile() == {}


def test_empty_arguments_leave_the_parameters_of_the_file(start) -> None:
    (node,) = start("camera.launch.py")
    assert node.keywords["parameters"] == [str(ROOT / "config" / "sfm_odometry.yaml")]


def test_rviz_opens_our_layout_where_asked(start, drive_folder: Path) -> None:
    _, rviz = start("camera.launch.py", rviz="true", namespace="front")
    assert rviz.keywords["arguments"] == ["-d", str(ROOT / "config" / "sfm_odometry.rviz")]
    assert (rviz.keywords["namespace"], rviz.keywords["parameters"]) == ("front", [])
    _, rviz, _ = start(
        "kitti_replay.launch.py", rviz="true", sequence=str(drive_folder), odom_frame="start"
    )
    assert rviz.keywords["arguments"][2:] == ["--fixed-frame", "start"]
    # On the wall clock its transforms would be as old as the recording.
    assert rviz.keywords["parameters"] == [{"use_sim_time": True}]


def test_replay_of_a_folder_uses_options_that_the_player_has(start, drive_folder: Path) -> None:
    arguments = {
        "rate": "2.0",
        "loop": "true",
        "base_frame": "robot",
        "image_transport": "compressed",
        "namespace": "front",
    }
    node, player = start("kitti_replay.launch.py", sequence=str(drive_folder), **arguments)
    from sfm_odometry.nodes.kitti_player import make_parser

    options = make_parser().parse_args(player.keywords["arguments"])
    assert (options.sequence, options.rate, options.loop, options.clock) == (
        drive_folder,
        2.0,
        True,
        True,
    )
    assert (options.base_frame, options.compressed) == ("robot", True)
    assert options.wait_for_node == node.keywords["name"]
    assert player.keywords["namespace"] == node.keywords["namespace"] == "front"
    assert node.keywords["parameters"][1]["use_sim_time"] is True
    assert player.keywords["remappings"] == node.keywords["remappings"]


@pytest.fixture(scope="module")
def bag(tmp_path_factory: pytest.TempPathFactory, drive_folder: Path) -> Path:
    """Bag of a drive: /image, /camera_info, /tf and /tf_static."""
    from sfm_odometry.nodes.kitti_to_bag import main

    path = tmp_path_factory.mktemp("bags") / "drive"
    assert main([str(drive_folder), "--out", str(path), "--frames", "2"]) == 0
    return path


def without_ros2_bag(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)


def with_ros2_bag(monkeypatch: pytest.MonkeyPatch) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name: object() if name == "ros2bag" else find_spec(name)
    )


RUNNING = SimpleNamespace(is_shutdown=False)
"""Context of a launch that goes on."""


def ended(returncode: int) -> SimpleNamespace:
    """Event of a process that has ended."""
    return SimpleNamespace(process_name="player-2", returncode=returncode)


def test_replay_of_a_bag_without_ros2_bag_uses_our_player(
    start, bag: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_ros2_bag(monkeypatch)
    node, player = start("kitti_replay.launch.py", bag=str(bag), shutdown_at_end="true")
    from sfm_odometry.nodes.bag_player import make_parser

    options = make_parser().parse_args(player.keywords["arguments"])
    assert (options.bag, options.rate, options.clock, options.keep_tf) == (bag, 1.0, True, False)
    assert options.wait_for_node == node.keywords["name"]


def test_ros2_bag_play_starts_when_the_node_is_active(
    start, bag: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_ros2_bag(monkeypatch)
    node, waiter = start("kitti_replay.launch.py", bag=str(bag))
    from sfm_odometry.nodes.wait_for_node import make_parser

    assert waiter.keywords["executable"] == "wait_for_node"
    assert make_parser().parse_args(waiter.keywords["arguments"]).node == node.keywords["name"]
    (player,) = waiter.keywords["on_exit"](ended(0), RUNNING)
    command = ["ros2", "bag", "play", str(bag), "--rate", "1.0", "--clock", "--remap"]
    assert player.keywords["cmd"] == [*command, "/tf:=/bag/tf"]
    with pytest.raises(RuntimeError, match="player-2 ended with exit code 2"):
        waiter.keywords["on_exit"](ended(2), RUNNING)


@pytest.mark.parametrize("with_tool", [True, False])
def test_a_namespace_reaches_the_topics_of_a_bag(
    start, bag: Path, monkeypatch: pytest.MonkeyPatch, with_tool: bool
) -> None:
    (with_ros2_bag if with_tool else without_ros2_bag)(monkeypatch)
    _, player = start("kitti_replay.launch.py", bag=str(bag), namespace="front")
    if with_tool:
        assert player.keywords["namespace"] == "front"
        (player,) = player.keywords["on_exit"](ended(0), RUNNING)
        renamed = {tuple(word.split(":=")) for word in player.keywords["cmd"] if ":=" in word}
    else:
        assert player.keywords["namespace"] == "front"
        renamed = set(player.keywords["remappings"])
    assert {("/image", "/front/image"), ("/camera_info", "/front/camera_info")} <= renamed


@pytest.mark.parametrize(("at_end", "expected"), [("true", "the drive has ended"), ("false", None)])
def test_a_player_that_fails_ends_the_launch(
    start, drive_folder: Path, at_end: str, expected: str | None
) -> None:
    _, player = start("kitti_replay.launch.py", sequence=str(drive_folder), shutdown_at_end=at_end)
    on_exit = player.keywords["on_exit"]
    actions = on_exit(ended(0), RUNNING)
    assert (actions[0].keywords["reason"] if actions else None) == expected
    with pytest.raises(RuntimeError, match="player-2 ended with exit code 2"):
        on_exit(ended(2), RUNNING)
    # After Ctrl-C every process ends, which is no error.
    assert on_exit(ended(-2), SimpleNamespace(is_shutdown=True)) is None


def test_the_launch_ends_with_its_nodes_unless_another_includes_it(start, installed) -> None:
    installed("robot_localization")
    for node in start("fusion.launch.py"):
        with pytest.raises(RuntimeError, match="ended with exit code 7"):
            node.keywords["on_exit"](ended(7), RUNNING)
        (shutdown,) = node.keywords["on_exit"](ended(0), RUNNING)
        assert shutdown.keywords["reason"] == "player-2 has ended"
    assert [node.keywords["respawn"] for node in start("fusion.launch.py", itself=False)] == [
        True,
        True,
    ]
    (node,) = start("camera.launch.py", itself=False)
    assert not {"on_exit", "respawn"} & set(node.keywords)
    (node,) = start("camera.launch.py", itself=False, on_exit="respawn")
    assert node.keywords["respawn"]


WRONG_FOR_ALL = {
    "img_topic": ("/image", "img_topic: there is no such argument, did you mean image_topic?"),
    "quite_another": ("1", "quite_another: there is no such argument"),
    "image_topic": ("a b", "image_topic: got 'a b', expected the name of a topic"),
    "namespace": ("a-b", "namespace: got 'a-b', expected a namespace"),
    "params_file": ("/nowhere.yaml", "params_file: got '/nowhere.yaml', expected a file"),
    "model_path": ("/nowhere", "model_path: got '/nowhere', expected a file"),
    "device": ("gpu", "device: got 'gpu', expected auto, cpu, cuda or cuda:N"),
    "base_frame": ("/base", "base_frame: got '/base', expected a frame's name without"),
    "mount": ("0 0 1", "mount: got '0 0 1', expected six numbers: x y z in metres, roll"),
    "calibration": ("/nowhere", "calibration: got '/nowhere', expected a file"),
    "fov": ("180", "fov: got '180', expected a number of degrees from 1.2 to 157"),
    "input_is_rectified": ("no", "input_is_rectified: got 'no', expected true or false"),
    "scale": ("speed", "scale: got 'speed', expected none, fixed, camera_height, odometry or"),
    "camera_height": ("-1", "camera_height: got '-1', expected a number of metres greater than"),
    "scale_value": ("nan", "scale_value: got 'nan', expected a number of metres greater than"),
    "publish_tf": ("maybe", "publish_tf: got 'maybe', expected true or false"),
    "image_transport": ("jpeg", "image_transport: got 'jpeg', expected raw or compressed"),
    "use_sim_time": ("1", "use_sim_time: got '1', expected true or false"),
    "autostart": ("yes", "autostart: got 'yes', expected true or false"),
    "on_exit": ("restart", "on_exit: got 'restart', expected shutdown, respawn or nothing"),
    "rviz": ("yes", "rviz: got 'yes', expected true or false"),
    "log_level": ("loud", "log_level: got 'loud', expected debug, info, warn, error or fatal"),
}
LAUNCH_FILES = sorted(path.name for path in (ROOT / "launch").glob("*.launch.py"))
WRONG = [(name, {argument: value}, words)
         for name in LAUNCH_FILES
         for argument, (value, words) in WRONG_FOR_ALL.items()]  # fmt: skip
WRONG += [
    ("camera.launch.py", {"mount": "0 0 1 0 90 0"}, "mount: got .*expected angles in radians"),
    ("kitti_replay.launch.py", {}, "give either sequence:=FOLDER or bag:=BAG"),
    ("kitti_replay.launch.py", {"sequence": "/", "bag": "/"}, "give either sequence:=FOLDER or"),
    ("kitti_replay.launch.py", {"sequence": "/no"}, "sequence: got '/no', expected a file or"),
    ("kitti_replay.launch.py", {"bag": "/no"}, "bag: got '/no', expected a file or folder"),
    ("kitti_replay.launch.py", {"rate": "0"}, "rate: got '0', expected a number greater than"),
    ("rtabmap.launch.py", {"image_transport": "compressed"}, "RTAB-Map is handed the raw images"),
    ("rtabmap.launch.py", {"fov": "60"}, "fov:=60: RTAB-Map needs the camera_info"),
    ("fusion.launch.py", {"ekf_file": "/no.yaml"}, "ekf_file: got '/no.yaml', expected a file"),
    ("fusion.launch.py", {"publish_tf": "true"}, "publish_tf must be false: robot_localization"),
    ("webcam.launch.py", {"video_device": "/dev/no"}, "video_device: there is no /dev/no"),
    ("webcam.launch.py", {"video_device": "/dev/null"}, "give either calibration:=FILE or fov"),
    ("webcam.launch.py", {"video": "/no.mp4"}, "video: got '/no.mp4', expected a file or folder"),
    ("webcam.launch.py", {"video": __file__, "fov": "60"}, "test_launch.py: is of no known form"),
    ("webcam.launch.py", {"driver": "gst"}, "driver: got 'gst', expected auto, usb_cam, v4l2_"),
]


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    WRONG,
    ids=[f"{name.partition('.')[0]}-{'-'.join(given)}" for name, given, _ in WRONG],
)
def test_bad_arguments_are_refused(start, name: str, arguments: dict[str, str], words: str) -> None:
    with pytest.raises(InputError, match=words) as refusal:
        start(name, **arguments)
    assert "\n" not in str(refusal.value)


def test_a_replay_without_the_drive_is_refused(start, bag: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no sequence in it, expected image_0"):
        start("kitti_replay.launch.py", sequence=str(tmp_path))
    with pytest.raises(InputError, match="cannot be read, expected a whole bag"):
        start("kitti_replay.launch.py", bag=str(tmp_path))
    with pytest.raises(InputError, match=r"has no /camera/image; its topics of images: /image$"):
        start("kitti_replay.launch.py", bag=str(bag), image_topic="/camera/image")


def test_a_misspelt_argument_of_an_include_is_warned_of(start) -> None:
    start("camera.launch.py", itself=False, image_topics="/image", robot="a", rviz="false")
    (warning,) = start.warnings
    assert warning == "image_topics: there is no such argument here; did you mean image_topic?"


def test_a_path_of_the_launch_file_is_its_own_launch(tmp_path: Path) -> None:
    file = ROOT / "launch" / "camera.launch.py"
    other = tmp_path / "camera.launch.py"
    other.touch()
    assert is_launched_itself(file, ["ros2", "launch", str(file), "rviz:=true"])
    assert is_launched_itself(file, ["ros2", "launch", "sfm_odometry", "camera.launch.py"])
    assert not is_launched_itself(file, ["ros2", "launch", str(other)])
    assert not is_launched_itself(file, ["ros2", "launch", "robot", "camera.launch.py"])
    assert not is_launched_itself(file, ["ros2", "launch", "robot", "bringup.launch.py"])


def test_a_mount_becomes_the_pose_of_the_optical_frame(start) -> None:
    node, publisher = start(
        "camera.launch.py", mount="0.3 0 1.2 0 0.17453 0", camera_frame="camera_optical"
    )
    x, y, z, *quaternion = node.keywords["parameters"][1]["camera.base_from_camera"]
    assert (x, y, z) == (0.3, 0.0, 1.2)
    rotation = rigid_transform([0.0, 0.0, 0.0], quaternion)[:3, :3]
    # Pitched down by 10 degrees: the optical axis z looks forward and down, x to the right.
    angle = math.radians(10.0)
    assert rotation[:, 2] == pytest.approx([math.cos(angle), 0.0, -math.sin(angle)], abs=1e-4)
    assert rotation[:, 0] == pytest.approx([0.0, -1.0, 0.0], abs=1e-6)
    words = publisher.keywords["arguments"]
    sent = dict(zip(words[::2], words[1::2], strict=True))
    assert [float(sent[f"--q{axis}"]) for axis in "xyzw"] == pytest.approx(quaternion)
    assert (sent["--frame-id"], sent["--child-frame-id"]) == ("base_link", "camera_optical")


def test_a_level_mount_is_the_axes_of_rep_103(start) -> None:
    (node,) = start("camera.launch.py", mount="0 0 0 0 0 0")
    pose = node.keywords["parameters"][1]["camera.base_from_camera"]
    assert rigid_transform(pose[:3], pose[3:]) == pytest.approx(BASE_FROM_OPTICAL)


@pytest.mark.parametrize(("arguments", "expected"), [
    ({"camera_height": "1.2"}, {"scale.mode": "camera_height", "scale.camera_height": 1.2}),
    ({"scale_value": "0.9"}, {"scale.mode": "fixed", "scale.value": 0.9}),
    ({"scale": "twist", "camera_height": "1"}, {"scale.mode": "twist", "scale.camera_height": 1}),
    ({"fov": "65", "input_is_rectified": "True"},
     {"camera.fov": 65.0, "camera.input_is_rectified": True}),
])  # fmt: skip
def test_scale_and_camera_become_parameters(start, arguments, expected) -> None:
    (node,) = start("camera.launch.py", **arguments)
    assert node.keywords["parameters"][1] == expected


def calibration_file(folder: Path) -> Path:
    path = folder / "cam.yaml"
    path.write_text("camera_matrix: {rows: 3, cols: 3, data: [500, 0, 320, 0, 500, 240, 0, 0, 1]}")
    return path


@pytest.mark.parametrize(("driver", "executable", "frame"), [
    ("usb_cam", "usb_cam_node_exe", "frame_id"),
    ("v4l2_camera", "v4l2_camera_node", "camera_frame_id"),
])  # fmt: skip
def test_webcam_starts_the_driver_that_is_installed(
    start, installed, tmp_path: Path, driver: str, executable: str, frame: str
) -> None:
    installed(driver)
    calibration = calibration_file(tmp_path)
    camera, node, mount = start(
        "webcam.launch.py",
        video_device="/dev/null",
        calibration=str(calibration),
        mount="0 0 1.2 0 0 0",
    )
    assert (camera.keywords["package"], camera.keywords["executable"]) == (driver, executable)
    (parameters,) = camera.keywords["parameters"]
    assert parameters[frame] == "camera_optical_frame"
    assert parameters["camera_info_url"] == calibration.as_uri()
    assert ("image_raw", "image_raw") in camera.keywords["remappings"]
    own = node.keywords["parameters"][1]
    assert (own["camera.calibration"], own["camera.input_is_rectified"]) == (
        str(calibration),
        False,
    )
    assert own["max_update_rate"] == 10.0
    assert mount.keywords["package"] == "tf2_ros"
    assert not start.warnings


@pytest.mark.parametrize("source", ["video", "device"])
def test_webcam_needs_no_driver(start, tmp_path: Path, drive_folder: Path, source: str) -> None:
    arguments = {"video": str(drive_folder)} if source == "video" else {"video_device": "/dev/null"}
    player, node = start(
        "webcam.launch.py", **arguments, driver="image_player", fov="65", mount="0 0 1 0 0 0"
    )
    from sfm_odometry.nodes.image_player import make_parser

    options = make_parser().parse_args(player.keywords["arguments"])
    assert options.source == next(iter(arguments.values()))
    assert (options.fov, options.mount, options.wait_for_node) == (
        65.0,
        "0 0 1 0 0 0",
        node.keywords["name"],
    )
    assert player.keywords["remappings"][0] == ("image", "image_raw")
    own = node.keywords["parameters"][1]
    assert "camera.fov" not in own and own["camera.input_is_rectified"] is True
    # A video can wait for a slow computer, a camera cannot.
    assert own["always_process_most_recent_frame"] is (source == "device")
    (warning,) = start.warnings
    assert warning.startswith("the camera is a guess by fov:=65")


def test_webcam_without_any_driver_takes_our_player(start, installed) -> None:
    installed("something_else")
    player, _ = start("webcam.launch.py", video_device="/dev/null", fov="65")
    assert player.keywords["executable"] == "image_player"
    with pytest.raises(
        InputError, match=r"usb_cam is not installed: sudo apt install ros-.*usb-cam"
    ):
        start("webcam.launch.py", video_device="/dev/null", fov="65", driver="usb_cam")


def two_cameras() -> str:
    """The example of docs/topics.md that starts two cameras."""
    page = (ROOT / "docs" / "topics.md").read_text()
    blocks = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    (example,) = [block for block in blocks if "IncludeLaunchDescription" in block]
    return example


def test_the_example_of_two_cameras_keeps_their_arguments_apart() -> None:
    groups = [
        node
        for node in ast.walk(ast.parse(two_cameras()))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "GroupAction"
    ]
    assert [ast.unparse(group) for group in groups] == ["GroupAction([include], forwarding=False)"]


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Function that adds a package to ROS's index of packages."""

    def install(package: str) -> None:
        marker = tmp_path / "share/ament_index/resource_index/packages" / package
        marker.parent.mkdir(parents=True, exist_ok=True)
        marker.touch()
        monkeypatch.setenv("AMENT_PREFIX_PATH", str(tmp_path))

    return install


def test_rtabmap_gets_the_topics_of_an_rgbd_camera(start, installed) -> None:
    installed("rtabmap_slam")
    arguments = {
        "image_topic": "/front/image_rect",
        "base_frame": "robot",
        "rtabmap_args": "-d --Vis/MaxDepth 30",
        "use_sim_time": "true",
    }
    node, rtabmap = start("rtabmap.launch.py", **arguments)
    assert node.keywords["parameters"][1]["depth.output_size"] == "input"
    (parameters,) = rtabmap.keywords["parameters"]
    assert (parameters["frame_id"], parameters["approx_sync"], parameters["use_sim_time"]) == (
        "robot",
        False,
        True,
    )
    assert dict(rtabmap.keywords["remappings"]) == {
        "rgb/image": "/front/image_rect",
        "rgb/camera_info": "/front/camera_info",
        "depth/image": "depth/image_rect",
        "odom": "odom",
    }
    assert rtabmap.keywords["arguments"] == ["-d", "--Vis/MaxDepth", "30"]


def test_fusion_leaves_the_transform_to_the_filter(start, installed) -> None:
    installed("robot_localization")
    node, ekf = start("fusion.launch.py", odom_frame="world", base_frame="robot")
    assert node.keywords["parameters"][1]["publish_tf"] is False
    file, parameters = ekf.keywords["parameters"]
    assert file == str(ROOT / "config" / "ekf.yaml")
    assert parameters == {"odom_frame": "world", "world_frame": "world", "base_link_frame": "robot"}


def test_only_the_filter_listens_to_set_pose(start, installed) -> None:
    installed("robot_localization")
    node, ekf = start("fusion.launch.py")
    assert dict(node.keywords["remappings"])["set_pose"] == "sfm_odometry/set_pose"
    assert "remappings" not in ekf.keywords


def test_the_filter_fuses_only_velocities() -> None:
    file = yaml.safe_load((ROOT / "config" / "ekf.yaml").read_text())
    values = file["/**"]["ekf_filter_node"]["ros__parameters"]
    assert (values["odom0"], values["odom0_config"]) == (
        "odom",
        [False] * 6 + [True] * 6 + [False] * 3,
    )
    defaults = NodeParameters()
    assert (values["odom_frame"], values["base_link_frame"]) == (
        defaults.odom_frame,
        defaults.base_frame,
    )


@pytest.mark.parametrize(
    ("name", "package"),
    [("rtabmap.launch.py", "rtabmap_slam"), ("fusion.launch.py", "robot_localization")],
)
def test_a_missing_package_is_named_with_its_apt_line(
    start, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, package: str
) -> None:
    monkeypatch.setenv("AMENT_PREFIX_PATH", str(tmp_path))
    apt_package = rf"ros-\$ROS_DISTRO-{package.replace('_', '-')}"
    with pytest.raises(
        InputError, match=f"{package} is not installed: sudo apt install {apt_package}"
    ):
        start(name)


needs_launch = pytest.mark.skipif(
    importlib.util.find_spec("launch_ros") is None,
    reason="the launch system is not on the Python index: this runs where ROS 2 is installed",
)


@needs_launch
@pytest.mark.parametrize("name", LAUNCH_FILES)
def test_real_launch_takes_the_description(name: str) -> None:
    program = """
import runpy, sys
from launch import LaunchContext
from launch.utilities import visit_all_entities_and_collect_futures as visit
for entity in runpy.run_path(sys.argv[1])["generate_launch_description"]().entities[:-1]:
    visit(entity, LaunchContext(argv=[]))
"""
    subprocess.run(
        [sys.executable, "-c", program, str(ROOT / "launch" / name)], check=True, timeout=60
    )


@needs_launch
@pytest.mark.parametrize("name", LAUNCH_FILES)
def test_real_launch_ends_with_one_line_for_a_wrong_argument(name: str) -> None:
    if shutil.which("ros2") is None:
        pytest.skip("the command ros2 is not on the path")
    command = ["ros2", "launch", str(ROOT / "launch" / name), "img_topic:=/image"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    errors = [line for line in (ended.stdout + ended.stderr).splitlines() if "ERROR" in line]
    assert ended.returncode != 0
    (error,) = errors
    assert error.endswith("img_topic: there is no such argument, did you mean image_topic?")


@needs_launch
def test_real_launch_keeps_the_arguments_of_two_cameras_apart(tmp_path: Path) -> None:
    """The groups of the example, with an action that notes publish_tf in place of the node."""
    program = tmp_path / "two.launch.py"
    share = 'FindPackageShare("sfm_odometry")'
    assert two_cameras().count(share) == 1
    program.write_text(two_cameras().replace(share, repr(str(ROOT))))
    run = f"""
import runpy
from launch import LaunchContext
import launch_ros.actions
from launch.utilities import visit_all_entities_and_collect_futures as visit
class Node(launch_ros.actions.Node):
    def execute(self, context):
        values = context.launch_configurations
        print(values["namespace"], values["publish_tf"] or "as in the file", flush=True)
launch_ros.actions.Node = Node
for entity in runpy.run_path({str(program)!r})["generate_launch_description"]().entities:
    visit(entity, LaunchContext(argv=[]))
"""
    output = subprocess.run(
        [sys.executable, "-c", run], check=True, timeout=60, capture_output=True, text=True
    ).stdout
    assert output.splitlines() == ["front false", "rear as in the file"]


def test_dds_profile_is_for_large_images() -> None:
    root = ElementTree.parse(ROOT / "config" / "fastdds_images.xml").getroot()
    values = {
        element.tag.rpartition("}")[2]: (element.text or "").strip() for element in root.iter()
    }
    segment = int(values["segment_size"])
    assert segment > 3 * 1920 * 1080 and 7 * 1.05 * segment < 64 * 2**20  # see the file
    assert int(values["maxMessageSize"]) <= segment // 2
    assert values["sendBufferSize"] == values["receiveBufferSize"] == str(4 * 2**20)
    assert values["useBuiltinTransports"] == "false"


def test_rviz_layout_shows_our_topics() -> None:
    layout = yaml.safe_load((ROOT / "config" / "sfm_odometry.rviz").read_text())[
        "Visualization Manager"
    ]
    topics = {display["Topic"]["Value"] for display in layout["Displays"] if "Topic" in display}
    assert topics == {
        "odom",
        "path",
        "ground_truth/path",
        "image",
        "depth/image_color",
        "mask/image",
        "depth/points",
    }
    assert layout["Global Options"]["Fixed Frame"] == NodeParameters().odom_frame


def test_rviz_layout_has_a_place_for_every_pane() -> None:
    layout = yaml.safe_load((ROOT / "config" / "sfm_odometry.rviz").read_text())
    displays = layout["Visualization Manager"]["Displays"]
    panes = [panel["Name"] for panel in layout["Panels"]] + [
        item["Name"] for item in displays if item["Class"].endswith("/Image")
    ]
    window = layout["Window Geometry"]
    state = bytes.fromhex(str(window["QMainWindow State"]))
    for name in panes:
        text = name.encode("utf-16-be")
        assert len(text).to_bytes(4, "big") + text + b"\x01" in state, (
            f"{name} floats"
        )  # Qt's string, then 1: it is seen
        assert window[name] == {"collapsed": False}
    assert not window["Hide Left Dock"] and not window["Hide Right Dock"]


def test_foxglove_layout_shows_our_topics_in_panels_that_it_has() -> None:
    layout = json.loads((ROOT / "config" / "foxglove.json").read_text())
    panels = layout["configById"]
    images = {
        panel["imageMode"]["imageTopic"]
        for name, panel in panels.items()
        if name.startswith("Image!")
    }
    assert images == {"/image", "/depth/image_color", "/mask/image"}
    (scene,) = (panel for name, panel in panels.items() if name.startswith("3D!"))
    assert set(scene["topics"]) == {
        "/depth/points",
        "/path",
        "/ground_truth/path",
    }  # it draws no odometry; the transform shows the pose
    assert scene["fixedFrame"] == NodeParameters().odom_frame
    assert sorted(names_in(layout["layout"])) == sorted(panels)


def test_foxglove_layout_is_that_of_the_program(capsys: pytest.CaptureFixture[str]) -> None:
    assert foxglove_layout.main([]) == 0
    assert capsys.readouterr().out == (ROOT / "config" / "foxglove.json").read_text()


def test_foxglove_layout_follows_topics_and_namespace(tmp_path: Path) -> None:
    path = tmp_path / "layout.json"
    options = ["--image-topic", "/cam/image_rect", "--namespace", "/front", "--odom-frame", "o"]
    assert foxglove_layout.main([*options, "--out", str(path)]) == 0
    panels = json.loads(path.read_text())["configById"]
    assert panels["Image!camera"]["imageMode"]["imageTopic"] == "/cam/image_rect"
    assert panels["Image!mask"]["imageMode"]["imageTopic"] == "/front/mask/image"
    assert "/front/path" in panels["3D!scene"]["topics"]
    assert panels["3D!scene"]["fixedFrame"] == "o"
    status = panels["DiagnosticStatusPanel!status"]
    assert status["selectedHardwareId"] == "/cam/image_rect"
    assert status["selectedName"] == "front/sfm_odometry: monocular odometry"
    assert foxglove_layout.main(["--out", str(tmp_path / "no" / "layout.json")]) == 2


def names_in(place: str | dict) -> list[str]:
    return (
        [place] if isinstance(place, str) else names_in(place["first"]) + names_in(place["second"])
    )
