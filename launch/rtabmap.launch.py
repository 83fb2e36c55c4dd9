"""Odometry and depth of one camera, handed to RTAB-Map as if they came from an RGB-D camera.

ros2 launch sfm_odometry rtabmap.launch.py image_topic:=/camera/image_rect
[rtabmap_args:="--delete_db_on_start"]

Takes all arguments of camera.launch.py besides its own. Images must be rectified, and lengths
metric: see scale.mode.
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
    "map_frame": ("map", "frame of the map; RTAB-Map sends map_frame -> odom_frame"),
    "rtabmap_args": (
        "--delete_db_on_start",
        "RTAB-Map's own arguments and parameters, such as --Vis/MaxDepth 30",
    ),
}
WAITING_FRAMES = 30
"""Depth and odometry come some tens of milliseconds after their image, which has to be there
still."""
BEST_EFFORT = 2
"""In RTAB-Map's numbers; hears every camera, whatever it offers."""


def generate_launch_description() -> LaunchDescription:
    """The arguments, then what they ask for."""
    arguments = [
        DeclareLaunchArgument(name, default_value=default, description=text)
        for name, (default, text) in ARGUMENTS.items()
    ]
    return LaunchDescription([*arguments, OpaqueFunction(function=start)])


def start(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """The odometry with depth at the images' size, and RTAB-Map."""
    given = {name: context.launch_configurations[name] for name in ARGUMENTS}
    if given["image_transport"] == "compressed":
        raise RuntimeError(
            "image_transport:=compressed: RTAB-Map is handed the raw images here, expected image_transport:=raw"
        )
    try:
        get_package_prefix("rtabmap_slam")
    except PackageNotFoundError:
        raise RuntimeError(
            "rtabmap_slam is not installed: sudo apt install ros-$ROS_DISTRO-rtabmap-slam"
        ) from None
    return [
        *camera.start(context, {"depth.output_size": "input", "depth.encoding": "32FC1"}),
        rtabmap(given),
    ]


def rtabmap(given: dict[str, str]) -> Node:
    """RTAB-Map on image, depth, camera_info and odometry, which all carry the same stamp."""
    images = given["image_topic"]
    parameters = {
        "frame_id": given["base_frame"] or "base_link",
        "map_frame_id": given["map_frame"],
        "subscribe_depth": True,
        "subscribe_rgb": True,
        "approx_sync": False,
        "topic_queue_size": WAITING_FRAMES,
        "sync_queue_size": WAITING_FRAMES,
        "qos_image": BEST_EFFORT,
        "qos_camera_info": BEST_EFFORT,
        **camera.simulated_time(given),
    }
    remappings = [
        ("rgb/image", images),
        ("rgb/camera_info", given["camera_info_topic"] or camera.camera_info_beside(images)),
        ("depth/image", "depth/image_rect"),
        ("odom", "odom"),
    ]
    return Node(
        package="rtabmap_slam",
        executable="rtabmap",
        namespace=given["namespace"],
        parameters=[parameters],
        remappings=remappings,
        arguments=given["rtabmap_args"].split(),
        additional_env=camera.dds_profile(),
        output="screen",
    )
