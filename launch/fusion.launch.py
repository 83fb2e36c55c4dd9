"""Odometry of one camera through robot_localization's filter, alone or with wheels and an IMU.

ros2 launch sfm_odometry fusion.launch.py image_topic:=/camera/image_rect [ekf_file:=my_ekf.yaml]

Takes all arguments of camera.launch.py in addition to its own. The filter sends odom_frame ->
base_frame and listens to set_pose, and the odometry does not.
"""

import runpy
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

from ament_index_python.packages import PackageNotFoundError, get_package_prefix
from launch_ros.actions import Node

from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity
from sfm_odometry.errors import InputError
from sfm_odometry.nodes import launch_arguments as check
from sfm_odometry.nodes.launch_arguments import Argument

camera = SimpleNamespace(
    **runpy.run_path(str(Path(__file__).resolve().with_name("camera.launch.py")))
)
ARGUMENTS = {
    **camera.ARGUMENTS,
    "publish_tf": Argument(
        "false",
        "must be false: the filter sends odom_frame -> base_frame, "
        "and two senders of one transform fight",
        check.is_bool,
    ),
    "ekf_file": Argument(
        str(camera.SHARE / "config" / "ekf.yaml"),
        "parameters of robot_localization's ekf_node, under ekf_filter_node",
        check.is_file,
    ),
    "on_exit": replace(
        camera.ARGUMENTS["on_exit"],
        description="when the odometry or the filter ends: shutdown ends the launch, respawn "
        "starts the node again, nothing goes on without it; empty: shutdown, but respawn where "
        "another launch file includes this one",
    ),
}
SET_POSE = "sfm_odometry/set_pose"
"""Topic of the odometry's own pose: set_pose is the filter's, whose pose it is."""


def generate_launch_description() -> LaunchDescription:
    """Returns the arguments of the launch file, and the nodes that they start."""
    return camera.describe(ARGUMENTS, launch_setup)


def launch_setup(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """Returns the odometry without its transform, and the filter."""
    # Check the arguments.
    values = camera.read(context, ARGUMENTS, __file__, if_included="respawn")
    if check.as_bool(values["publish_tf"]):
        raise InputError(
            "publish_tf must be false: robot_localization sends the transform of the robot"
        )

    # Check that the filter is installed.
    try:
        get_package_prefix("robot_localization")
    except PackageNotFoundError:
        raise InputError(
            "robot_localization is not installed: "
            "sudo apt install ros-$ROS_DISTRO-robot-localization"
        ) from None
    return [*camera.start(values, remappings=[("set_pose", SET_POSE)]), ekf(values)]


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
        **camera.when_it_ends(values),
    )
