"""Session of an active node: subscriptions, extrinsics, frame queue and worker."""

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from geometry_msgs.msg import PoseWithCovarianceStamped
from rclpy.node import Node
from rclpy.subscription import Subscription
from sensor_msgs.msg import CompressedImage, Image

from sfm_odometry.errors import InputError
from sfm_odometry.nodes.alternation import Alternation
from sfm_odometry.nodes.conversions import stamp_to_ns
from sfm_odometry.nodes.diagnostics import NodeState
from sfm_odometry.nodes.extrinsics import CameraExtrinsics
from sfm_odometry.nodes.inputs import Inputs, StampedImage
from sfm_odometry.nodes.parameters import NodeParameters
from sfm_odometry.nodes.pose_reset import PoseReset
from sfm_odometry.nodes.pose_watch import DrivingClock
from sfm_odometry.nodes.rate_limit import RateLimiter
from sfm_odometry.nodes.speed_inputs import SpeedInputs
from sfm_odometry.nodes.stamp_clock import StampCheck, StampClock
from sfm_odometry.nodes.statistics import Statistics
from sfm_odometry.nodes.tf_watch import TransformWatch
from sfm_odometry.nodes.throttle import ThrottledWarnings
from sfm_odometry.nodes.worker import FrameQueue, Worker

if TYPE_CHECKING:
    from sfm_odometry.nodes.pipeline import Pipeline

IMAGE_TIMEOUT_S = 2.0
"""Time without an image after which the state is waiting_image."""


