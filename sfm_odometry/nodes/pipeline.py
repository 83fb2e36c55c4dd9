"""Pipeline of one image message on the worker thread: decode, rectify, track, publish."""

import threading
import time
import traceback
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from rclpy.node import Node

from sfm_odometry.errors import CalibrationError, ImageError
from sfm_odometry.geometry.camera import Intrinsics
from sfm_odometry.inference.estimator import Estimator, use_threads
from sfm_odometry.io.bit_depth import BitDepth
from sfm_odometry.io.image_quality import image_problem
from sfm_odometry.io.ros_camera_info import Calibration, Rectifier
from sfm_odometry.io.ros_image import RefusedImage
from sfm_odometry.nodes.alternation import Alternation
from sfm_odometry.nodes.conversions import MAX_STAMP_NS, NANOSECONDS
from sfm_odometry.nodes.diagnostics import NodeState
from sfm_odometry.nodes.given_camera import GivenCamera
from sfm_odometry.nodes.image_bridge import BRIDGE_PROBLEM, decode_image
from sfm_odometry.nodes.image_outputs import CameraView
from sfm_odometry.nodes.inputs import StampedImage
from sfm_odometry.nodes.live_view import make_view, open_live_view
from sfm_odometry.nodes.lost_timer import LostTimer
from sfm_odometry.nodes.mount_check import MountCheck
from sfm_odometry.nodes.outputs import Outputs
from sfm_odometry.nodes.parameters import NodeParameters
from sfm_odometry.nodes.pose_reset import PoseReset
from sfm_odometry.nodes.pose_watch import DrivingClock, PoseWatch
from sfm_odometry.nodes.speed_inputs import StampedTwist
from sfm_odometry.nodes.statistics import Statistics
from sfm_odometry.nodes.tf_watch import SentTransforms
from sfm_odometry.nodes.throttle import ThrottledWarnings
from sfm_odometry.odometry import MonocularOdometry
from sfm_odometry.results import (
    EventKind,
    FrameMotion,
    OdometryEvent,
    OdometryResult,
    TrackingState,
)
from sfm_odometry.scale import ScaleEstimate

MAX_ERRORS_IN_A_ROW = 3
"""Frames in a row whose inference failed, from which on the node's state is `error`."""
ERROR_LOG_PERIOD_S = 5.0
COUNTERS = {
    EventKind.GAP: "gaps",
    EventKind.CLOCK_JUMP: "clock_jumps",
    EventKind.CAMERA_CHANGE: "camera_changes",
    EventKind.LOST: "losses",
}
"""Counter of the statistics for each kind of event."""


