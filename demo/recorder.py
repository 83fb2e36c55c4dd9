"""Recorder of the odometry node's output: odometry, transforms, depth and masks, as for a SLAM."""

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
from demo.recording import NodeRecording, OdometrySample
from sfm_odometry.geometry import se3

ODOMETRY_NODE = "sfm_odometry"
TENTH_SECOND_NS = 100_000_000
MAX_PENDING_TRANSFORMS = 64
"""Odometry messages kept for comparison with their transforms.

More than a few mean that no transforms will come.
"""


class Recorder(Listener):
    """Records the output of the odometry node inside its context, on a background thread.

    Keeps the depth images and masks of every `sample_every`-th tenth of a second, chosen by their
    stamps, by which depth and mask belong to the same frames; counts the rest.
    """

    name = "demo_recorder"

    def __init__(self, sample_every: int) -> None:
        self.recording = NodeRecording()
        self._sample_every = sample_every
        # Odometry frame, base frame and sample of messages whose transform has not come yet.
        self._pending: deque[tuple[str, str, OdometrySample]] = deque(maxlen=MAX_PENDING_TRANSFORMS)
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
        """Whether the odometry node listens for images by its status, and is connected."""
        state = self.recording.status.get("state", "")
        at_work = ("filling_window", "tracking", "no_pose")
        listening = state.startswith("waiting") or state in at_work
        return listening and self._node.count_publishers("odom") > 0

    def _on_odometry(self, message: Odometry) -> None:
        received_ns = time.time_ns()
        pose = message.pose.pose
        twist = message.twist.twist
        sample = OdometrySample(
            stamp_ns=Time.from_msg(message.header.stamp).nanoseconds,
            received_ns=received_ns,
            odom_from_base=_matrix(pose.position, pose.orientation),
            twist=np.array([*_vector(twist.linear), *_vector(twist.angular)]),
        )
        self._base_frame = message.child_frame_id
        self.recording.odometry.append(sample)
        self._pending.append((message.header.frame_id, message.child_frame_id, sample))
        self._check_transforms()

    def _on_depth(self, message: Image) -> None:
        self.recording.depths_received += 1
        self._sample(message, self.recording.depths)
        self._find_camera(message.header.frame_id)

    def _on_mask(self, message: Image) -> None:
        self.recording.masks_received += 1
        self._sample(message, self.recording.masks)

    def _on_status(self, message: DiagnosticArray) -> None:
        for status in message.status:
            values = {item.key: item.value for item in status.values}
            self.recording.status.update(values)
            if values.get("state") == "tracking":
                self.recording.tracking_status = values

    def _sample(self, message: Image, samples: dict[int, np.ndarray]) -> None:
        """Keep the image if it is of a sampled tenth of a second."""
        stamp_ns = Time.from_msg(message.header.stamp).nanoseconds
        if (stamp_ns // TENTH_SECOND_NS) % self._sample_every == 0:
            samples[stamp_ns] = self._bridge.imgmsg_to_cv2(message).copy()

    def _check_transforms(self) -> None:
        """Compare pending odometry messages with the transforms of their stamps that have come."""
        for _ in range(len(self._pending)):
            odom_frame, base_frame, sample = self._pending.popleft()
            stamp = Time(nanoseconds=sample.stamp_ns)
            odom_from_base = self._look_up(odom_frame, base_frame, stamp)
            if odom_from_base is None:
                self._pending.append((odom_frame, base_frame, sample))
                continue
            difference = float(np.abs(odom_from_base - sample.odom_from_base).max())
            self.recording.transforms_checked += 1
            self.recording.transform_error = max(self.recording.transform_error, difference)

    def _find_camera(self, camera_frame: str) -> None:
        """Look up the camera's pose in base_link, once."""
        if self.recording.base_from_camera is None and self.recording.odometry:
            self.recording.base_from_camera = self._look_up(self._base_frame, camera_frame, Time())

    def _look_up(self, target_frame: str, source_frame: str, stamp: Time) -> np.ndarray | None:
        """Returns target_from_source (4, 4), or None while it is unknown."""
        try:
            transform = self._buffer.lookup_transform(target_frame, source_frame, stamp).transform
        except TransformException:
            return None
        return _matrix(transform.translation, transform.rotation)


def _vector(message: Vector3 | Point) -> tuple[float, float, float]:
    return message.x, message.y, message.z


def _matrix(translation: Vector3 | Point, rotation: Quaternion) -> np.ndarray:
    """Returns translation and rotation as a matrix (4, 4)."""
    matrix = np.eye(4)
    matrix[:3, :3] = se3.rotations_from_quaternions_xyzw(
        np.array([[rotation.x, rotation.y, rotation.z, rotation.w]])
    )[0]
    matrix[:3, 3] = _vector(translation)
    return matrix
