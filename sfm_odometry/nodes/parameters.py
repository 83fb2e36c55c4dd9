"""Parameters of the node.

One dataclass is their only definition; ROS parameters are declared from it and checked by it.
"""

import math
import re
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from rclpy.node import Node
from rclpy.parameter import Parameter

from sfm_odometry.backends.names import BACKEND_NAMES
from sfm_odometry.errors import InputError
from sfm_odometry.geometry.preprocess import RESIZE_MODES
from sfm_odometry.io.bit_depth import BIT_DEPTHS
from sfm_odometry.nodes.tf_conversions import rigid_transform
from sfm_odometry.params import SCALE_HOLDS, SCALE_MODES, OdometryParams

MIN_FOV_DEG = 1.2
MAX_FOV_DEG = 157.0
"""Limits of camera.fov, degrees: those of --fov of sfm_odometry.run."""
QUATERNION_TOLERANCE = 0.01
"""Largest deviation of a quaternion's length from 1."""
_CORE = OdometryParams()


def _parameter(
    default: Any,
    description: str,
    *,
    name: str = "",
    choices: tuple[str, ...] = (),
    limits: tuple[float, float] | None = None,
    live: bool = False,
    read_only: bool = False,
) -> Any:
    """Returns a dataclass field that is a ROS parameter.

    name: of the ROS parameter; empty: that of the field. choices: allowed texts. limits: smallest
    and largest number. live: may change at any time, others only while the node is unconfigured.
    read_only: cannot change at all.
    """
    # The keys are read by the functions below and by parameter_table.
    metadata = {
        "name": name,
        "description": description,
        "choices": choices,
        "limits": limits,
        "live": live,
        "read_only": read_only,
    }
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class NodeParameters:
    """Parameters of odometry_node.

    Raises InputError that names the parameter, its value and the expected ones.
    """

    odom_frame: str = _parameter(
        "odom", "Frame of the odometry; the transform odom_frame -> base_frame is ours"
    )
    base_frame: str = _parameter("base_link", "Frame of the robot's body")
    camera_frame: str = _parameter("", "Optical frame of the camera; empty: the images' frame_id")
    camera_base_from_camera: tuple[float, ...] = _parameter(
        (),
        "Pose of the optical frame in base_frame as [x, y, z, qx, qy, qz, qw]; empty: from TF",
        name="camera.base_from_camera",
    )
    camera_calibration: str = _parameter(
        "",
        "File of the camera's calibration, in any form that sfm_odometry.run reads, in place of "
        "camera_info; empty: from camera_info",
        name="camera.calibration",
    )
    camera_fov: float = _parameter(
        0.0,
        "Horizontal field of view in degrees: a guess in place of a calibration and of "
        "camera_info; 0: no guess",
        name="camera.fov",
        limits=(0.0, MAX_FOV_DEG),
    )
    camera_input_is_rectified: bool = _parameter(
        True,
        "Images are rectified and P holds; false: undistort them with K, D and R",
        name="camera.input_is_rectified",
    )
    camera_bit_depth: str = _parameter(
        "auto",
        "Bits that 16-bit images use; auto: the range that they use, measured and held; "
        "images of 8 bits are not changed",
        name="camera.bit_depth",
        choices=BIT_DEPTHS,
    )
    camera_resize_mode: str = _parameter(
        "",
        "How images become the network's input; empty: as the model was trained, without cutting "
        "off much of an image",
        name="camera.resize_mode",
        choices=("", *RESIZE_MODES),
    )
    publish_tf: bool = _parameter(True, "Send odom_frame -> base_frame on /tf", live=True)
    invert_tf: bool = _parameter(
        False,
        "Send base_frame -> odom_frame instead, where base_frame has another parent already",
        live=True,
    )
    wait_for_transform: float = _parameter(
        0.2,
        "Seconds that the newest frame waits for the camera's transform and camera_info before "
        "it is dropped; queued frames wait on",
        limits=(0.0, 60.0),
        live=True,
    )
    image_transport: str = _parameter(
        "raw", "raw: topic image; compressed: topic image/compressed", choices=("raw", "compressed")
    )
    image_qos: str = _parameter(
        "auto",
        "Reliability of the subscriptions; auto follows the publishers",
        choices=("auto", "best_effort", "reliable"),
    )
    always_process_most_recent_frame: bool = _parameter(
        True,
        "The newest frame wins, older ones are dropped and counted; false: frames queue up, "
        "for bags worked offline",
        live=True,
    )
    max_update_rate: float = _parameter(
        0.0,
        "Frames a second, by their stamps; more are dropped and counted; 0: no limit",
        limits=(0.0, 1000.0),
        live=True,
    )
    queue_size: int = _parameter(
        200,
        "Frames that may wait when always_process_most_recent_frame is false",
        limits=(1, 100_000),
    )
    model_path: str = _parameter(
        "", "Checkpoint (.safetensors); empty: the model in the package", name="model.path"
    )
    model_device: str = _parameter(
        "auto",
        "auto, cpu, cuda or cuda:N; auto takes a GPU where there is one",
        name="model.device",
    )
    model_backend: str = _parameter(
        "auto",
        "What computes the networks; auto: the fastest that changes depth by at most 0.5 %, "
        "measured at the first start with a model",
        name="model.backend",
        choices=BACKEND_NAMES,
    )
    model_threads: int = _parameter(
        0,
        "Threads that each network computes on, depth beside the motion; "
        "0: half of the cores, at most 4",
        name="model.threads",
        limits=(0, 256),
    )
    window_max_gap: float = _parameter(
        _CORE.max_gap_s,
        "Seconds; a longer pause between frames flushes the window",
        name="window.max_gap",
        limits=(0.01, 60.0),
    )
    window_reset_on_clock_jump: bool = _parameter(
        _CORE.reset_on_clock_jump,
        "Stamps that jump back start a new trajectory at the origin; "
        "false: go on from the last pose",
        name="window.reset_on_clock_jump",
    )
    refine: bool = _parameter(
        _CORE.refine,
        "Make the networks' motion more precise by aligning the images; "
        "false: the networks' motion as it is, at less cost",
    )
    fuse: bool = _parameter(
        _CORE.fuse,
        "Follow points over several frames, which keeps the scale and sharpens the rotation; "
        "false: two frames at a time",
    )
    tracking_width: int = _parameter(
        _CORE.tracking_width,
        "Pixels; wider images are reduced to this width before features are tracked in them; "
        "0: features are tracked in the network's input, at less cost",
        name="tracking.width",
        limits=(0, 10000),
    )
    speed_prior: bool = _parameter(
        _CORE.speed_prior,
        "Expect speed to change as a vehicle's does; "
        "false for a camera that is held by hand or shaken",
    )
    scale_mode: str = _parameter(
        _CORE.scale_mode,
        "none: the model's own unit of length; fixed: multiplied by scale.value; "
        "camera_height: measured from the ground in the depth; "
        "odometry: from the speed on wheel_odom; twist: from the speed on twist",
        name="scale.mode",
        choices=SCALE_MODES,
    )
    scale_value: float = _parameter(
        _CORE.scale_value,
        "Metres in the model's unit of length",
        name="scale.value",
        limits=(1e-6, 1e6),
    )
    scale_camera_height: float = _parameter(
        _CORE.scale_camera_height,
        "Metres from the ground to the camera's optical centre, not to base_frame; "
        "must be given where scale.mode is camera_height",
        name="scale.camera_height",
        limits=(0.0, 1000.0),
    )
    scale_hold: str = _parameter(
        _CORE.scale_hold,
        "auto: in the modes none and fixed, keep the camera's height over the ground constant "
        "where a ground plane is seen, which takes out the drift of the scale; off: do not",
        name="scale.hold",
        choices=SCALE_HOLDS,
    )
    min_depth: float = _parameter(
        _CORE.min_depth, "Less depth than this is published as unknown", limits=(1e-3, 1e4)
    )
    max_depth: float = _parameter(
        _CORE.max_depth, "More depth than this is published as unknown", limits=(1e-3, 1e5)
    )
    depth_output_size: str = _parameter(
        "network",
        "network: depth as it is predicted; input: registered to the incoming image, "
        "with its size, K and P, for RGB-D SLAM",
        name="depth.output_size",
        choices=("network", "input"),
        live=True,
    )
    depth_encoding: str = _parameter(
        "32FC1",
        "32FC1: metres, NaN = unknown; 16UC1: millimetres, 0 = unknown, 65535 = 65.535 m or more",
        name="depth.encoding",
        choices=("32FC1", "16UC1"),
        live=True,
    )
    mask_encoding: str = _parameter(
        "mono8",
        "mono8: 0 to 255; 32FC1: 0 to 1",
        name="mask.encoding",
        choices=("mono8", "32FC1"),
        live=True,
    )
    path_max_length: int = _parameter(
        1000,
        "Poses on the topic path; the oldest fall out",
        name="path.max_length",
        limits=(2, 100_000),
    )
    trajectory_path: str = _parameter(
        "trajectory.txt",
        "File that the service ~/save_trajectory writes; it replaces an existing one. Relative "
        "paths begin where the node was started",
        name="trajectory.path",
        live=True,
    )
    trajectory_format: str = _parameter(
        "tum",
        "tum: stamp tx ty tz qx qy qz qw; kitti: rows of [R | t], one for each pose",
        name="trajectory.format",
        choices=("tum", "kitti"),
        live=True,
    )
    trajectory_frame: str = _parameter(
        "base",
        "base: base_frame in odom_frame, as on the topic odom; camera: the optical frame in that "
        "of the first pose, as KITTI and TUM have it",
        name="trajectory.frame",
        choices=("base", "camera"),
        live=True,
    )
    trajectory_max_poses: int = _parameter(
        300_000,
        "Poses kept for ~/save_trajectory, 64 bytes each; the oldest fall out",
        name="trajectory.max_poses",
        limits=(2, 10_000_000),
    )
    covariance_factor: float = _parameter(
        1.0,
        "Factor on all published covariances: above 1 where a filter trusts the odometry too much",
        name="covariance.factor",
        limits=(1e-3, 1e6),
        live=True,
    )
    live_port: int = _parameter(
        0,
        "Port at which Foxglove or Lichtblick sees the odometry without a bridge, usually 8765; "
        "needs pip install foxglove-sdk; 0: off",
        name="live.port",
        limits=(0, 65535),
    )
    live_host: str = _parameter(
        "127.0.0.1",
        "Address of this machine at which live.port is served; 0.0.0.0: at all of them, where "
        "whoever reaches the robot sees its camera",
        name="live.host",
    )
    lost_reset_after: float = _parameter(
        0.0,
        "Seconds without a plausible motion after which a new trajectory starts at the origin; "
        "0: never, it goes on from the last pose",
        name="lost.reset_after",
        limits=(0.0, 3600.0),
        live=True,
    )
    camera_max_intrinsics_change: float = _parameter(
        _CORE.max_intrinsics_change,
        "Share of the image width by which focal length and centre may change from frame to frame "
        "in one camera, as with autofocus; beyond it the window starts anew",
        name="camera.max_intrinsics_change",
        limits=(0.0, 1.0),
    )
    diagnostics_warn_after: float = _parameter(
        2.0,
        "Seconds without a new pose after which the state is WARN, with the reason",
        name="diagnostics.warn_after",
        limits=(0.1, 3600.0),
        live=True,
    )
    diagnostics_error_after: float = _parameter(
        10.0,
        "Seconds without a new pose after which the state is ERROR; not less than "
        "diagnostics.warn_after",
        name="diagnostics.error_after",
        limits=(0.1, 3600.0),
        live=True,
    )
    diagnostics_hardware_id: str = _parameter(
        "",
        "Name of the camera in the diagnostics; empty: the topic of its images",
        name="diagnostics.hardware_id",
    )
    diagnostics_period: float = _parameter(
        1.0,
        "Seconds between messages on ~/status and /diagnostics",
        name="diagnostics.period",
        limits=(0.05, 60.0),
        live=True,
    )
    autostart: bool = _parameter(
        True,
        "Configure and activate by itself; false: wait for a lifecycle manager",
        read_only=True,
    )

    def __post_init__(self) -> None:
        for item in fields(self):
            _check_value(item.metadata, ros_name(item), getattr(self, item.name))
        self._check_frames()
        self._check_numbers()
        self.fixed_base_from_camera()

    def _check_frames(self) -> None:
        for name in ("odom_frame", "base_frame"):
            frame = getattr(self, name)
            if not frame or frame.startswith("/"):
                raise InputError(
                    f"{name} must be a frame's name without a leading slash, got '{frame}'"
                )
        if self.odom_frame == self.base_frame:
            raise InputError(f"odom_frame and base_frame must differ, both are '{self.odom_frame}'")

    def _check_numbers(self) -> None:
        """Check the scale, the device, and numbers that depend on one another."""
        if self.scale_mode == "camera_height" and self.scale_camera_height == 0.0:
            raise InputError(
                "scale.camera_height must be given, in metres over the ground, "
                "where scale.mode is camera_height, got 0"
            )
        if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", self.model_device):
            raise InputError(
                f"model.device must be auto, cpu, cuda or cuda:N, got '{self.model_device}'"
            )
        if self.camera_calibration and self.camera_fov:
            raise InputError(
                "give camera.calibration or camera.fov, which is a guess in its place, got both"
            )
        if 0.0 < self.camera_fov < MIN_FOV_DEG:
            raise InputError(
                f"camera.fov must be {MIN_FOV_DEG:g} to {MAX_FOV_DEG:g} degrees, or 0 for "
                f"camera_info, got {self.camera_fov:g}"
            )
        if self.min_depth >= self.max_depth:
            raise InputError(
                f"min_depth must be less than max_depth, got {self.min_depth} and {self.max_depth}"
            )
        if self.diagnostics_error_after < self.diagnostics_warn_after:
            raise InputError(
                "diagnostics.error_after must not be less than diagnostics.warn_after, "
                f"got {self.diagnostics_error_after:g} and {self.diagnostics_warn_after:g}"
            )
        if self.max_update_rate and 1.0 / self.max_update_rate >= self.window_max_gap:
            raise InputError(
                f"max_update_rate {self.max_update_rate:g} leaves every frame "
                f"beyond window.max_gap {self.window_max_gap:g} s"
            )

    def fixed_base_from_camera(self) -> np.ndarray | None:
        """Returns camera.base_from_camera as a matrix (4, 4), or None to take it from TF.

        Raises InputError for numbers that are no pose.
        """
        values = self.camera_base_from_camera
        if not values:
            return None
        finite = all(isinstance(value, int | float) and math.isfinite(value) for value in values)
        if (
            len(values) != 7
            or not finite
            or abs(math.hypot(*values[3:]) - 1.0) > QUATERNION_TOLERANCE
        ):
            raise InputError(
                "camera.base_from_camera must be [x, y, z, qx, qy, qz, qw] "
                f"with a unit quaternion, got {list(values)}"
            )
        return rigid_transform(list(values[:3]), list(values[3:]))

    def model_file(self) -> Path | None:
        """Returns the path of the checkpoint, or None for the model in the package."""
        return Path(self.model_path) if self.model_path else None

    def odometry_params(self) -> OdometryParams:
        """Returns the parameters of the odometry itself."""
        return OdometryParams(
            max_gap_s=self.window_max_gap,
            refine=self.refine,
            fuse=self.fuse,
            speed_prior=self.speed_prior,
            scale_mode=self.scale_mode,
            scale_value=self.scale_value,
            scale_camera_height=self.scale_camera_height,
            scale_hold=self.scale_hold,
            tracking_width=self.tracking_width,
            min_depth=self.min_depth,
            max_depth=self.max_depth,
            resize_mode=self.camera_resize_mode or None,
            reset_on_clock_jump=self.window_reset_on_clock_jump,
            max_intrinsics_change=self.camera_max_intrinsics_change,
        )


