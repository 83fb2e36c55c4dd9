"""Odometry of one camera through robot_localization's filter, alone or with wheels and an IMU.

ros2 launch sfm_odometry fusion.launch.py image_topic:=/camera/image_rect [ekf_file:=my_ekf.yaml]

Takes all arguments of camera.launch.py in addition to its own. The filter sends odom_frame ->
base_frame, and the odometry does not.
"""

import runpy
from pathlib import Path
from types import SimpleNamespace

from ament_index_python.packages import PackageNotFoundError, get_package_prefix
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch_ros.actions import Node

from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity

camera = SimpleNamespace(
    **runpy.run_path(str(Path(__file__).resolve().with_name("camera.launch.py")))
)
ARGUMENTS = {
    **camera.ARGUMENTS,
    "publish_tf": (
        "false",
        "must be false: the filter sends odom_frame -> base_frame, "
        "and two senders of one transform fight",
    ),
    "ekf_file": (
        str(camera.SHARE / "config" / "ekf.yaml"),
        "parameters of robot_localization's ekf_node, under ekf_filter_node",
    ),
}


def generate_launch_description() -> LaunchDescription:
    """Returns the arguments of the launch file, and the nodes that they start."""
    arguments = [
        DeclareLaunchArgument(name, default_value=default, description=text)
        for name, (default, text) in ARGUMENTS.items()
    ]
    return LaunchDescription([*arguments, OpaqueFunction(function=launch_setup)])


def launch_setup(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """Returns the odometry without its transform, and the filter."""
    # Check the arguments.
    values = {name: context.launch_configurations[name] for name in ARGUMENTS}
    if camera.parse_bool("publish_tf", values["publish_tf"]):
        raise RuntimeError(
            "publish_tf must be false: robot_localization sends the transform of the robot"
        )
    if not Path(values["ekf_file"]).is_file():
        raise RuntimeError(f"ekf_file: no such file: {values['ekf_file']}")

    # Check that the filter is installed.
    try:
        get_package_prefix("robot_localization")
    except PackageNotFoundError:
        raise RuntimeError(
            "robot_localization is not installed: "
            "sudo apt install ros-$ROS_DISTRO-robot-localization"
        ) from None
    return [*camera.launch_setup(context), ekf(values)]


def ekf(values: dict[str, str]) -> Node:
    """Returns the filter, in the frames of the odometry."""
    frames = {
        "odom_frame": values["odom_frame"],
        "world_frame": values["odom_frame"],
        "base_link_frame": values["base_frame"],
    }
    parameters = {name: frame for name, frame in frames.items() if frame}
    return Node(
        package="robot_localization",
        executable="ekf_node",
        name="ekf_filter_node",
        namespace=values["namespace"],
        parameters=[
            values["ekf_file"],
            *camera.parameter_list({**parameters, **camera.simulated_time(values)}),
        ],
        output="screen",
    )
