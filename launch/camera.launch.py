"""Odometry of one camera.

ros2 launch sfm_odometry camera.launch.py image_topic:=/camera/image_rect
    [params_file:=my.yaml] [rviz:=true]

Empty arguments leave their parameters as in params_file.
"""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from launch.actions import DeclareLaunchArgument, OpaqueFunction, Shutdown
from launch.logging import get_logger
from launch_ros.actions import Node

from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity
from sfm_odometry.nodes import launch_arguments as check
from sfm_odometry.nodes.launch_arguments import Argument

SHARE = Path(__file__).resolve().parents[1]
"""share/sfm_odometry of an installed package, or the repository."""
RESPAWN_DELAY_S = 2.0
"""Pause before a node that has ended is started again."""
ARGUMENTS = {
    "image_topic": Argument(
        "image",
        "images; image_transport:=compressed listens to this name with /compressed",
        check.is_topic,
    ),
    "camera_info_topic": Argument("", "empty: camera_info beside image_topic", check.is_topic),
    "namespace": Argument(
        "", "of the node and of all topics that do not begin with /", check.is_namespace
    ),
    "params_file": Argument(
        str(SHARE / "config" / "sfm_odometry.yaml"),
        "parameters of the node; the arguments below win where they are given",
        check.is_file,
    ),
    "model_path": Argument(
        "",
        "checkpoint; empty: as in params_file, "
        "which means the model in the package unless it names another",
        check.is_file,
    ),
    "device": Argument("", "auto, cpu, cuda or cuda:N; empty: as in params_file", check.is_device),
    "odom_frame": Argument("", "frame of the odometry; empty: as in params_file", check.is_frame),
    "base_frame": Argument(
        "", "frame of the robot's body; empty: as in params_file", check.is_frame
    ),
    "camera_frame": Argument(
        "",
        "optical frame of the camera (z forward); empty: the images' frame_id",
        check.is_frame,
    ),
    "mount": Argument(
        "",
        "where the camera is on the robot: 'x y z roll pitch yaw' of the camera, which looks along "
        "x, in base_frame; metres and radians; empty: from TF. With camera_frame it is also sent "
        "on /tf_static",
        check.is_mount,
    ),
    "calibration": Argument(
        "",
        "file of the camera's calibration, in place of camera_info; empty: from camera_info",
        check.is_file,
    ),
    "fov": Argument(
        "",
        "horizontal field of view in degrees, a guess in place of a calibration and of camera_info",
        check.number(1.2, 157.0, "of degrees"),
    ),
    "input_is_rectified": Argument(
        "",
        "true or false: false undistorts the images by their calibration; empty: as in params_file",
        check.is_bool,
    ),
    "scale": Argument(
        "",
        "where metres come from: none, fixed, camera_height, odometry or twist; "
        "empty: as in params_file",
        check.one_of("none", "fixed", "camera_height", "odometry", "twist"),
    ),
    "camera_height": Argument(
        "",
        "metres from the ground to the camera, for scale:=camera_height, which it implies",
        check.positive("of metres"),
    ),
    "scale_value": Argument(
        "",
        "metres in the model's unit of length, for scale:=fixed, which it implies",
        check.positive("of metres"),
    ),
    "publish_tf": Argument(
        "", "true or false: send odom_frame -> base_frame; empty: as in params_file", check.is_bool
    ),
    "image_transport": Argument(
        "", "raw or compressed; empty: as in params_file", check.one_of("raw", "compressed")
    ),
    "use_sim_time": Argument(
        "", "true or false: follow /clock; empty: as in params_file", check.is_bool
    ),
    "autostart": Argument(
        "",
        "true or false: configure and activate without a lifecycle manager; "
        "empty: as in params_file",
        check.is_bool,
    ),
    "on_exit": Argument(
        "",
        "when a node ends: shutdown ends the launch, respawn starts the node again, nothing goes "
        "on without it; empty: shutdown, but nothing where another launch file includes this one",
        check.one_of("shutdown", "respawn", "nothing"),
    ),
    "rviz": Argument("false", "true or false: open RViz", check.is_bool),
    "log_level": Argument(
        "info",
        "debug, info, warn or error",
        check.one_of("debug", "info", "warn", "error", "fatal"),
    ),
}
PARAMETER_OF_ARGUMENT = {
    "model_path": "model.path",
    "device": "model.device",
    "odom_frame": "odom_frame",
    "base_frame": "base_frame",
    "camera_frame": "camera_frame",
    "calibration": "camera.calibration",
    "fov": "camera.fov",
    "input_is_rectified": "camera.input_is_rectified",
    "scale": "scale.mode",
    "camera_height": "scale.camera_height",
    "scale_value": "scale.value",
    "publish_tf": "publish_tf",
    "image_transport": "image_transport",
    "use_sim_time": "use_sim_time",
    "autostart": "autostart",
}
BOOLEAN_ARGUMENTS = ("input_is_rectified", "publish_tf", "use_sim_time", "autostart")
NUMBER_ARGUMENTS = ("fov", "camera_height", "scale_value")
IMPLIED_SCALE = {"camera_height": "camera_height", "scale_value": "fixed"}
"""Mode of the scale that an argument implies."""
Values = dict[str, str]
Parameters = dict[str, Any]