def ros_name(item: Any) -> str:
    """Returns the ROS parameter's name of a dataclass field.

    A group's dot stands in place of an underscore of the field's name.
    """
    name: str = item.metadata["name"] or item.name
    return name


def declare_parameters(node: Node) -> NodeParameters:
    """Declare every parameter on the node; returns their values.

    Raises InputError for a value that is refused.
    """
    values = {}
    for item in fields(NodeParameters):
        try:
            declared = node.declare_parameter(
                ros_name(item), _ros_value(item.default), _descriptor(item)
            )
        except (InvalidParameterTypeException, InvalidParameterValueException) as error:
            raise InputError(" ".join(str(error).split())) from None
        values[item.name] = _field_value(item, declared.value)
    unknown = _unknown_overrides(node)
    if unknown:
        node.get_logger().warning(
            f"parameters that this node does not have are ignored: {', '.join(unknown)}"
        )
    return NodeParameters(**values)


def _unknown_overrides(node: Node) -> list[str]:
    """Returns the names of given parameters that the node does not have, such as misspelt ones.

    rclpy ignores them silently and has no public list of them.
    """
    return sorted(
        name
        for name in node._parameter_overrides
        if not node.has_parameter(name) and not name.startswith("qos_overrides.")
    )


def apply_changes(
    current: NodeParameters, changes: list[Parameter], configured: bool
) -> NodeParameters:
    """Returns the parameters after the changes; those of other names are ignored.

    configured: whether the node is. Raises InputError for a value that is refused, and for a
    parameter that cannot change while the node is configured.
    """
    items = {ros_name(item): item for item in fields(NodeParameters)}
    values = {change.name: change.value for change in changes if change.name in items}
    for name in values:
        if configured and not items[name].metadata["live"]:
            raise InputError(
                f"{name} can be changed only while the node is unconfigured: clean it up first"
            )
    return replace(
        current,
        **{items[name].name: _field_value(items[name], value) for name, value in values.items()},
    )


