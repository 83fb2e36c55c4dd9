"""The odometry for Foxglove, Lichtblick and other apps that speak their WebSocket protocol.

foxglove-sdk serves it; the topics are named as those of the node. Nothing is encoded at which
nobody looks.
"""

import socket
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from sfm_odometry.errors import InputError
from sfm_odometry.geometry import se3
from sfm_odometry.geometry.camera import Intrinsics
from sfm_odometry.geometry.mount import base_pose_covariance, propagate_covariance
from sfm_odometry.io.map_pictures import colorize_depth, mask_to_grey
from sfm_odometry.results import DenseMap
from sfm_odometry.viewers.scene import (
    PosedMotion,
    TravelledPath,
    camera_jpeg,
    coloured_points,
    jpeg,
    posed_motions,
    quaternion_xyzw,
)
from sfm_odometry.viewers.viewer import View

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8765
"""Of Foxglove's own bridge, and what the apps propose."""
BACKLOG = 64
"""Messages that wait for a slow client; the oldest are dropped beyond it."""
CLOSE_TIMEOUT_S = 2.0
CLOSE_POLL_S = 0.01
SERVER_NAME = "sfm_odometry"
CHANNELS = {
    "/odom": "Odometry",
    "/tf": "FrameTransforms",
    "/path": "PosesInFrame",
    "/image": "CompressedImage",
    "/camera_info": "CameraCalibration",
    "/depth/image_rect": "RawImage",
    "/depth/image_color": "CompressedImage",
    "/depth/camera_info": "CameraCalibration",
    "/depth/points": "PointCloud",
    "/mask/image": "RawImage",
    "/mask/camera_info": "CameraCalibration",
    "/events": "Log",
}
"""Foxglove's schema of each topic."""
DEPTH_TOPICS = tuple(topic for topic in CHANNELS if topic.startswith("/depth/"))
MASK_TOPICS = tuple(topic for topic in CHANNELS if topic.startswith("/mask/"))


def check_foxglove() -> None:
    """Raise InputError, with the command that mends it, where foxglove-sdk is not installed."""
    try:
        from foxglove import start_server  # noqa: F401
        from foxglove.channels import PosesInFrameChannel  # noqa: F401
        from foxglove.messages import Odometry  # noqa: F401
    except ImportError as error:
        raise InputError(
            f"the live view needs a package: pip install 'foxglove-sdk>=0.30' ({error})"
        ) from None