class Pipeline:
    """Decodes, rectifies and tracks images, and publishes the results.

    Loads and warms up the model; raises CheckpointError or InputError when the model, the device or
    a parameter cannot be used.
    """

    def __init__(self, node: Node, parameters: NodeParameters, statistics: Statistics) -> None:
        self.parameters = parameters
        self.statistics = statistics
        self.generation = 0
        self.given_camera = GivenCamera.of(parameters.camera_calibration, parameters.camera_fov)
        """Camera that the parameters give; None for that of camera_info."""
        use_threads(parameters.model_threads)
        self.estimator = Estimator.from_file(
            parameters.model_file(), parameters.model_device, parameters.model_backend
        )
        self.estimator.warm_up()
        self._odometry = MonocularOdometry(self.estimator, parameters.odometry_params())
        self._odometry_generation = 0
        self._rectifier: Rectifier | None = None
        self._bit_depth = BitDepth(parameters.camera_bit_depth)
        self._image_problem = ""
        self._node = node
        self._warnings = ThrottledWarnings(node.get_logger().warning)
        if BRIDGE_PROBLEM:
            node.get_logger().warning(
                f"images are converted without cv_bridge, which does not work: {BRIDGE_PROBLEM}"
            )
        self._outputs = Outputs(node, parameters)
        self._publishing = threading.Lock()
        self._tracking = NodeState(TrackingState.FILLING_WINDOW.value)
        self._lost_timer = LostTimer()
        self._pose_reset: PoseReset | None = None
        self._errors_in_a_row = 0
        self._last_error = ""
        self.pose_watch = PoseWatch(DrivingClock(node).simulated_s)
        """Time since the newest pose, and what kept others from coming."""
        self._mount: MountCheck | None = None
        self._cameras: Alternation[Intrinsics] = Alternation()
        """Intrinsics after each change of the camera."""
        self._newest_stamp_ns = 0
        self._dropped_before = 0
        self._clock_run = 0
        """Run of the stamps' clock of the newest frame: see StampCheck."""
        # Last, as nothing would close its port if a later step failed.
        self._live_view = open_live_view(parameters, node.get_logger().info, self._warn_live_view)

    @property
    def state(self) -> NodeState:
        """State of the node: the tracking state, or `error` while inference fails."""
        if self._errors_in_a_row >= MAX_ERRORS_IN_A_ROW:
            return NodeState("error", self._last_error)
        return replace(self._tracking, doubts=(*self._tracking.doubts, *self._input_doubts()))

    def reset(self) -> None:
        """Start a new trajectory; results of earlier frames are not published after this."""
        with self._publishing:
            self.generation += 1
            self._pose_reset = None
            self._tracking = NodeState(TrackingState.FILLING_WINDOW.value)
            self.pose_watch.restart()

    def set_pose(self, pose: PoseReset) -> None:
        """Set the pose of the newest frame; the odometry of the next frame continues from it."""
        with self._publishing:
            self._pose_reset = pose

    def process(
        self,
        frame: StampedImage,
        calibration: Calibration | None,
        base_from_camera: np.ndarray,
        speeds: Sequence[StampedTwist] = (),
    ) -> None:
        """Process one image message; never raises.

        Refused frames and failures are counted and logged, and the next frame is processed as
        usual. calibration: None where parameters give the camera. base_from_camera: (4, 4), the
        mount of the camera. speeds: measured since the last frame.
        """
        started = time.perf_counter()
        try:
            # Decode the image and remove lens distortion.
            image, rectifier = self._rectify(frame, calibration)
            decoded_ms = (time.perf_counter() - started) * 1e3

            # Apply requests (reset, set_pose) and measurements that came since the last frame.
            self._apply_requests(frame, base_from_camera)
            self._update_scale_source(base_from_camera, speeds)

            # Track.
            result = self._track(frame, image, rectifier)
            self._errors_in_a_row = 0

            # Publish.
            view = CameraView(image, rectifier.intrinsics, frame.message.header.frame_id)
            if self._publish_unless_stale(frame, result, view, base_from_camera):
                total_ms = (time.perf_counter() - started) * 1e3
                self._measure(frame, result, decoded_ms, total_ms)
        except RefusedImage as refusal:
            self._refuse(refusal.reason, str(refusal))
        except CalibrationError as refusal:
            self._refuse("camera_info", str(refusal))
        except ImageError as refusal:
            self._refuse("image", str(refusal))
        except Exception as error:  # an unforeseen error must not end a robot's odometry
            self._fail(error)

    @property
    def scale(self) -> ScaleEstimate:
        """Scale of depth and translation at the newest frame."""
        return self._odometry.scale

    @property
    def device_memory_mib(self) -> float:
        """Memory allocated on the GPU in MiB; 0 on a CPU."""
        if self.estimator.device.type != "cuda":
            return 0.0
        return torch.cuda.memory_allocated(self.estimator.device) / 2**20

    @property
    def mount_problem(self) -> str:
        """Description of an unlikely mount of the camera; empty where there is none."""
        return self._mount.problem if self._mount is not None else ""

    @property
    def sent_transforms(self) -> SentTransforms:
        """Newest transforms that were sent."""
        return self._outputs.sent_transforms

    def save_trajectory(self) -> str:
        """Write the trajectory to a file; returns one line on it, raises SfmOdometryError."""
        return self._outputs.trajectory.save(self.parameters)

    def close(self) -> None:
        """Withdraw the topics, and end the live view."""
        self._live_view.close()
        self._outputs.close()

    def _rectify(
        self, frame: StampedImage, calibration: Calibration | None
    ) -> tuple[np.ndarray, Rectifier]:
        """Decode and rectify the image; raises RefusedImage, ImageError or CalibrationError."""
        if frame.stamp_ns <= 0:
            raise RefusedImage(
                "zero_stamp", "the stamp is not after zero: the camera's driver does not set it"
            )
        if frame.stamp_ns > MAX_STAMP_NS:
            raise RefusedImage(
                "far_stamp", f"the stamp is {frame.stamp_ns} ns, more than a message can hold"
            )
        image = self._decode(frame)
        size = (image.shape[1], image.shape[0])
        if self.given_camera is not None:
            calibration = self.given_camera.calibration(*size)
        assert calibration is not None
        rectifier = self._rectifier
        if rectifier is None or rectifier.calibration != calibration or rectifier.size != size:
            rectifier = self._rectifier = Rectifier(
                calibration, *size, self.parameters.camera_input_is_rectified
            )
            if rectifier.warning:
                self._warnings.warn("camera_info_contradiction", rectifier.warning)
        return rectifier(image), rectifier

    def _decode(self, frame: StampedImage) -> np.ndarray:
        """Decode the image to 8 bits, and look whether anything can be seen in it."""
        if frame.generation != self._odometry_generation:
            self._bit_depth.reset()
        measured = self._bit_depth.range is not None
        image = decode_image(frame.message, self._bit_depth)
        if not measured and self._bit_depth.stretches:
            low, high = self._bit_depth.range or (0.0, 0.0)
            self._node.get_logger().info(
                f"images use the 16-bit values {low:.0f} to {high:.0f}, which become 0 to 255: "
                "camera.bit_depth is auto"
            )
        self._image_problem = image_problem(image)
        if self._image_problem:
            self._warnings.warn("image_problem", self._image_problem)
        return image

    def _input_doubts(self) -> tuple[str, ...]:
        """What is likely to be wrong with images and camera_info that are used, in words."""
        contradiction = "" if self._rectifier is None else self._rectifier.warning
        return tuple(text for text in (self._image_problem, contradiction) if text)

    def _apply_requests(self, frame: StampedImage, base_from_camera: np.ndarray) -> None:
        """Apply a reset or a pose that was requested since the last frame."""
        if frame.generation != self._odometry_generation:
            self._reset_odometry()
            self._odometry_generation = frame.generation
        requested = None
        with self._publishing:
            if frame.generation == self.generation:
                requested = self._pose_reset
                self._pose_reset = None
        if requested is not None:
            self._odometry.continue_from(*requested.camera_pose(base_from_camera))

    def _check_mount(
        self, camera_frame: str, base_from_camera: np.ndarray, motions: Sequence[FrameMotion]
    ) -> None:
        """Check the mount of the camera with new motions; anew with that of another one."""
        known = self._mount
        if known is None or not np.array_equal(known.base_from_camera, base_from_camera):
            parameters = self.parameters
            frame = (parameters.camera_frame or camera_frame).lstrip("/")
            known = self._mount = MountCheck(
                base_from_camera,
                parameters.base_frame,
                "" if parameters.camera_base_from_camera else frame,
            )
        for motion in motions:
            known.add_step(motion.previous_from_current[:3, 3])

    def _reset_odometry(self) -> None:
        self._odometry.reset()
        self._outputs.clear_trajectory()
        self._live_view.clear()
        self._lost_timer = LostTimer()

    def _update_scale_source(
        self, base_from_camera: np.ndarray, speeds: Sequence[StampedTwist]
    ) -> None:
        """Hand the direction of gravity and measured speeds to the odometry."""
        # A base frame that is the camera's own has no known vertical axis.
        if not np.array_equal(base_from_camera, np.eye(4)):
            self._odometry.set_gravity_direction(-base_from_camera[2, :3])
        for twist in speeds:
            self._odometry.observe_speed(twist.stamp_ns, twist.camera_speed(base_from_camera))

    def _track(
        self, frame: StampedImage, image: np.ndarray, rectifier: Rectifier
    ) -> OdometryResult:
        """Track a frame, and note what keeps it from having a pose."""
        clock_jumped = frame.check.clock_run != self._clock_run
        self._clock_run = frame.check.clock_run
        result = self._odometry.process(
            image,
            rectifier.intrinsics,
            frame.stamp_ns,
            want_depth=self._outputs.depth.has_subscribers or self._live_view.wants_depth,
            want_mask=self._outputs.mask.has_subscribers or self._live_view.wants_mask,
            clock_jumped=clock_jumped,
            seen=rectifier.seen,
        )
        since_newest_s = (frame.stamp_ns - self._newest_stamp_ns) / NANOSECONDS
        for event in result.events:
            detail = str(event)
            if event.kind is EventKind.GAP:
                detail = self._gap_reason(since_newest_s)
            elif event.kind is EventKind.CAMERA_CHANGE:
                detail = self._camera_reason(rectifier.intrinsics, detail)
            self.pose_watch.add_obstacle(event.kind.value, detail)
        if not result.refused:
            self._newest_stamp_ns = frame.stamp_ns
        return result

    def _gap_reason(self, period_s: float) -> str:
        """What a gap between two processed frames means."""
        limit = f"more than window.max_gap {self.parameters.window_max_gap:g} s"
        if self.parameters.max_update_rate or not self._dropped_since_gap():
            return f"frames come every {period_s:.2f} s, {limit}"
        return (
            f"frames are processed every {period_s:.2f} s, {limit}, and those between are "
            "dropped: the computer is too slow"
        )

    def _dropped_since_gap(self) -> bool:
        """Whether frames were dropped as too slow since the last call."""
        dropped = self.statistics.counts["dropped_slow"]
        before, self._dropped_before = self._dropped_before, dropped
        return dropped > before

    def _camera_reason(self, intrinsics: Intrinsics, detail: str) -> str:
        """What a change of the intrinsics means."""
        self._cameras.add(intrinsics)
        pair = self._cameras.pair
        if pair is None:
            return f"the camera changes: {detail}"
        return (
            "two cameras alternate on one topic: focal lengths "
            f"{pair[1].fx:g} and {pair[0].fx:g} of images {pair[1].width}x{pair[1].height} and "
            f"{pair[0].width}x{pair[0].height}"
        )

    def _publish_unless_stale(
        self,
        frame: StampedImage,
        result: OdometryResult,
        view: CameraView,
        base_from_camera: np.ndarray,
    ) -> bool:
        """Publish the result; returns False for a refused frame and for one before a reset."""
        with self._publishing:
            if frame.generation != self.generation:
                self.statistics.count("frames_stale")
                return False
            self._report_events(result.events)
            if result.refused:
                self._refuse(result.refused.replace(" ", "_"), result.refused)
                return False
            self._tracking = self._lost_timer.update(result, frame.stamp_ns)
            self._publish(result, view, base_from_camera)
            self._live_view.show(
                make_view(frame.stamp_ns, result, view, base_from_camera, self.parameters)
            )
            if self._lost_timer.exceeds(self.parameters.lost_reset_after):
                self._reset_after_loss()
            return True

    def _reset_after_loss(self) -> None:
        """Start a new trajectory: after a long loss the old one has lost its meaning."""
        self._reset_odometry()
        self.statistics.count("resets")
        self._node.get_logger().warning(
            f"lost for {self.parameters.lost_reset_after:g} s: "
            "a new trajectory starts at the origin"
        )

    def _publish(
        self, result: OdometryResult, view: CameraView, base_from_camera: np.ndarray
    ) -> None:
        for motion in result.motions:
            self._outputs.publish_motion(motion, base_from_camera, self.parameters)
        self._check_mount(view.frame_id, base_from_camera, result.motions)
        if result.motions:
            self.pose_watch.restart()
        self.statistics.count("frames_published", len(result.motions))
        self.statistics.count(
            "frames_unrefined", sum(bool(motion.unrefined) for motion in result.motions)
        )
        self._outputs.path.publish()
        if result.mask is not None:
            self._outputs.mask.publish(result.mask, view, self.parameters)
        if result.depth is not None:  # last, as this waits for the depth network
            self._outputs.depth.publish(result.depth, view, self.parameters)

    def _measure(
        self, frame: StampedImage, result: OdometryResult, decoded_ms: float, total_ms: float
    ) -> None:
        self.statistics.count("frames_processed")
        preprocess_ms = decoded_ms + result.preprocess_ms
        self.statistics.measure(
            preprocess_ms=preprocess_ms, inference_ms=result.inference_ms, total_ms=total_ms
        )
        now_ns = self._node.get_clock().now().nanoseconds
        # Zero: simulated time that has not begun. Stamps of another clock have no latency.
        if now_ns > 0 and frame.check.is_plausible:
            self.statistics.measure(latency_ms=(now_ns - frame.stamp_ns) / NANOSECONDS * 1e3)

    def _report_events(self, events: Sequence[OdometryEvent]) -> None:
        """Count and log events; a clock jump also clears what depends on time."""
        for event in events:
            self.statistics.count(COUNTERS[event.kind])
            self._warnings.warn(event.kind.value, str(event))
            if event.kind is EventKind.CLOCK_JUMP:
                self._outputs.reset_time()
                if self.parameters.window_reset_on_clock_jump:
                    self._outputs.clear_trajectory()
                    self._live_view.clear()

    def _warn_live_view(self, message: str) -> None:
        self._warnings.warn("live_view", message)

    def _refuse(self, reason: str, message: str) -> None:
        self.statistics.count("frames_refused")
        self.statistics.count(f"refused_{reason}")
        self._warnings.warn(reason, f"frame refused: {message}")
        self.pose_watch.add_obstacle("refused", f"frames refused: {message}")

    def _fail(self, error: Exception) -> None:
        if not self._node.context.ok():
            return  # the process is shutting down, which makes publishing fail
        self._errors_in_a_row += 1
        self._last_error = f"{type(error).__name__}: {error}"
        self.statistics.count("inference_errors")
        self.pose_watch.add_obstacle("failed", f"frames fail: {self._last_error}")
        if self.estimator.device.type == "cuda":
            torch.cuda.empty_cache()  # frees memory for the next frame after running out of it
        self._node.get_logger().error(
            f"frame skipped: {traceback.format_exc()}", throttle_duration_sec=ERROR_LOG_PERIOD_S
        )
