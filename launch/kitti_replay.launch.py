"""Odometry of a recorded drive: a KITTI folder or a rosbag2.

ros2 launch sfm_odometry kitti_replay.launch.py sequence:=/data/kitti/odometry/sequences/03
[rviz:=true] ros2 launch sfm_odometry kitti_replay.launch.py bag:=drive_bag
image_topic:=/camera/image_raw

Takes all arguments of camera.launch.py besides its own. Bags are played by `ros2 bag play` where it
is installed, else by our bag_player.
"""

import importlib.util
import runpy
import shutil
from pathlib import Path
from types import SimpleNamespace

from launch.actions import DeclareLaunchArgument, ExecuteProcess, OpaqueFunction, Shutdown
from launch_ros.actions import Node

from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity

camera = SimpleNamespace(
    **runpy.run_path(str(Path(__file__).resolve().with_name("camera.launch.py")))
)
REPLAY_ARGUMENTS = {  # name: default, description
    "sequence": ("", "KITTI odometry folder, KITTI raw drive or rendered drive; this or bag"),
    "bag": ("", "rosbag2; this or sequence"),
    "rate": ("1.0", "play so many times as fast"),
    "loop": ("false", "true or false: start over at the end"),
    "shutdown_at_end": ("false", "true or false: end everything with the drive"),
}
# Recorded stamps are old: a node on the wall clock would see them as late as they are.
DEFAULTS = {
    **camera.ARGUMENTS,
    "use_sim_time": ("true", "true or false: follow the /clock that the player sends"),
    **REPLAY_ARGUMENTS,
}


def generate_launch_description() -> LaunchDescription:
    """The arguments, then what they ask for."""
    arguments = [
        DeclareLaunchArgument(name, default_value=default, description=text)
        for name, (default, text) in DEFAULTS.items()
    ]
    return LaunchDescription([*arguments, OpaqueFunction(function=start)])


def start(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """The odometry and the player."""
    given = {name: context.launch_configurations[name] for name in DEFAULTS}
    if bool(given["sequence"]) == bool(given["bag"]):
        raise RuntimeError("give either sequence:=FOLDER or bag:=BAG")
    options = ["--rate", given["rate"]]
    options += ["--loop"] if camera.switch("loop", given["loop"]) else []
    options += ["--clock"] if camera.switch("use_sim_time", given["use_sim_time"]) else []
    end = (
        {"on_exit": Shutdown(reason="the drive has ended")}
        if camera.switch("shutdown_at_end", given["shutdown_at_end"])
        else {}
    )
    player = (
        bag_player(given, options, end) if given["bag"] else sequence_player(given, options, end)
    )
    return [*camera.start(context), player]


def sequence_player(given: dict[str, str], options: list[str], end: dict[str, Shutdown]) -> Node:
    """Our player of folders, on the topics that the node listens to."""
    images = given["image_topic"]
    frames = ["--base-frame", given["base_frame"]] if given["base_frame"] else []
    frames += ["--odom-frame", given["odom_frame"]] if given["odom_frame"] else []
    compressed = ["--compressed"] if given["image_transport"] == "compressed" else []
    return Node(
        package="sfm_odometry",
        executable="kitti_player",
        namespace=given["namespace"],
        arguments=[given["sequence"], *options, *frames, *compressed],
        remappings=[
            ("image", images),
            ("camera_info", given["camera_info_topic"] or camera.camera_info_beside(images)),
        ],
        additional_env=camera.dds_profile(),
        output="screen",
        **end,
    )


def bag_player(
    given: dict[str, str], options: list[str], end: dict[str, Shutdown]
) -> LaunchDescriptionEntity:
    """The bag as it was recorded, but for /tf: its odometry would fight with ours."""
    if shutil.which("ros2") and importlib.util.find_spec("ros2bag"):
        command = ["ros2", "bag", "play", given["bag"], *options, "--remap", "/tf:=/bag/tf"]
        return ExecuteProcess(
            cmd=command, additional_env=camera.dds_profile(), output="screen", **end
        )
    return Node(
        package="sfm_odometry",
        executable="bag_player",
        arguments=[given["bag"], *options],
        additional_env=camera.dds_profile(),
        output="screen",
        **end,
    )
