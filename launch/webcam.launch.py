"""Odometry of a camera that is plugged in, or of a video: from nothing to a path.

ros2 launch sfm_odometry webcam.launch.py video_device:=/dev/video0 calibration:=cam.yaml
    mount:="0 0 1.2 0 0 0"
ros2 launch sfm_odometry webcam.launch.py video:=walk.mp4 fov:=65

Starts the driver, the transform of the mount, the odometry, and RViz with rviz:=true. Takes all
arguments of camera.launch.py in addition to its own.
"""

import runpy
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from ament_index_python.packages import PackageNotFoundError, get_package_prefix
from launch_ros.actions import Node

from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity
from sfm_odometry.errors import InputError
from sfm_odometry.io.sources import open_images
from sfm_odometry.nodes import launch_arguments as check
from sfm_odometry.nodes.launch_arguments import Argument

camera = SimpleNamespace(
    **runpy.run_path(str(Path(__file__).resolve().with_name("camera.launch.py")))
)
DRIVERS = ("usb_cam", "v4l2_camera", "image_player")
"""Drivers in the order in which `auto` takes the first that is installed; the last one is ours."""
WEBCAM_ARGUMENTS = {
    "video_device": Argument("/dev/video0", "the camera's device"),
    "video": Argument("", "a video to play in place of a camera", check.is_place),
    "driver": Argument(
        "auto",
        "auto, usb_cam, v4l2_camera or image_player, which is of this package; "
        "auto: the first of them that is installed",
        check.one_of("auto", *DRIVERS),
    ),
    "width": Argument("640", "width of the camera's images, pixels", check.number(16, 10000)),
    "height": Argument("480", "height of the camera's images, pixels", check.number(16, 10000)),
    "framerate": Argument("30.0", "images a second of the camera", check.positive()),
    "max_rate": Argument(
        "10.0",
        "images a second that are tracked, others are left out; 0: all of them. "
        "The networks learned from 10",
        check.number(0.0, 1000.0),
    ),
    "rate": Argument("1.0", "play a video so many times as fast", check.positive()),
    "loop": Argument("false", "true or false: start a video over at its end", check.is_bool),
    "shutdown_at_end": Argument(
        "false", "true or false: end everything with the video", check.is_bool
    ),
}
ARGUMENTS = {
    **camera.ARGUMENTS,
    "image_topic": replace(camera.ARGUMENTS["image_topic"], default="image_raw"),
    "camera_frame": replace(camera.ARGUMENTS["camera_frame"], default="camera_optical_frame"),
    "base_frame": replace(camera.ARGUMENTS["base_frame"], default="base_link"),
    "mount": replace(camera.ARGUMENTS["mount"], default="0 0 0 0 0 0"),
    "input_is_rectified": Argument(
        "false",
        "true or false: false undistorts the images by their calibration",
        check.is_bool,
    ),
    **WEBCAM_ARGUMENTS,
}
GUESS = (
    "the camera is a guess by fov:={}: angles and lengths are only as good as it is; "
    "calibration:=FILE is better"
)


def generate_launch_description() -> LaunchDescription:
    """Returns the arguments of the launch file, and the nodes that they start."""
    return camera.describe(ARGUMENTS, launch_setup)


