"""Live view of the node for apps that speak Foxglove's protocol, without a bridge: `live.port`."""

from collections.abc import Callable

import numpy as np

from sfm_odometry.nodes.image_outputs import CameraView
from sfm_odometry.nodes.parameters import NodeParameters
from sfm_odometry.results import OdometryResult
from sfm_odometry.viewers.foxglove_viewer import FoxgloveViewer
from sfm_odometry.viewers.viewer import FrameNames, View, Viewers


def open_live_view(
    parameters: NodeParameters, info: Callable[[str], object], warn: Callable[[str], object]
) -> Viewers:
    """The viewer at `live.port`, none where that is 0. `info`: is told its address.

    Raises InputError without foxglove-sdk, and for a port that is in use.
    """
    if not parameters.live_port:
        return Viewers((), warn)
    viewer = FoxgloveViewer(parameters.live_host, parameters.live_port)
    info(f"live view: {viewer.address}")
    return Viewers((viewer,), warn)


def make_view(
    stamp_ns: int,
    result: OdometryResult,
    camera: CameraView,
    base_from_camera: np.ndarray,
    parameters: NodeParameters,
) -> View:
    """The view of one frame, in the frames that the node publishes."""
    return View(
        stamp_ns=stamp_ns,
        image=camera.image,
        intrinsics=camera.intrinsics,
        result=result,
        base_from_camera=base_from_camera,
        names=FrameNames(
            parameters.odom_frame,
            parameters.base_frame,
            (parameters.camera_frame or camera.frame_id).lstrip("/"),
        ),
        max_depth=parameters.max_depth,
        covariance_factor=parameters.covariance_factor,
    )
