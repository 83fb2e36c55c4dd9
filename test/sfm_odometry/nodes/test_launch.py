"""Launch files and configuration.

The actions of the launch system, which need not be installed, are replaced by records.
"""

import importlib.util
import json
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

from sfm_odometry.nodes.parameters import NodeParameters, ros_name

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
}


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
    for module in ("launch", "launch.actions", "launch_ros", "launch_ros.actions"):
        fake = ModuleType(module)
        for name in names:
            setattr(fake, name, type(name, (Recorded,), {}))
        monkeypatch.setitem(sys.modules, module, fake)
    for variable in (
        "FASTDDS_DEFAULT_PROFILES_FILE",
        "FASTRTPS_DEFAULT_PROFILES_FILE",
        "ROS_DISTRO",
    ):
        monkeypatch.delenv(variable, raising=False)

    def run(name: str, **arguments: str) -> list[Recorded]:
        module = load(name)
        (description,) = module.generate_launch_description().values
        defaults = {
            action.values[0]: action.keywords["default_value"] for action in description[:-1]
        }
        assert set(arguments) <= set(defaults)
        return module.launch_setup(SimpleNamespace(launch_configurations={**defaults, **arguments}))

    return run


@pytest.mark.parametrize(("name", "more"), [
    ("camera.launch.py", set()),
    ("kitti_replay.launch.py", {"bag", "sequence", "rate", "loop", "shutdown_at_end"}),
    ("rtabmap.launch.py", {"map_frame", "rtabmap_args"}),
    ("fusion.launch.py", {"ekf_file"}),
])  # fmt: skip
def test_arguments_are_those_of_the_reference(start, name: str, more: set[str]) -> None:
    (description,) = load(name).generate_launch_description().values
    assert {action.values[0] for action in description[:-1]} == REFERENCE_ARGUMENTS | more
    assert all(action.keywords["description"] for action in description[:-1])


def test_arguments_become_parameters_that_the_node_has(start) -> None:
    known = {ros_name(item) for item in fields(NodeParameters)} | {"use_sim_time"}
    assert set(load("camera.launch.py").PARAMETER_OF_ARGUMENT.values()) <= known


def test_camera_starts_the_node_with_the_files_parameters(start) -> None:
    (node,) = start(
        "camera.launch.py",
        image_topic="/front/image_rect",
        model_path="m.safetensors",
        publish_tf="False",
    )
    file, overrides = node.keywords["parameters"]
    assert file == str(ROOT / "config" / "sfm_odometry.yaml")
    assert overrides == {
        "model.path": "m.safetensors",
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


def test_rviz_opens_our_layout_where_asked(start) -> None:
    _, rviz = start("camera.launch.py", rviz="true", namespace="front")
    assert rviz.keywords["arguments"] == ["-d", str(ROOT / "config" / "sfm_odometry.rviz")]
    assert (rviz.keywords["namespace"], rviz.keywords["parameters"]) == ("front", [])
    _, rviz, _ = start(
        "kitti_replay.launch.py", rviz="true", sequence="/data/03", odom_frame="start"
    )
    assert rviz.keywords["arguments"][2:] == ["--fixed-frame", "start"]
    # On the wall clock its transforms would be as old as the recording.
    assert rviz.keywords["parameters"] == [{"use_sim_time": True}]


def test_replay_of_a_folder_uses_options_that_the_player_has(start) -> None:
    arguments = {
        "rate": "2.0",
        "loop": "true",
        "base_frame": "robot",
        "image_transport": "compressed",
    }
    node, player = start("kitti_replay.launch.py", sequence="/data/03", **arguments)
    from sfm_odometry.nodes.kitti_player import make_parser

    options = make_parser().parse_args(player.keywords["arguments"])
    assert (str(options.sequence), options.rate, options.loop, options.clock) == (
        "/data/03",
        2.0,
        True,
        True,
    )
    assert (options.base_frame, options.compressed) == ("robot", True)
    assert node.keywords["parameters"][1]["use_sim_time"] is True
    assert player.keywords["remappings"] == node.keywords["remappings"]


def test_replay_of_a_bag_uses_ros2_bag_where_it_is_and_our_player_elsewhere(
    start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    _, player = start("kitti_replay.launch.py", bag="/data/bag", shutdown_at_end="true")
    from sfm_odometry.nodes.bag_player import make_parser

    options = make_parser().parse_args(player.keywords["arguments"])
    assert (str(options.bag), options.rate, options.clock, options.keep_tf) == (
        "/data/bag",
        1.0,
        True,
        False,
    )
    assert "on_exit" in player.keywords
    find_spec = importlib.util.find_spec
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name: object() if name == "ros2bag" else find_spec(name)
    )
    _, player = start("kitti_replay.launch.py", bag="/data/bag")
    assert player.keywords["cmd"] == [
        "ros2",
        "bag",
        "play",
        "/data/bag",
        "--rate",
        "1.0",
        "--clock",
        "--remap",
        "/tf:=/bag/tf",
    ]


@pytest.mark.parametrize(("name", "arguments", "words"), [
    ("camera.launch.py", {"publish_tf": "maybe"}, "publish_tf must be true or false, got 'maybe'"),
    (
        "camera.launch.py",
        {"params_file": "/nowhere.yaml"},
        "params_file: no such file: /nowhere.yaml",
    ),
    ("kitti_replay.launch.py", {}, "give either sequence:=FOLDER or bag:=BAG"),
    (
        "kitti_replay.launch.py",
        {"sequence": "a", "bag": "b"},
        "give either sequence:=FOLDER or bag:=BAG",
    ),
    ("rtabmap.launch.py", {"image_transport": "compressed"}, "RTAB-Map is handed the raw images"),
    ("fusion.launch.py", {"ekf_file": "/nowhere.yaml"}, "ekf_file: no such file: /nowhere.yaml"),
    (
        "fusion.launch.py",
        {"publish_tf": "true"},
        "publish_tf must be false: robot_localization sends the transform",
    ),
])  # fmt: skip
def test_bad_arguments_are_refused(start, name: str, arguments: dict[str, str], words: str) -> None:
    with pytest.raises(RuntimeError, match=words):
        start(name, **arguments)


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
        RuntimeError, match=f"{package} is not installed: sudo apt install {apt_package}"
    ):
        start(name)


@pytest.mark.parametrize(
    "name", sorted(path.name for path in (ROOT / "launch").glob("*.launch.py"))
)
def test_real_launch_takes_the_description(name: str) -> None:
    if importlib.util.find_spec("launch_ros") is None:
        pytest.skip(
            "the launch system is not on the Python index: this runs where ROS 2 is installed"
        )
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


def test_dds_profile_is_for_large_images() -> None:
    root = ElementTree.parse(ROOT / "config" / "fastdds_images.xml").getroot()
    values = {
        element.tag.rpartition("}")[2]: (element.text or "").strip() for element in root.iter()
    }
    assert (values["segment_size"], values["maxMessageSize"]) == (str(64 * 2**20), str(8 * 2**20))
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


def names_in(place: str | dict) -> list[str]:
    return (
        [place] if isinstance(place, str) else names_in(place["first"]) + names_in(place["second"])
    )
