"""Odometry of one camera.

ros2 launch sfm_odometry camera.launch.py image_topic:=/camera/image_rect [params_file:=my.yaml]
[rviz:=true]

Arguments that are empty leave their parameters as params_file has them.
"""

import os
from pathlib import Path

from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch_ros.actions import Node

from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity

SHARE = (
    Path(__file__).resolve().parents[1]
)  # share/sfm_odometry where it is installed, the repository where it is not
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
        "checkpoint; empty: as in params_file, which means the model in the package unless it names another",
    ),
    "device": ("", "auto, cpu, cuda or cuda:N; empty: as in params_file"),
    "odom_frame": ("", "frame of the odometry; empty: as in params_file"),
    "base_frame": ("", "frame of the robot's body; empty: as in params_file"),
    "publish_tf": ("", "true or false: send odom_frame -> base_frame; empty: as in params_file"),
    "image_transport": ("", "raw or compressed; empty: as in params_file"),
    "use_sim_time": ("", "true or false: follow /clock; empty: as in params_file"),
    "autostart": (
        "",
        "true or false: configure and activate without a lifecycle manager; empty: as in params_file",
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
SWITCHES = ("publish_tf", "use_sim_time", "autostart", "rviz")


def generate_launch_description() -> LaunchDescription:
    """The arguments, then what they ask for."""
    arguments = [
        DeclareLaunchArgument(name, default_value=default, description=text)
        for name, (default, text) in ARGUMENTS.items()
    ]
    return LaunchDescription([*arguments, OpaqueFunction(function=start)])


def start(
    context: LaunchContext, more: dict[str, str | bool] | None = None
) -> list[LaunchDescriptionEntity]:
    """The odometry node, with `more` parameters that win over the arguments, and RViz where it
    is asked for."""
    given = {name: context.launch_configurations[name] for name in ARGUMENTS}
    if not Path(given["params_file"]).is_file():
        raise RuntimeError(f"params_file: no such file: {given['params_file']}")
    images = given["image_topic"]
    actions: list[LaunchDescriptionEntity] = [
        Node(
            package="sfm_odometry",
            executable="odometry_node",
            name="sfm_odometry",
            namespace=given["namespace"],
            parameters=[given["params_file"], *some({**parameters(given), **(more or {})})],
            remappings=[
                ("image", images),
                ("camera_info", given["camera_info_topic"] or camera_info_beside(images)),
            ],
            ros_arguments=["--log-level", given["log_level"]],
            additional_env=dds_profile(),
            output="screen",
        )
    ]
    if switch("rviz", given["rviz"]):
        actions.append(rviz(given))
    return actions


def rviz(given: dict[str, str]) -> Node:
    """RViz with our layout, on the topics, the frame and the clock of the node."""
    fixed_frame = ["--fixed-frame", given["odom_frame"]] if given["odom_frame"] else []
    return Node(
        package="rviz2",
        executable="rviz2",
        namespace=given["namespace"],
        parameters=some(simulated_time(given)),
        arguments=["-d", str(SHARE / "config" / "sfm_odometry.rviz"), *fixed_frame],
        remappings=[("image", given["image_topic"])],
        additional_env=dds_profile(),
    )


def parameters(given: dict[str, str]) -> dict[str, str | bool]:
    """Parameters of the arguments that were given."""
    return {
        parameter: switch(name, given[name]) if name in SWITCHES else given[name]
        for name, parameter in PARAMETER_OF_ARGUMENT.items()
        if given[name]
    }


def some(parameters: dict[str, str | bool]) -> list[dict[str, str | bool]]:
    """Nothing in place of no parameters, which launch would write to a file of nothing."""
    return [parameters] if parameters else []


def simulated_time(given: dict[str, str]) -> dict[str, str | bool]:
    """use_sim_time for the other nodes of a launch file, where it was given."""
    return {name: value for name, value in parameters(given).items() if name == "use_sim_time"}


def switch(name: str, text: str) -> bool:
    """true or false; raises RuntimeError, whose line launch prints, for anything else."""
    if text.lower() not in ("true", "false"):
        raise RuntimeError(f"{name} must be true or false, got '{text}'")
    return text.lower() == "true"


def camera_info_beside(image_topic: str) -> str:
    """Where image_transport expects the camera_info of an image topic."""
    return image_topic.rpartition("/")[0] + "/camera_info" if "/" in image_topic else "camera_info"


def dds_profile() -> dict[str, str]:
    """Environment that lets Fast DDS carry images between processes, unless the user has chosen
    a profile."""
    new, old = "FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE"
    if new in os.environ or old in os.environ:
        return {}
    name = old if os.environ.get("ROS_DISTRO") in ("humble", "iron", "jazzy") else new
    return {name: str(SHARE / "config" / "fastdds_images.xml")}