class FoxgloveViewer:
    """Serves the odometry on a port; any number of apps can connect."""

    def __init__(self, host: str = DEFAULT_HOST, port: int = DEFAULT_PORT) -> None:
        """port: 0 takes a free one. Raises InputError without foxglove-sdk or for a used port."""
        check_foxglove()
        import foxglove
        from foxglove import channels, messages

        self._messages: Any = messages
        context = foxglove.Context()
        self._context: Any = context
        """Kept, as the channels are withdrawn without it."""
        self._channels: dict[str, Any] = {
            topic: getattr(channels, f"{schema}Channel")(topic, context=context)
            for topic, schema in CHANNELS.items()
        }
        try:
            self._server: Any = foxglove.start_server(
                name=SERVER_NAME,
                host=host,
                port=port,
                context=context,
                message_backlog_size=BACKLOG,
            )
        except (
            Exception
        ) as error:  # the SDK raises RuntimeError for some causes, OSError for others
            raise InputError(
                f"live view on {host}:{port}: cannot be served, expected a free port of this "
                f"machine's addresses ({error})"
            ) from None
        self._host = host
        self._path = TravelledPath()

    @property
    def address(self) -> str:
        """WebSocket address for apps on this machine."""
        return f"ws://{self._local_host}:{self._server.port}"

    @property
    def _local_host(self) -> str:
        return "127.0.0.1" if self._host in ("", "0.0.0.0", "::") else self._host

    @property
    def wants_depth(self) -> bool:
        """Whether an app shows depth or points."""
        return self.is_seen(*DEPTH_TOPICS)

    @property
    def wants_mask(self) -> bool:
        """Whether an app shows the mask."""
        return self.is_seen(*MASK_TOPICS)

    def show(self, view: View) -> None:
        """Send what apps are subscribed to."""
        motions = posed_motions(view)
        for posed in motions:
            self._path.add(posed.odom_from_base)
            self._send_motion(view, posed)
        if self.is_seen("/path") and self._path.is_due(view.stamp_ns):
            self._send_path(view)
        self._send_image(view)
        if view.result.mask is not None and self.wants_mask:
            self._send_mask(view, view.result.mask)
        if self.wants_depth and view.result.depth is not None:  # last: it waits for the network
            self._send_depth(view, view.result.depth)
        if self.is_seen("/events"):
            self._send_events(view)

    def clear(self) -> None:
        """Start a new path; the apps forget what they have."""
        self._path.clear()
        self._server.clear_session()

    def close(self) -> None:
        """Close the connections and free the port."""
        local = (self._local_host, self._server.port)
        self._server.stop()
        for channel in self._channels.values():
            channel.close()
        # The SDK frees the port a moment later, on a thread of its own.
        deadline_s = time.monotonic() + CLOSE_TIMEOUT_S
        while time.monotonic() < deadline_s:
            try:
                socket.create_connection(local, CLOSE_TIMEOUT_S).close()
            except OSError:
                return
            time.sleep(CLOSE_POLL_S)

    def is_seen(self, *topics: str) -> bool:
        """Whether an app is subscribed to any of the topics."""
        return any(self._channels[topic].has_sinks() for topic in topics)

    def _log(self, topic: str, view: View, message: Any) -> None:
        self._channels[topic].log(message, log_time=max(view.stamp_ns, 0))

    def _send_motion(self, view: View, posed: PosedMotion) -> None:
        """Send the pose and velocity of a frame as odometry, and as transforms."""
        m, names, motion = self._messages, view.names, posed.motion
        stamp = self._stamp(motion.stamp_ns)
        if self.is_seen("/odom"):
            adjoint = se3.adjoint(view.base_from_camera)
            twist = (adjoint @ motion.twist).tolist()
            pose_covariance = base_pose_covariance(
                view.base_from_camera, posed.odom_from_base, motion.pose_covariance
            )
            twist_covariance = propagate_covariance(adjoint, motion.twist_covariance)
            odometry = m.Odometry(
                timestamp=stamp,
                frame_id=names.odom,
                body_frame_id=names.base,
                pose=self._pose(posed.odom_from_base),
                linear_velocity=m.Vector3(x=twist[0], y=twist[1], z=twist[2]),
                angular_velocity=m.Vector3(x=twist[3], y=twist[4], z=twist[5]),
                pose_covariance=(view.covariance_factor * pose_covariance).ravel().tolist(),
                velocity_covariance=(view.covariance_factor * twist_covariance).ravel().tolist(),
            )
            self._log("/odom", view, odometry)
        if self.is_seen("/tf"):
            edges = {(names.odom, names.base): posed.odom_from_base}
            if names.camera != names.base:
                edges[names.base, names.camera] = view.base_from_camera
            self._log("/tf", view, self._transforms(stamp, edges))

    def _send_path(self, view: View) -> None:
        poses = [self._pose(pose) for pose in self._path.poses]
        message = self._messages.PosesInFrame(
            timestamp=self._stamp(view.stamp_ns), frame_id=view.names.odom, poses=poses
        )
        self._log("/path", view, message)

    def _send_image(self, view: View) -> None:
        """Send the camera's image with its calibration."""
        if not self.is_seen("/image", "/camera_info"):
            return
        data, intrinsics = camera_jpeg(view)
        self._log("/camera_info", view, self._calibration(view, view.stamp_ns, intrinsics))
        self._log("/image", view, self._compressed(view, view.stamp_ns, data))

    def _send_mask(self, view: View, mask: DenseMap) -> None:
        self._log(
            "/mask/camera_info", view, self._calibration(view, mask.stamp_ns, mask.intrinsics)
        )
        image = self._raw(view, mask.stamp_ns, "mono8", mask_to_grey(mask.values))
        self._log("/mask/image", view, image)

    def _send_depth(self, view: View, depth: DenseMap) -> None:
        """Send depth in the forms that are seen: distances, colours, points."""
        stamp_ns = depth.stamp_ns
        info = self._calibration(view, stamp_ns, depth.intrinsics)
        self._log("/depth/camera_info", view, info)
        if self.is_seen("/depth/image_rect"):
            image = self._raw(view, stamp_ns, "32FC1", depth.values)
            self._log("/depth/image_rect", view, image)
        if self.is_seen("/depth/image_color"):
            data = jpeg(colorize_depth(depth.values, view.max_depth))
            self._log("/depth/image_color", view, self._compressed(view, stamp_ns, data))
        if self.is_seen("/depth/points"):
            self._log("/depth/points", view, self._cloud(view, depth))

    def _send_events(self, view: View) -> None:
        m = self._messages
        for event in view.result.events:
            message = m.Log(
                timestamp=self._stamp(view.stamp_ns),
                level=m.LogLevel.Warning,
                message=str(event),
                name=SERVER_NAME,
            )
            self._log("/events", view, message)

    def _cloud(self, view: View, depth: DenseMap) -> Any:
        """Points of the known depth with `rgb` as 0x00RRGGBB."""
        m = self._messages
        points, colours = coloured_points(depth, view.image, view.intrinsics)
        packed = np.empty(len(points), [("xyz", "<f4", 3), ("rgb", "<u4")])
        packed["xyz"] = points
        red, green, blue = colours.T.astype(np.uint32)
        packed["rgb"] = red << 16 | green << 8 | blue
        kind = m.PackedElementFieldNumericType
        fields = [
            m.PackedElementField(name=name, offset=4 * index, type=kind.Float32)
            for index, name in enumerate("xyz")
        ]
        fields.append(m.PackedElementField(name="rgb", offset=12, type=kind.Uint32))
        return m.PointCloud(
            timestamp=self._stamp(depth.stamp_ns),
            frame_id=view.names.camera,
            pose=self._pose(np.eye(4)),
            point_stride=packed.itemsize,
            fields=fields,
            data=packed.tobytes(),
        )

    def _stamp(self, stamp_ns: int) -> Any:
        seconds, nanoseconds = divmod(max(stamp_ns, 0), 1_000_000_000)
        return self._messages.Timestamp(sec=seconds, nsec=nanoseconds)

    def _pose(self, frame_from_body: np.ndarray) -> Any:
        m = self._messages
        x, y, z = frame_from_body[:3, 3].tolist()
        return m.Pose(
            position=m.Vector3(x=x, y=y, z=z), orientation=self._quaternion(frame_from_body)
        )

    def _quaternion(self, matrix: np.ndarray) -> Any:
        x, y, z, w = quaternion_xyzw(matrix)
        return self._messages.Quaternion(x=x, y=y, z=z, w=w)

    def _transforms(self, stamp: Any, edges: Mapping[tuple[str, str], np.ndarray]) -> Any:
        """Message of transforms (4, 4) by parent and child."""
        m = self._messages
        transforms = []
        for (parent, child), matrix in edges.items():
            x, y, z = matrix[:3, 3].tolist()
            transforms.append(
                m.FrameTransform(
                    timestamp=stamp,
                    parent_frame_id=parent,
                    child_frame_id=child,
                    translation=m.Vector3(x=x, y=y, z=z),
                    rotation=self._quaternion(matrix),
                )
            )
        return m.FrameTransforms(transforms=transforms)

    def _calibration(self, view: View, stamp_ns: int, intrinsics: Intrinsics) -> Any:
        matrix = intrinsics.matrix()
        return self._messages.CameraCalibration(
            timestamp=self._stamp(stamp_ns),
            frame_id=view.names.camera,
            width=intrinsics.width,
            height=intrinsics.height,
            K=matrix.ravel().tolist(),
            R=np.eye(3).ravel().tolist(),
            P=np.hstack([matrix, np.zeros((3, 1))]).ravel().tolist(),
        )

    def _compressed(self, view: View, stamp_ns: int, data: bytes) -> Any:
        return self._messages.CompressedImage(
            timestamp=self._stamp(stamp_ns), frame_id=view.names.camera, data=data, format="jpeg"
        )

    def _raw(self, view: View, stamp_ns: int, encoding: str, pixels: np.ndarray) -> Any:
        height, width = pixels.shape
        return self._messages.RawImage(
            timestamp=self._stamp(stamp_ns),
            frame_id=view.names.camera,
            width=width,
            height=height,
            encoding=encoding,
            step=width * pixels.itemsize,
            data=pixels.tobytes(),
        )
