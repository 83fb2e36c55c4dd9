"""Odometry of a recorded drive: a KITTI folder or a rosbag2.

ros2 launch sfm_odometry kitti_replay.launch.py sequence:=/data/kitti/odometry/sequences/03
    [rviz:=true]
ros2 launch sfm_odometry kitti_replay.launch.py bag:=drive_bag image_topic:=/camera/image_raw

Takes all arguments of camera.launch.py in addition to its own. The drive is played when the node is
active. Bags are played by `ros2 bag play` where it is installed, otherwise by bag_player of this
package.
"""

import functools
import importlib.util
import runpy
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from launch.actions import ExecuteProcess
from launch_ros.actions import Node

from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity
from sfm_odometry.errors import InputError
from sfm_odometry.io.kitti import open_sequence
from sfm_odometry.nodes import launch_arguments as check
from sfm_odometry.nodes.launch_arguments import Argument

camera = SimpleNamespace(
    **runpy.run_path(str(Path(__file__).resolve().with_name("camera.launch.py")))
)
REPLAY_ARGUMENTS = {
    "sequence": Argument(
        "",
        "KITTI odometry folder, KITTI raw drive or rendered drive; this or bag",
        check.is_place,
    ),
    "bag": Argument("", "rosbag2; this or sequence", check.is_place),
    "rate": Argument("1.0", "play so many times as fast", check.positive()),
    "loop": Argument("false", "true or false: start over at the end", check.is_bool),
    "shutdown_at_end": Argument(
        "false", "true or false: end everything with the drive", check.is_bool
    ),
}
# On the wall clock, the old stamps of a recording would be measured as latency.
ARGUMENTS = {
    **camera.ARGUMENTS,
    "use_sim_time": Argument(
        "true", "true or false: follow the /clock that the player sends", check.is_bool
    ),
    **REPLAY_ARGUMENTS,
}
WAIT = ["--wait-for-node", "sfm_odometry"]
"""Options of our players: the drive begins when the node is active."""
INPUTS = ("wheel_odom", "twist")
"""Other topics of a bag that the node may listen to."""


def generate_launch_description() -> LaunchDescription:
    """Returns the arguments of the launch file, and the nodes that they start."""
    return camera.describe(ARGUMENTS, launch_setup)


def launch_setup(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """Returns the odometry and the player."""
    values = camera.read(context, ARGUMENTS, __file__)
    if bool(values["sequence"]) == bool(values["bag"]):
        raise InputError("give either sequence:=FOLDER or bag:=BAG")
    if values["bag"]:
        check_bag(values)
    else:
        open_sequence(Path(values["sequence"]))

    # Options of both players.
    options = ["--rate", values["rate"]]
    options += ["--loop"] if check.as_bool(values["loop"]) else []
    options += ["--clock"] if check.as_bool(values["use_sim_time"]) else []
    make_player = bag_player if values["bag"] else sequence_player
    return [*camera.start(values), make_player(values, options)]


def check_bag(values: dict[str, str]) -> None:
    """Check that the bag has the images; raises InputError, naming those that it has."""
    types = topics_of_bag(values["bag"])
    topic = "/" + values["image_topic"].lstrip("/")
    names = {topic, *renamed_topics({**values, "bag": ""}).values()}
    if types and not any(name in types or f"{name}/compressed" in types for name in names):
        images = sorted(name for name, type_name in types.items() if type_name.endswith("Image"))
        raise InputError(
            f"image_topic: {values['bag']} has no {topic}; "
            f"its topics of images: {', '.join(images) or 'none'}"
        )


@functools.cache
def topics_of_bag(bag: str) -> dict[str, str]:
    """Returns the types of a bag's topics by their names; none without the package rosbags.

    Raises InputError for a bag that cannot be read.
    """
    if not bag or importlib.util.find_spec("rosbags") is None:
        return {}
    from sfm_odometry.io.bags import open_bag

    with open_bag(Path(bag), warn=lambda _: None) as opened:
        return {connection.topic: connection.msgtype for connection in opened.connections}


def sequence_player(values: dict[str, str], options: list[str]) -> Node:
    """Returns kitti_player, on the topics of the odometry node."""
    image_topic = values["image_topic"]

    # Pass frames and transport on to the player.
    frames = ["--base-frame", values["base_frame"]] if values["base_frame"] else []
    frames += ["--odom-frame", values["odom_frame"]] if values["odom_frame"] else []
    frames += ["--camera-frame", values["camera_frame"]] if values["camera_frame"] else []
    frames += ["--no-static-tf"] if values["mount"] else []
    compressed = ["--compressed"] if values["image_transport"] == "compressed" else []
    return Node(
        package="sfm_odometry",
        executable="kitti_player",
        namespace=values["namespace"],
        arguments=[values["sequence"], *options, *frames, *compressed, *WAIT],
        remappings=[
            ("image", image_topic),
            ("camera_info", values["camera_info_topic"] or camera.camera_info_topic(image_topic)),
        ],
        additional_env=camera.dds_profile(),
        output="screen",
        **camera.end_with_player(values, "the drive has ended"),
    )


def bag_player(values: dict[str, str], options: list[str]) -> LaunchDescriptionEntity:
    """Returns the player of a bag; its /tf is renamed, as it would conflict with the odometry."""
    if shutil.which("ros2") and importlib.util.find_spec("ros2bag"):
        return ros2_bag_play(values, options)
    return Node(
        package="sfm_odometry",
        executable="bag_player",
        namespace=values["namespace"],
        arguments=[values["bag"], *options, *WAIT],
        remappings=list(renamed_topics(values).items()),
        additional_env=camera.dds_profile(),
        output="screen",
        **camera.end_with_player(values, "the drive has ended"),
    )


def ros2_bag_play(values: dict[str, str], options: list[str]) -> Node:
    """Returns a process that waits for the node, and then starts `ros2 bag play`."""
    renamed = {"/tf": "/bag/tf", **renamed_topics(values)}
    command = ["ros2", "bag", "play", values["bag"], *options, "--remap"]
    player = ExecuteProcess(
        cmd=[*command, *(f"{old}:={new}" for old, new in renamed.items())],
        additional_env=camera.dds_profile(),
        output="screen",
        **camera.end_with_player(values, "the drive has ended"),
    )

    def play(event: Any, context: LaunchContext) -> list[LaunchDescriptionEntity] | None:
        if event.returncode:
            return camera.end_launch(event, context)
        return None if context.is_shutdown else [player]

    return Node(
        package="sfm_odometry",
        executable="wait_for_node",
        namespace=values["namespace"],
        arguments=WAIT[1:],
        output="screen",
        on_exit=play,
    )


def renamed_topics(values: dict[str, str]) -> dict[str, str]:
    """Returns the topics of a bag that the node has in its namespace, by their names in the bag.

    Topics that the bag has in that namespace are played as they are.
    """
    namespace = values["namespace"].strip("/")
    if not namespace:
        return {}
    image = values["image_topic"]
    info = values["camera_info_topic"] or camera.camera_info_topic(image)
    topics = (image, f"{image}/compressed", info, *INPUTS)
    renamed = {f"/{name}": f"/{namespace}/{name}" for name in topics if not name.startswith("/")}
    recorded = topics_of_bag(values["bag"])
    return {old: new for old, new in renamed.items() if new not in recorded}