class CameraSession:
    """Receives a camera's messages from activation to deactivation, and runs the worker on them.

    Each frame is counted, and then processed, held, or dropped for a reason that is counted.
    """

    def __init__(
        self, node: Node, parameters: NodeParameters, pipeline: "Pipeline", statistics: Statistics
    ) -> None:
        self._node = node
        self._parameters = parameters
        self._pipeline = pipeline
        self._statistics = statistics
        self._warnings = ThrottledWarnings(node.get_logger().warning)
        self._paused = False
        self._started_s = time.monotonic()
        self._released_s = float("inf")
        """Time since which the queue is not held; infinite while it is."""
        self._camera_frame = ""
        self._camera_frames: Alternation[str] = Alternation()
        self._driving_clock = DrivingClock(node)
        self._stamp_clock = StampClock()
        self._newest_check: StampCheck | None = None
        self._transforms = TransformWatch(node, pipeline.sent_transforms)
        pipeline.pose_watch.start()
        self._rate_limiter = RateLimiter()

        # Queue, held until the camera is known.
        self.queue: FrameQueue[StampedImage] = FrameQueue(
            parameters.queue_size, parameters.always_process_most_recent_frame
        )
        self.queue.set_held(True)

        # Inputs, which may call back from now on, and the worker.
        self.extrinsics = CameraExtrinsics(
            node,
            parameters.base_frame,
            parameters.camera_frame,
            parameters.fixed_base_from_camera(),
        )
        callbacks = (self._on_image, self._update_hold, self._on_pose)
        self.inputs = Inputs(node, parameters, pipeline.given_camera, *callbacks)
        self.speeds = SpeedInputs(node, parameters.scale_mode, statistics)
        self._worker = Worker(self.queue, self._process)

    @property
    def subscriptions(self) -> list[Subscription]:
        """Subscriptions: the images' first, then camera_info, poses and speeds.

        Empty while the images' does not exist.
        """
        image = self.inputs.image.subscription
        if image is None:
            return []
        others = (*self.inputs.other_subscriptions, self.speeds.subscription)
        return [image, *(other for other in others if other is not None)]

    @property
    def waiting_state(self) -> NodeState | None:
        """State of the node while an input is missing; None while frames can be processed."""
        last_image_s = self._statistics.last_image
        silent_s = time.monotonic() - max(last_image_s, self._started_s)
        if silent_s > IMAGE_TIMEOUT_S or last_image_s < self._started_s:
            return NodeState("waiting_image", f"no image: {self.inputs.image.silence_reason}")
        if self.inputs.calibration_problem:
            return NodeState("waiting_camera_info", self.inputs.calibration_problem)
        return NodeState("waiting_tf", self.extrinsics.problem) if self.extrinsics.problem else None

    @property
    def doubts(self) -> dict[str, str]:
        """What is likely to be wrong although frames are tracked: texts by kind, in one word."""
        pair = self._camera_frames.pair
        check = self._newest_check
        texts = {
            "stamps": check.problem if check is not None else "",
            "mount": self._pipeline.mount_problem,
            "transforms": self._transforms.problem,
            "speeds": self.speeds.problem,
            "camera_info": self.inputs.doubt,
            "frames": f"images of {pair[1]} and {pair[0]} alternate on one topic" if pair else "",
        }
        return {kind: text for kind, text in texts.items() if text}

    @property
    def state(self) -> NodeState:
        """State of the node while it is not paused."""
        state = self.waiting_state or self._pipeline.state
        if state.name in ("tracking", "filling_window", "waiting_tf"):
            state = replace(state, doubts=(*state.doubts, *self.doubts.values()))
        return self._pipeline.pose_watch.judge(
            state, self._parameters.diagnostics_warn_after, self._parameters.diagnostics_error_after
        )

    def set_parameters(self, parameters: NodeParameters) -> None:
        """Apply changed parameters."""
        self._parameters = parameters
        self.queue.latest_only = parameters.always_process_most_recent_frame

    def update(self, paused: bool) -> None:
        """Look for publishers and for the camera's transform; ROS calls back for neither."""
        self._paused = paused
        self.inputs.update()
        self._update_hold()

        # Look at the time since the newest pose, and for other senders of our transform.
        parameters, pose_watch = self._parameters, self._pipeline.pose_watch
        received = self._statistics.counts["frames_received"]
        pose_watch.advance(received, max_step_s=parameters.diagnostics_warn_after / 2.0)
        if paused:
            pose_watch.restart()
        child = parameters.odom_frame if parameters.invert_tf else parameters.base_frame
        self._transforms.update(child if parameters.publish_tf else "")

    def close(self) -> None:
        """Stop listening and end the worker."""
        self.inputs.close()
        self.speeds.close()
        self.extrinsics.close()
        self._transforms.close()
        self._worker.stop()

    def _update_hold(self) -> None:
        """Hold the queue until the camera's intrinsics and extrinsics are known."""
        self.extrinsics.update(self._camera_frame)
        held = not self.inputs.is_calibrated or self.extrinsics.base_from_camera is None
        if not held:
            self._released_s = min(self._released_s, time.monotonic())
        self.queue.set_held(held)
        if held:
            self._released_s = float("inf")

    def _on_image(self, message: Image | CompressedImage) -> None:
        check = self._check_stamp(stamp_to_ns(message.header.stamp))
        frame = StampedImage.from_message(message, self._pipeline.generation, check)
        before, self._newest_check = self._newest_check, check
        clock_jumped = before is not None and check.clock_run != before.clock_run
        self._statistics.received(frame.stamp_ns, clock_jumped)
        self._camera_frames.add(message.header.frame_id)
        if self._paused:
            self._count_dropped("paused")
        elif not self._rate_limiter.accepts(frame.stamp_ns, self._parameters.max_update_rate):
            self._count_dropped("over_rate")
        else:
            self._enqueue(frame, message.header.frame_id)

    def _check_stamp(self, stamp_ns: int) -> StampCheck:
        """Compare the stamp of an image that arrives with the node's clock."""
        clock_ns = self._node.get_clock().now().nanoseconds
        return self._stamp_clock.check(stamp_ns, clock_ns, self._driving_clock.now_s())

    def _enqueue(self, frame: StampedImage, camera_frame: str) -> None:
        if camera_frame != self._camera_frame:
            self._camera_frame = camera_frame
            self._update_hold()
        if dropped := self.queue.put(frame):
            held = self._released_s == float("inf")
            self._count_dropped("waiting" if held else "slow", dropped)

    def _on_pose(self, message: PoseWithCovarianceStamped) -> None:
        try:
            pose = PoseReset.from_message(message, self._parameters.odom_frame)
        except InputError as error:
            self._statistics.count("poses_refused")
            self._warnings.warn("pose", f"pose refused: {error}")
            return
        self._pipeline.set_pose(pose)
        self._statistics.count("poses_set")
        x, y, z = pose.odom_from_base[:3, 3]
        self._node.get_logger().info(
            f"pose set to {x:.2f}, {y:.2f}, {z:.2f} in {self._parameters.odom_frame}, "
            "from the next frame on"
        )

    def _process(self, frame: StampedImage) -> None:
        """Process one frame of the queue, on the worker thread."""
        calibration = self.inputs.calibration_at(frame.stamp_ns)
        is_known = calibration is not None or self._pipeline.given_camera is not None
        base_from_camera = self.extrinsics.base_from_camera
        if not is_known or base_from_camera is None or self._is_outdated(frame):
            self._count_dropped("waiting")
            return
        self._pipeline.process(frame, calibration, base_from_camera, self.speeds.drain())

    def _is_outdated(self, frame: StampedImage) -> bool:
        """Whether the newest frame was held for longer than wait_for_transform.

        Frames that queue up are all processed.
        """
        return (
            self.queue.latest_only
            and self._released_s - frame.arrived_s > self._parameters.wait_for_transform
        )

    def _count_dropped(self, reason: str, count: int = 1) -> None:
        self._statistics.count("frames_dropped", count)
        self._statistics.count(f"dropped_{reason}", count)