def parameters_result(reason: str = "") -> SetParametersResult:
    """Returns the answer to a request to set parameters; `reason`: why it was refused."""
    return SetParametersResult(successful=not reason, reason=reason)


def _check_value(metadata: Any, name: str, value: Any) -> None:
    """Check one value against its choices and its limits."""
    choices = metadata["choices"]
    if choices and value not in choices:
        names = ", ".join(choice or "(empty)" for choice in choices)
        raise InputError(f"{name} must be one of {names}, got '{value}'")
    if metadata["limits"] is not None:
        low, high = metadata["limits"]
        if not low <= value <= high:
            raise InputError(f"{name} must be from {low:g} to {high:g}, got {value}")


def _descriptor(item: Any) -> ParameterDescriptor:
    """Returns the ROS descriptor of a field."""
    metadata = item.metadata
    descriptor = ParameterDescriptor(
        description=metadata["description"], read_only=metadata["read_only"]
    )
    # rclpy takes an empty list for one of bytes. The type of a list is therefore left open, and its
    # value is checked here.
    descriptor.dynamic_typing = isinstance(item.default, tuple)

    # Describe choices and the time of change in words.
    if metadata["choices"]:
        descriptor.additional_constraints = "one of: " + ", ".join(
            choice or "(empty)" for choice in metadata["choices"]
        )
    elif not metadata["live"]:
        descriptor.additional_constraints = "can be changed only while the node is unconfigured"

    # Give limits as a range.
    if metadata["limits"] is not None:
        low, high = metadata["limits"]
        if isinstance(item.default, float):
            descriptor.floating_point_range = [
                FloatingPointRange(from_value=float(low), to_value=float(high), step=0.0)
            ]
        else:
            descriptor.integer_range = [IntegerRange(from_value=low, to_value=high, step=1)]
    return descriptor


def _ros_value(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _field_value(item: Any, value: Any) -> Any:
    """Returns the dataclass's value of a ROS value: a tuple for a list or an array.

    rclpy returns None for an empty list of unknown type, which `ros2 param dump` writes as null.
    """
    if isinstance(item.default, tuple) and value in (None, "null"):
        return ()
    return tuple(value) if isinstance(value, list) or hasattr(value, "typecode") else value
