"""RTAB-Map on odometry and depth of one camera, as if they came from an RGB-D camera.

ros2 launch sfm_odometry rtabmap.launch.py image_topic:=/camera/image_rect
    [rtabmap_args:="--delete_db_on_start"]

Takes all arguments of camera.launch.py in addition to its own. Images must be rectified, and
lengths metric: see scale.mode.
"""

import runpy
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
    "map_frame": Argument(
        "map", "frame of the map; RTAB-Map sends map_frame -> odom_frame", check.is_frame
    ),
    "rtabmap_args": Argument(
        "--delete_db_on_start",
        "RTAB-Map's own arguments and parameters, such as --Vis/MaxDepth 30",
    ),
}
SYNC_QUEUE_SIZE = 30
"""Number of images kept for synchronisation: depth and odometry come tens of milliseconds later."""
QOS_BEST_EFFORT = 2
"""RTAB-Map's number for best effort, which receives from cameras of either reliability."""


def generate_launch_description() -> LaunchDescription:
    """Returns the arguments of the launch file, and the nodes that they start."""
    return camera.describe(ARGUMENTS, launch_setup)


def launch_setup(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """Returns the odometry with depth at the images' size, and RTAB-Map."""
    # Check the arguments.
    values = camera.read(context, ARGUMENTS, __file__)
    if values["image_transport"] == "compressed":
        raise InputError(
            "image_transport:=compressed: RTAB-Map is handed the raw images here, "
            "expected image_transport:=raw"
        )
    for name in ("calibration", "fov"):
        if values[name]:
            raise InputError(
                f"{name}:={values[name]}: RTAB-Map needs the camera_info that belongs to the "
                "images, expected a driver that publishes it"
            )

    # Check that RTAB-Map is installed.
    try:
        get_package_prefix("rtabmap_slam")
    except PackageNotFoundError:
        raise InputError(
            "rtabmap_slam is not installed: sudo apt install ros-$ROS_DISTRO-rtabmap-slam"
        ) from None
    overrides = {"depth.output_size": "input", "depth.encoding": "32FC1"}
    return [*camera.start(values, overrides), rtabmap(values)]


def rtabmap(values: dict[str, str]) -> Node:
    """Returns RTAB-Map on image, depth, camera_info and odometry, which carry the same stamp."""
    image_topic = values["image_topic"]

    # Parameters: frames, topics that are subscribed to, and their synchronisation.
    parameters = {
        "frame_id": values["base_frame"] or "base_link",
        "map_frame_id": values["map_frame"],
        "subscribe_depth": True,
        "subscribe_rgb": True,
        "approx_sync": False,
        "topic_queue_size": SYNC_QUEUE_SIZE,
        "sync_queue_size": SYNC_QUEUE_SIZE,
        "qos_image": QOS_BEST_EFFORT,
        "qos_camera_info": QOS_BEST_EFFORT,
        **camera.simulated_time(values),
    }

    # Topics of the odometry node.
    remappings = [
        ("rgb/image", image_topic),
        ("rgb/camera_info", values["camera_info_topic"] or camera.camera_info_topic(image_topic)),
        ("depth/image", "depth/image_rect"),
        ("odom", "odom"),
    ]
    return Node(
        package="rtabmap_slam",
        executable="rtabmap",
        namespace=values["namespace"],
        parameters=[parameters],
        remappings=remappings,
        arguments=values["rtabmap_args"].split(),
        additional_env=camera.dds_profile(),
        output="screen",
        **camera.when_it_ends(values),
    )