def launch_setup(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """Returns the driver and the odometry."""
    values = camera.read(context, ARGUMENTS, __file__)
    driver = "image_player" if values["video"] else chosen_driver(values["driver"])

    # Check that there are images, and a camera of them.
    if not values["video"] and not is_there(values["video_device"], driver):
        devices = ", ".join(sorted(map(str, Path("/dev").glob("video*")))) or "none"
        raise InputError(
            f"video_device: there is no {values['video_device']}; devices here: {devices}; "
            "video:=FILE plays a video"
        )
    if bool(values["calibration"]) == bool(values["fov"]):
        raise InputError(
            "give either calibration:=FILE or fov:=DEGREES, a guess of the camera's horizontal "
            "field of view (most webcams: 55 to 80)"
        )
    if values["video"]:
        open_images(values["video"])
    if values["fov"]:
        camera.get_logger("sfm_odometry").warning(GUESS.format(values["fov"]))
    return player(values) if driver == "image_player" else device(values, driver)


def is_there(device: str, driver: str) -> bool:
    """Whether a device exists; our player also opens network streams."""
    return Path(device).exists() or (driver == "image_player" and "://" in device)


def chosen_driver(name: str) -> str:
    """Returns the driver to start; raises InputError where it is not installed."""
    if name == "auto":
        return next(driver for driver in DRIVERS if is_installed(driver))
    if not is_installed(name):
        raise InputError(
            f"driver: {name} is not installed: "
            f"sudo apt install ros-$ROS_DISTRO-{name.replace('_', '-')}"
        )
    return name


def is_installed(driver: str) -> bool:
    """Whether the package of a driver is installed; our own one always is."""
    if driver == "image_player":
        return True
    try:
        get_package_prefix(driver)
    except (PackageNotFoundError, OSError):  # the latter where no workspace is sourced
        return False
    return True


def device(values: dict[str, str], driver: str) -> list[LaunchDescriptionEntity]:
    """Returns a driver, which need not know the calibration, and the odometry, which does."""
    parameters = DRIVER_PARAMETERS[driver](values)
    return [
        Node(
            package=driver,
            executable={"usb_cam": "usb_cam_node_exe", "v4l2_camera": "v4l2_camera_node"}[driver],
            name="camera",
            namespace=values["namespace"],
            parameters=[parameters],
            remappings=topics(values, "image_raw"),
            additional_env=camera.dds_profile(),
            output="screen",
            **camera.when_it_ends(values),
        ),
        *camera.start(values, {"max_update_rate": float(values["max_rate"])}),
    ]


def usb_cam(values: dict[str, str]) -> dict[str, Any]:
    """Returns the parameters of usb_cam."""
    return {
        "video_device": values["video_device"],
        "image_width": int(float(values["width"])),
        "image_height": int(float(values["height"])),
        "framerate": float(values["framerate"]),
        "frame_id": values["camera_frame"],
        **camera_info_url(values),
    }


def v4l2_camera(values: dict[str, str]) -> dict[str, Any]:
    """Returns the parameters of v4l2_camera; it has the camera's own rate."""
    return {
        "video_device": values["video_device"],
        "image_size": [int(float(values["width"])), int(float(values["height"]))],
        "camera_frame_id": values["camera_frame"],
        **camera_info_url(values),
    }


DRIVER_PARAMETERS = {"usb_cam": usb_cam, "v4l2_camera": v4l2_camera}


def camera_info_url(values: dict[str, str]) -> dict[str, str]:
    """Returns the parameter with the calibration, for files of the form that ROS's drivers read."""
    path = Path(values["calibration"])
    if not values["calibration"] or "camera_matrix" not in path.read_text(errors="replace"):
        return {}
    return {"camera_info_url": path.resolve().as_uri()}


def player(values: dict[str, str]) -> list[LaunchDescriptionEntity]:
    """Returns our player, which rectifies the images, and the odometry of its camera_info."""
    # Options of the player.
    options = ["--mount", values["mount"], "--base-frame", values["base_frame"]]
    options += ["--camera-frame", values["camera_frame"], "--rate", values["rate"]]
    options += ["--calib", values["calibration"]] if values["calibration"] else []
    options += ["--fov", values["fov"]] if values["fov"] else []
    options += ["--rectified"] if check.as_bool(values["input_is_rectified"]) else []
    options += ["--loop"] if check.as_bool(values["loop"]) else []
    options += ["--wait-for-node", "sfm_odometry"]

    # The odometry takes what the player publishes.
    odometry = {**values, "calibration": "", "fov": "", "input_is_rectified": "true", "mount": ""}
    overrides = {
        "max_update_rate": float(values["max_rate"]),
        # A video can wait: all of it is tracked, also where the computer is slow.
        "always_process_most_recent_frame": not values["video"],
    }
    return [
        Node(
            package="sfm_odometry",
            executable="image_player",
            namespace=values["namespace"],
            arguments=[values["video"] or values["video_device"], *options],
            remappings=topics(values, "image"),
            additional_env=camera.dds_profile(),
            output="screen",
            **camera.end_with_player(values, "the video has ended"),
        ),
        *camera.start(odometry, overrides),
    ]


def topics(values: dict[str, str], image: str) -> list[tuple[str, str]]:
    """Returns the remappings of a driver whose topic of images is `image`."""
    topic = values["image_topic"]
    info = values["camera_info_topic"] or camera.camera_info_topic(topic)
    return [(image, topic), (f"{image}/compressed", f"{topic}/compressed"), ("camera_info", info)]
