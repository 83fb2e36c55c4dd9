"""Odometry of one camera.

ros2 launch sfm_odometry camera.launch.py image_topic:=/camera/image_rect
    [params_file:=my.yaml] [rviz:=true]

Empty arguments leave their parameters as in params_file.
"""

import os
from pathlib import Path

from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch_ros.actions import Node

from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity

SHARE = Path(__file__).resolve().parents[1]
"""share/sfm_odometry of an installed package, or the repository."""
ARGUMENTS = {  # name: default, description
    "image_topic": (
        "image",
        "images; image_transport:=compressed listens to this name with /compressed",
    ),
    "camera_info_topic": ("", "empty: camera_info beside image_topic"),
    "namespace": ("", "of the node and of all topics that do not begin with /"),
    "params_file": (
        str(SHARE / "config" / "sfm_odometry.yaml"),
        "parameters of the node; the arguments below win where they are given",
    ),
    "model_path": (
        "",
        "checkpoint; empty: as in params_file, "
        "which means the model in the package unless it names another",
    ),
    "device": ("", "auto, cpu, cuda or cuda:N; empty: as in params_file"),
    "odom_frame": ("", "frame of the odometry; empty: as in params_file"),
    "base_frame": ("", "frame of the robot's body; empty: as in params_file"),
    "publish_tf": ("", "true or false: send odom_frame -> base_frame; empty: as in params_file"),
    "image_transport": ("", "raw or compressed; empty: as in params_file"),
    "use_sim_time": ("", "true or false: follow /clock; empty: as in params_file"),
    "autostart": (
        "",
        "true or false: configure and activate without a lifecycle manager; "
        "empty: as in params_file",
    ),
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
BOOLEAN_ARGUMENTS = ("publish_tf", "use_sim_time", "autostart", "rviz")


def generate_launch_description() -> LaunchDescription:
    """Returns the arguments of the launch file, and the nodes that they start."""
    arguments = [
        DeclareLaunchArgument(name, default_value=default, description=text)
        for name, (default, text) in ARGUMENTS.items()
    ]
    return LaunchDescription([*arguments, OpaqueFunction(function=launch_setup)])


def launch_setup(
    context: LaunchContext, overrides: dict[str, str | bool] | None = None
) -> list[LaunchDescriptionEntity]:
    """Returns the odometry node, and RViz with rviz:=true.

    overrides: parameters of the node that take precedence over the arguments.
    """
    # Read the arguments.
    values = {name: context.launch_configurations[name] for name in ARGUMENTS}
    if not Path(values["params_file"]).is_file():
        raise RuntimeError(f"params_file: no such file: {values['params_file']}")
    image_topic = values["image_topic"]

    # Make the node.
    actions: list[LaunchDescriptionEntity] = [
        Node(
            package="sfm_odometry",
            executable="odometry_node",
            name="sfm_odometry",
            namespace=values["namespace"],
            parameters=[
                values["params_file"],
                *parameter_list({**parameters(values), **(overrides or {})}),
            ],
            remappings=[
                ("image", image_topic),
                ("camera_info", values["camera_info_topic"] or camera_info_topic(image_topic)),
            ],
            ros_arguments=["--log-level", values["log_level"]],
            additional_env=dds_profile(),
            output="screen",
        )
    ]

    # Add RViz.
    if parse_bool("rviz", values["rviz"]):
        actions.append(rviz(values))
    return actions


def rviz(values: dict[str, str]) -> Node:
    """Returns RViz with the package's layout, on the topics, frame and clock of the node."""
    fixed_frame = ["--fixed-frame", values["odom_frame"]] if values["odom_frame"] else []
    return Node(
        package="rviz2",
        executable="rviz2",
        namespace=values["namespace"],
        parameters=parameter_list(simulated_time(values)),
        arguments=["-d", str(SHARE / "config" / "sfm_odometry.rviz"), *fixed_frame],
        remappings=[("image", values["image_topic"])],
        additional_env=dds_profile(),
    )


def parameters(values: dict[str, str]) -> dict[str, str | bool]:
    """Returns the parameters of the arguments that are not empty, by name."""
    return {
        parameter: parse_bool(name, values[name]) if name in BOOLEAN_ARGUMENTS else values[name]
        for name, parameter in PARAMETER_OF_ARGUMENT.items()
        if values[name]
    }


def parameter_list(parameters: dict[str, str | bool]) -> list[dict[str, str | bool]]:
    """Returns the parameters as a list; empty without any, as launch would write an empty file."""
    return [parameters] if parameters else []


def simulated_time(values: dict[str, str]) -> dict[str, str | bool]:
    """Returns use_sim_time for the other nodes of a launch file, unless it is empty."""
    return {name: value for name, value in parameters(values).items() if name == "use_sim_time"}


def parse_bool(name: str, text: str) -> bool:
    """Convert an argument to a bool.

    Raises RuntimeError, whose message launch prints, for anything but true or false.
    """
    if text.lower() not in ("true", "false"):
        raise RuntimeError(f"{name} must be true or false, got '{text}'")
    return text.lower() == "true"


def camera_info_topic(image_topic: str) -> str:
    """Returns the camera_info topic that image_transport expects for an image topic."""
    return image_topic.rpartition("/")[0] + "/camera_info" if "/" in image_topic else "camera_info"


def dds_profile() -> dict[str, str]:
    """Returns the environment of a Fast DDS profile for large images between processes.

    Empty where the user has chosen a profile.
    """
    new = "FASTDDS_DEFAULT_PROFILES_FILE"
    old = "FASTRTPS_DEFAULT_PROFILES_FILE"
    if new in os.environ or old in os.environ:
        return {}
    name = old if os.environ.get("ROS_DISTRO") in ("humble", "iron", "jazzy") else new
    return {name: str(SHARE / "config" / "fastdds_images.xml")}
