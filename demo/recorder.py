"""A ROS node that listens as a SLAM would: odometry, transforms, depth and masks, each with the
time of its arrival."""

import time
from collections import deque

import numpy as np
from cv_bridge import CvBridge
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import Point, Quaternion, Vector3
from nav_msgs.msg import Odometry
from rclpy.node import Node
from rclpy.time import Time
from sensor_msgs.msg import Image
from tf2_ros import Buffer, TransformException, TransformListener

from demo.listener import Listener
from demo.recording import OdometrySample, Recording
from sfm_odometry.io.trajectories import rotations_from_quaternions_xyzw

ODOMETRY_NODE = "sfm_odometry"
TENTH_SECOND_NS = 100_000_000
# Odometry whose transform has not come yet; more than a few mean that none will come.
UNCHECKED_TRANSFORMS = 64


class Recorder(Listener):
    """Records what the odometry node publishes from entering the context to leaving it, on a thread
    of its own.

    Of the depth and mask images only those of every `keep_every`-th tenth of a second are kept, by
    their stamps, so that the two fit together; the rest is counted.
    """

    name = "demo_recorder"

    def __init__(self, keep_every: int) -> None:
        self.recording = Recording()
        self._keep_every = keep_every
        self._unchecked: deque[tuple[str, str, OdometrySample]] = deque(maxlen=UNCHECKED_TRANSFORMS)
        self._bridge = CvBridge()
        self._base_frame = ""

    def _connect(self, node: Node) -> None:
        self._buffer = Buffer()
        self._listener = TransformListener(self._buffer, node)
        node.create_subscription(Odometry, "odom", self._on_odometry, 50)
        node.create_subscription(Image, "depth/image_rect", self._on_depth, 10)
        node.create_subscription(Image, "mask/image", self._on_mask, 10)
        node.create_subscription(DiagnosticArray, f"{ODOMETRY_NODE}/status", self._on_status, 10)

    def node_ready(self) -> bool:
        """Whether the odometry node listens for images: it says so in its status, and is
        connected to us."""
        state = self.recording.status.get("state", "")
        return (
            state.startswith("waiting") or state in ("filling_window", "tracking")
        ) and self._node.count_publishers("odom") > 0

    def _on_odometry(self, message: Odometry) -> None:
        received_ns = time.time_ns()
        pose, twist = message.pose.pose, message.twist.twist
        sample = OdometrySample(
            stamp_ns=Time.from_msg(message.header.stamp).nanoseconds,
            received_ns=received_ns,
            odom_from_base=_matrix(pose.position, pose.orientation),
            twist=np.array([*_vector(twist.linear), *_vector(twist.angular)]),
        )
        self._base_frame = message.child_frame_id
        self.recording.odometry.append(sample)
        self._unchecked.append((message.header.frame_id, message.child_frame_id, sample))
        self._check_transforms()

    def _on_depth(self, message: Image) -> None:
        self.recording.depths_received += 1
        self._keep(message, self.recording.depths)
        self._find_camera(message.header.frame_id)

    def _on_mask(self, message: Image) -> None:
        self.recording.masks_received += 1
        self._keep(message, self.recording.masks)

    def _on_status(self, message: DiagnosticArray) -> None:
        for status in message.status:
            values = {item.key: item.value for item in status.values}
            self.recording.status.update(values)
            if values.get("state") == "tracking":
                self.recording.tracking_status = values

    def _keep(self, message: Image, samples: dict[int, np.ndarray]) -> None:
        stamp_ns = Time.from_msg(message.header.stamp).nanoseconds
        if (stamp_ns // TENTH_SECOND_NS) % self._keep_every == 0:
            samples[stamp_ns] = self._bridge.imgmsg_to_cv2(message).copy()

    def _check_transforms(self) -> None:
        """Compare each odometry message with the transform of the same instant, as soon as that
        is there."""
        for _ in range(len(self._unchecked)):
            odom_frame, base_frame, sample = self._unchecked.popleft()
            odom_from_base = self._look_up(
                odom_frame, base_frame, Time(nanoseconds=sample.stamp_ns)
            )
            if odom_from_base is None:
                self._unchecked.append((odom_frame, base_frame, sample))
                continue
            difference = float(np.abs(odom_from_base - sample.odom_from_base).max())
            self.recording.transforms_checked += 1
            self.recording.transform_error = max(self.recording.transform_error, difference)

    def _find_camera(self, camera_frame: str) -> None:
        if self.recording.base_from_camera is None and self.recording.odometry:
            self.recording.base_from_camera = self._look_up(self._base_frame, camera_frame, Time())

    def _look_up(self, target_frame: str, source_frame: str, time_of: Time) -> np.ndarray | None:
        """target_from_source (4, 4), or None while it is not known."""
        try:
            transform = self._buffer.lookup_transform(target_frame, source_frame, time_of).transform
        except TransformException:
            return None
        return _matrix(transform.translation, transform.rotation)


def _vector(message: Vector3 | Point) -> tuple[float, float, float]:
    return message.x, message.y, message.z


def _matrix(translation: Vector3 | Point, rotation: Quaternion) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3] = rotations_from_quaternions_xyzw(
        np.array([[rotation.x, rotation.y, rotation.z, rotation.w]])
    )[0]
    matrix[:3, 3] = _vector(translation)
    return matrix
