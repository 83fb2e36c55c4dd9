"""Odometry of one camera.

ros2 launch sfm_odometry camera.launch.py image_topic:=/camera/image_rect [params_file:=my.yaml] [rviz:=true]

Arguments that are not given leave their parameters as params_file has them.
"""

import os
from pathlib import Path

from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch_ros.actions import Node

from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity

SHARE = Path(__file__).resolve().parents[1]  # share/sfm_odometry where it is installed, the repository where it is not
ARGUMENTS = {  # name: default, description
    "image_topic": ("image", "images; image_transport:=compressed listens to this name with /compressed"),
    "camera_info_topic": ("", "default: camera_info beside image_topic"),
    "namespace": ("", "of the node and its topics"),
    "params_file": (str(SHARE / "config" / "sfm_odometry.yaml"), "parameters of the node"),
    "model_path": ("", "checkpoint; default: the model in the package"),
    "device": ("", "auto, cpu, cuda or cuda:N"),
    "odom_frame": ("", "frame of the odometry"),
    "base_frame": ("", "frame of the robot's body"),
    "publish_tf": ("", "true or false: send odom_frame -> base_frame"),
    "image_transport": ("", "raw or compressed"),
    "use_sim_time": ("false", "true or false: follow /clock"),
    "autostart": ("", "true or false: configure and activate without a lifecycle manager"),
    "rviz": ("false", "true or false: open RViz"),
    "log_level": ("info", "debug, info, warn or error"),
}
PARAMETER_OF_ARGUMENT = {
    "model_path": "model.path",
    "device": "model.device",
    "odom_frame": "odom_frame",
    "base_frame": "base_frame",
    "publish_tf": "publish_tf",
    "image_transport": "image_transport",
    "use_sim_time": "use_sim_time",
    "autostart": "autostart",
}
SWITCHES = ("publish_tf", "use_sim_time", "autostart", "rviz")


def generate_launch_description() -> LaunchDescription:
    """The arguments, then what they ask for."""
    arguments = [DeclareLaunchArgument(name, default_value=default, description=text) for name, (default, text) in ARGUMENTS.items()]
    return LaunchDescription([*arguments, OpaqueFunction(function=start)])


def start(context: LaunchContext, more: dict[str, str | bool] | None = None) -> list[LaunchDescriptionEntity]:
    """The odometry node, with `more` parameters that win over the arguments, and RViz where it is asked for."""
    given = {name: context.launch_configurations[name] for name in ARGUMENTS}
    images = given["image_topic"]
    actions: list[LaunchDescriptionEntity] = [
        Node(
            package="sfm_odometry",
            executable="odometry_node",
            name="sfm_odometry",
            namespace=given["namespace"],
            parameters=[given["params_file"], {**parameters(given), **(more or {})}],
            remappings=[("image", images), ("camera_info", given["camera_info_topic"] or camera_info_beside(images))],
            ros_arguments=["--log-level", given["log_level"]],
            additional_env=dds_profile(),
            output="screen",
        )
    ]
    if switch("rviz", given["rviz"]):
        layout = str(SHARE / "config" / "sfm_odometry.rviz")
        remappings = [("image", images)]
        rviz = Node(package="rviz2", executable="rviz2", namespace=given["namespace"], arguments=["-d", layout], remappings=remappings)
        actions.append(rviz)
    return actions


def parameters(given: dict[str, str]) -> dict[str, str | bool]:
    """Parameters of the arguments that were given."""
    return {
        parameter: switch(name, given[name]) if name in SWITCHES else given[name]
        for name, parameter in PARAMETER_OF_ARGUMENT.items()
        if given[name]
    }


def switch(name: str, text: str) -> bool:
    """true or false; raises RuntimeError, whose line launch prints, for anything else."""
    if text.lower() not in ("true", "false"):
        raise RuntimeError(f"{name} must be true or false, got '{text}'")
    return text.lower() == "true"


def camera_info_beside(image_topic: str) -> str:
    """Where image_transport expects the camera_info of an image topic."""
    return image_topic.rpartition("/")[0] + "/camera_info" if "/" in image_topic else "camera_info"


def dds_profile() -> dict[str, str]:
    """Environment that lets Fast DDS carry images between processes, unless the user has chosen a profile."""
    new, old = "FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE"
    if new in os.environ or old in os.environ:
        return {}
    name = old if os.environ.get("ROS_DISTRO") in ("humble", "iron", "jazzy") else new
    return {name: str(SHARE / "config" / "fastdds_images.xml")}
