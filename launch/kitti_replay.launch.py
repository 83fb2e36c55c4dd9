"""Odometry of a recorded drive: a KITTI folder or a rosbag2.

ros2 launch sfm_odometry kitti_replay.launch.py sequence:=/data/kitti/odometry/sequences/03
    [rviz:=true]
ros2 launch sfm_odometry kitti_replay.launch.py bag:=drive_bag image_topic:=/camera/image_raw

Takes all arguments of camera.launch.py in addition to its own. Bags are played by `ros2 bag play`
where it is installed, otherwise by bag_player of this package.
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
# On the wall clock, the old stamps of a recording would be measured as latency.
ARGUMENTS = {
    **camera.ARGUMENTS,
    "use_sim_time": ("true", "true or false: follow the /clock that the player sends"),
    **REPLAY_ARGUMENTS,
}


def generate_launch_description() -> LaunchDescription:
    """Returns the arguments of the launch file, and the nodes that they start."""
    arguments = [
        DeclareLaunchArgument(name, default_value=default, description=text)
        for name, (default, text) in ARGUMENTS.items()
    ]
    return LaunchDescription([*arguments, OpaqueFunction(function=launch_setup)])


def launch_setup(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """Returns the odometry and the player."""
    values = {name: context.launch_configurations[name] for name in ARGUMENTS}
    if bool(values["sequence"]) == bool(values["bag"]):
        raise RuntimeError("give either sequence:=FOLDER or bag:=BAG")

    # Options of both players.
    options = ["--rate", values["rate"]]
    options += ["--loop"] if camera.parse_bool("loop", values["loop"]) else []
    options += ["--clock"] if camera.parse_bool("use_sim_time", values["use_sim_time"]) else []
    exit_action = (
        {"on_exit": Shutdown(reason="the drive has ended")}
        if camera.parse_bool("shutdown_at_end", values["shutdown_at_end"])
        else {}
    )

    make_player = bag_player if values["bag"] else sequence_player
    return [*camera.launch_setup(context), make_player(values, options, exit_action)]


def sequence_player(
    values: dict[str, str], options: list[str], exit_action: dict[str, Shutdown]
) -> Node:
    """Returns kitti_player, on the topics of the odometry node."""
    image_topic = values["image_topic"]

    # Pass frames and transport on to the player.
    frames = ["--base-frame", values["base_frame"]] if values["base_frame"] else []
    frames += ["--odom-frame", values["odom_frame"]] if values["odom_frame"] else []
    compressed = ["--compressed"] if values["image_transport"] == "compressed" else []
    return Node(
        package="sfm_odometry",
        executable="kitti_player",
        namespace=values["namespace"],
        arguments=[values["sequence"], *options, *frames, *compressed],
        remappings=[
            ("image", image_topic),
            ("camera_info", values["camera_info_topic"] or camera.camera_info_topic(image_topic)),
        ],
        additional_env=camera.dds_profile(),
        output="screen",
        **exit_action,
    )


def bag_player(
    values: dict[str, str], options: list[str], exit_action: dict[str, Shutdown]
) -> LaunchDescriptionEntity:
    """Returns the player of a bag; its /tf is renamed, as it would conflict with the odometry."""
    if shutil.which("ros2") and importlib.util.find_spec("ros2bag"):
        command = ["ros2", "bag", "play", values["bag"], *options, "--remap", "/tf:=/bag/tf"]
        return ExecuteProcess(
            cmd=command, additional_env=camera.dds_profile(), output="screen", **exit_action
        )
    return Node(
        package="sfm_odometry",
        executable="bag_player",
        arguments=[values["bag"], *options],
        additional_env=camera.dds_profile(),
        output="screen",
        **exit_action,
    )
