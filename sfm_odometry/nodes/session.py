"""What an active node has: subscriptions, the camera's mount, the queue and the worker behind
it."""

import time
from typing import TYPE_CHECKING

from geometry_msgs.msg import PoseWithCovarianceStamped
from rclpy.node import Node
from rclpy.subscription import Subscription
from sensor_msgs.msg import CompressedImage, Image

from sfm_odometry.errors import InputError
from sfm_odometry.nodes.diagnostics import NodeState
from sfm_odometry.nodes.extrinsics import CameraMount
from sfm_odometry.nodes.inputs import Inputs, StampedImage, stamped
from sfm_odometry.nodes.parameters import NodeParameters
from sfm_odometry.nodes.pose_reset import read_pose
from sfm_odometry.nodes.rate_limit import RateLimit
from sfm_odometry.nodes.speed_inputs import SpeedInputs
from sfm_odometry.nodes.statistics import Statistics
from sfm_odometry.nodes.throttle import ThrottledWarnings
from sfm_odometry.nodes.worker import FrameQueue, Worker

if TYPE_CHECKING:
    from sfm_odometry.nodes.pipeline import Pipeline

STALLED_AFTER_S = 2.0
"""After so long without an image the node waits for images again."""


class CameraSession:
    """From the camera's messages to the worker: each frame is counted, and worked on, held, or
    dropped for a reason that is counted."""

    def __init__(
        self, node: Node, parameters: NodeParameters, pipeline: "Pipeline", statistics: Statistics
    ) -> None:
        self._node, self._parameters = node, parameters
        self._pipeline, self._statistics = pipeline, statistics
        self._warnings = ThrottledWarnings(node.get_logger().warning)
        self._paused = False
        self._since = time.monotonic()
        self._held_until = float("inf")
        self._camera_frame = ""
        self._rate_limit = RateLimit()
        self.queue: FrameQueue[StampedImage] = FrameQueue(
            parameters.queue_size, parameters.always_process_most_recent_frame
        )
        self.mount = CameraMount(
            node,
            parameters.base_frame,
            parameters.camera_frame,
            parameters.fixed_base_from_camera(),
        )
        self.queue.hold(True)
        self.inputs = Inputs(node, parameters, self._on_image, self._update_hold, self._on_pose)
        self.speeds = SpeedInputs(node, parameters.scale_mode, statistics)
        self._worker = Worker(self.queue, self._work)

    @property
    def subscriptions(self) -> list[Subscription]:
        """The images', as long as there is one, and those whose messages are wanted with them:
        camera_info, poses, speeds."""
        image, others = (
            self.inputs.image.subscription,
            (*self.inputs.beside_images, self.speeds.subscription),
        )
        return [] if image is None else [image, *(other for other in others if other is not None)]

    @property
    def waiting(self) -> NodeState | None:
        """What is waited for, or None while frames can be worked on."""
        silent_s = time.monotonic() - max(self._statistics.last_image, self._since)
        if silent_s > STALLED_AFTER_S or self._statistics.last_image < self._since:
            return NodeState("waiting_image", f"no image: {self.inputs.image.silence}")
        if self.inputs.waiting_for_calibration:
            return NodeState("waiting_camera_info", self.inputs.waiting_for_calibration)
        return NodeState("waiting_tf", self.mount.missing) if self.mount.missing else None

    def change(self, parameters: NodeParameters) -> None:
        """Take parameters that changed."""
        self._parameters = parameters
        self.queue.newest_wins = parameters.always_process_most_recent_frame

    def update(self, paused: bool) -> None:
        """Look for publishers and the camera's transform, which nothing calls us for."""
        self._paused = paused
        self.inputs.update()
        self._update_hold()

    def close(self) -> None:
        """Stop listening and end the worker."""
        self.inputs.close()
        self.speeds.close()
        self.mount.close()
        self._worker.stop()

    def _update_hold(self) -> None:
        """Frames wait until the camera's intrinsics and its place on the robot are known."""
        self.mount.update(self._camera_frame)
        hold = self.inputs.calibration is None or self.mount.base_from_camera is None
        if not hold:
            self._held_until = min(self._held_until, time.monotonic())
        self.queue.hold(hold)
        if hold:
            self._held_until = float("inf")

    def _on_image(self, message: Image | CompressedImage) -> None:
        frame = stamped(message, self._pipeline.generation)
        self._statistics.received(frame.stamp_ns)
        if self._paused:
            self._drop("paused")
        elif not self._rate_limit.passes(frame.stamp_ns, self._parameters.max_update_rate):
            self._drop("over_rate")
        else:
            self._accept(frame, message.header.frame_id)

    def _accept(self, frame: StampedImage, camera_frame: str) -> None:
        if camera_frame != self._camera_frame:
            self._camera_frame = camera_frame
            self._update_hold()
        if dropped := self.queue.put(frame):
            self._drop("slow" if self._held_until < float("inf") else "waiting", dropped)

    def _on_pose(self, message: PoseWithCovarianceStamped) -> None:
        try:
            pose = read_pose(message, self._parameters.odom_frame)
        except InputError as error:
            self._statistics.count("poses_refused")
            self._warnings.warn("pose", f"pose refused: {error}")
            return
        self._pipeline.set_pose(pose)
        self._statistics.count("poses_set")
        x, y, z = pose.odom_from_base[:3, 3]
        self._node.get_logger().info(
            f"pose set to {x:.2f}, {y:.2f}, {z:.2f} in {self._parameters.odom_frame}, from the next frame on"
        )

    def _work(self, frame: StampedImage) -> None:
        calibration, base_from_camera = self.inputs.calibration, self.mount.base_from_camera
        if calibration is None or base_from_camera is None or self._waited_too_long(frame):
            self._drop("waiting")
            return
        self._pipeline.process(frame, calibration, base_from_camera, self.speeds.take())

    def _waited_too_long(self, frame: StampedImage) -> bool:
        """Whether the frame lay here for the transform until it was old news; frames that queue
        up are all worked on."""
        return (
            self.queue.newest_wins
            and self._held_until - frame.arrived_s > self._parameters.wait_for_transform
        )

    def _drop(self, reason: str, count: int = 1) -> None:
        self._statistics.count("frames_dropped", count)
        self._statistics.count(f"dropped_{reason}", count)