def generate_launch_description() -> LaunchDescription:
    """Returns the arguments of the launch file, and the nodes that they start."""
    return describe(ARGUMENTS, launch_setup)


def describe(arguments: Mapping[str, Argument], setup: Any) -> LaunchDescription:
    """Returns the description of a launch file.

    setup: function that returns what is started, from the context.
    """
    declared = [
        DeclareLaunchArgument(name, default_value=item.default, description=item.description)
        for name, item in arguments.items()
    ]
    return LaunchDescription([*declared, OpaqueFunction(function=setup)])


def launch_setup(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """Returns the odometry node, and RViz with rviz:=true."""
    return start(read(context, ARGUMENTS, __file__))


def read(
    context: LaunchContext,
    arguments: Mapping[str, Argument],
    file: str,
    if_included: str = "nothing",
) -> Values:
    """Returns the values of the arguments of a launch file.

    if_included: value of on_exit where another launch file includes this one. Raises InputError,
    whose message launch prints, for an argument that is unknown or cannot be used.
    """
    path = Path(file)
    warn = get_logger("sfm_odometry").warning
    values = check.read_arguments(context, arguments, path, sys.argv, warn)
    if values["on_exit"] == "":
        itself = check.is_launched_itself(path, sys.argv)
        values["on_exit"] = "shutdown" if itself else if_included
    return values


def start(
    values: Values,
    overrides: Parameters | None = None,
    remappings: list[tuple[str, str]] | None = None,
) -> list[LaunchDescriptionEntity]:
    """Returns the odometry node, the transform of its mount, and RViz.

    overrides: parameters of the node that take precedence over the arguments. remappings: more
    topics of the node, by another name.
    """
    # Make the node.
    image_topic = values["image_topic"]
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
                *(remappings or []),
            ],
            ros_arguments=["--log-level", values["log_level"]],
            additional_env=dds_profile(),
            output="screen",
            **when_it_ends(values),
        )
    ]

    # Add the transform of the mount, and RViz.
    if values["mount"] and values["camera_frame"]:
        actions.append(mount_publisher(values))
    if check.as_bool(values["rviz"]):
        actions.append(rviz(values))
    return actions


def when_it_ends(values: Values) -> dict[str, Any]:
    """Returns the arguments of a Node that say what happens when its process ends."""
    if values["on_exit"] == "respawn":
        return {"respawn": True, "respawn_delay": RESPAWN_DELAY_S}
    return {"on_exit": end_launch} if values["on_exit"] == "shutdown" else {}


def end_launch(event: Any, context: LaunchContext) -> list[LaunchDescriptionEntity] | None:
    """End the launch after a process of it has ended.

    Raises RuntimeError after an error, with which `ros2 launch` ends with a code that is not 0.
    """
    if context.is_shutdown:
        return None
    if event.returncode:
        raise RuntimeError(f"{event.process_name} ended with exit code {event.returncode}")
    return [Shutdown(reason=f"{event.process_name} has ended")]


def end_with_player(values: Values, reason: str) -> dict[str, Any]:
    """Returns what happens when a player ends: with an error, or asked to, the launch ends too."""
    ends = check.as_bool(values["shutdown_at_end"])

    def on_exit(event: Any, context: LaunchContext) -> list[LaunchDescriptionEntity] | None:
        if event.returncode or context.is_shutdown:
            return end_launch(event, context)
        return [Shutdown(reason=reason)] if ends else None

    return {"on_exit": on_exit}


def mount_publisher(values: Values) -> Node:
    """Returns the publisher of base_frame -> camera_frame on /tf_static."""
    names = ("--x", "--y", "--z", "--qx", "--qy", "--qz", "--qw")
    numbers = [
        word
        for name, value in zip(names, check.base_from_optical(values["mount"]), strict=True)
        for word in (name, f"{value:.9f}")
    ]
    frames = ["--frame-id", values["base_frame"] or "base_link"]
    frames += ["--child-frame-id", values["camera_frame"]]
    return Node(
        package="tf2_ros",
        executable="static_transform_publisher",
        name="camera_mount",
        namespace=values["namespace"],
        arguments=[*numbers, *frames],
    )


def rviz(values: Values) -> Node:
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


def parameters(values: Values) -> Parameters:
    """Returns the parameters of the arguments that are not empty, by name."""
    result = {
        parameter: typed(name, values[name])
        for name, parameter in PARAMETER_OF_ARGUMENT.items()
        if values[name]
    }
    if values["mount"]:
        result["camera.base_from_camera"] = check.base_from_optical(values["mount"])
    for name, mode in IMPLIED_SCALE.items():
        if values[name] and not values["scale"]:
            result["scale.mode"] = mode
    return result


def typed(name: str, text: str) -> str | bool | float:
    """Convert an argument to the type of its parameter."""
    if name in BOOLEAN_ARGUMENTS:
        return check.as_bool(text)
    return float(text) if name in NUMBER_ARGUMENTS else text


def parameter_list(parameters: Parameters) -> list[Parameters]:
    """Returns the parameters as a list; empty without any, as launch would write an empty file."""
    return [parameters] if parameters else []


def simulated_time(values: Values) -> Parameters:
    """Returns use_sim_time for the other nodes of a launch file, unless it is empty."""
    return {name: value for name, value in parameters(values).items() if name == "use_sim_time"}


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
