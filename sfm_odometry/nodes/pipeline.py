"""From one image message to everything that is published of it: runs in the worker thread."""

import threading
import time
import traceback
from collections.abc import Sequence

import numpy as np
import torch
from rclpy.node import Node

from sfm_odometry.errors import CalibrationError, ImageError
from sfm_odometry.inference.estimator import Estimator, use_threads
from sfm_odometry.io.ros_camera_info import Calibration, Rectifier
from sfm_odometry.io.ros_image import RefusedImage, decode_image
from sfm_odometry.nodes.conversions import MAX_STAMP_NS, NANOSECONDS
from sfm_odometry.nodes.diagnostics import NodeState
from sfm_odometry.nodes.image_outputs import CameraView
from sfm_odometry.nodes.inputs import StampedImage
from sfm_odometry.nodes.lost_timer import Loss
from sfm_odometry.nodes.outputs import Outputs
from sfm_odometry.nodes.parameters import NodeParameters
from sfm_odometry.nodes.pose_reset import GivenPose
from sfm_odometry.nodes.speed_inputs import StampedTwist
from sfm_odometry.nodes.statistics import Statistics
from sfm_odometry.nodes.throttle import ThrottledWarnings
from sfm_odometry.odometry import MonocularOdometry, OdometryResult, TrackingState
from sfm_odometry.scale import ScaleEstimate

ERRORS_IN_A_ROW = 3
"""After so many frames whose inference failed the node says that it is in error; it goes on
trying."""
ERROR_EVERY_S = 5.0
COUNTER_OF_EVENT = {
    "gap": "gaps",
    "clock": "clock_jumps",
    "intrinsics": "camera_changes",
    "lost": "losses",
}
"""By the first word of what the odometry calls an event."""


class Pipeline:
    """Decode, rectify, infer, publish.

    The model is loaded and warmed here; raises CheckpointError or InputError when it, the device or
    a parameter cannot be used.
    """

    def __init__(self, node: Node, parameters: NodeParameters, statistics: Statistics) -> None:
        self.parameters, self.statistics = parameters, statistics
        self.generation = 0
        use_threads(parameters.model_threads)
        self.estimator = Estimator.from_file(
            parameters.model_file(), parameters.model_device, parameters.model_backend
        )
        self.estimator.warm_up()
        self._odometry = MonocularOdometry(self.estimator, parameters.odometry_params())
        self._odometry_generation = 0
        self._rectifier: Rectifier | None = None
        self._node = node
        self._warnings = ThrottledWarnings(node.get_logger().warning)
        self._outputs = Outputs(node, parameters)
        self._publishing = threading.Lock()
        self._tracking = NodeState(TrackingState.FILLING_WINDOW.value)
        self._loss = Loss()
        self._given_pose: GivenPose | None = None
        self._errors_in_a_row = 0
        self._last_error = ""

    @property
    def state(self) -> NodeState:
        """What the odometry makes of the frames it gets."""
        return (
            NodeState("error", self._last_error)
            if self._errors_in_a_row >= ERRORS_IN_A_ROW
            else self._tracking
        )

    def reset(self) -> None:
        """Start a new trajectory: nothing of frames from before is published any more once this
        returns."""
        with self._publishing:
            self.generation += 1
            self._given_pose = None
            self._tracking = NodeState(TrackingState.FILLING_WINDOW.value)

    def set_pose(self, pose: GivenPose) -> None:
        """Go on from a pose of the newest frame; it shows in the odometry of the next one."""
        with self._publishing:
            self._given_pose = pose

    def process(
        self,
        frame: StampedImage,
        calibration: Calibration,
        base_from_camera: np.ndarray,
        speeds: Sequence[StampedTwist] = (),
    ) -> None:
        """All that is done with one frame. What goes wrong with it is counted and said, and the
        next one is met as if nothing had been."""
        started = time.perf_counter()
        try:
            image, rectifier = self._rectified(frame, calibration)
            decoded_ms = (time.perf_counter() - started) * 1e3
            self._restart(frame, base_from_camera)
            self._prepare_scale(base_from_camera, speeds)
            result = self._infer(frame, image, rectifier)
            self._errors_in_a_row = 0
            view = CameraView(image, rectifier.intrinsics, frame.message.header.frame_id)
            if not self._hand_over(frame, result, view, base_from_camera):
                return
            self._measure(frame, result, decoded_ms, (time.perf_counter() - started) * 1e3)
        except RefusedImage as refusal:
            self._refuse(refusal.reason, str(refusal))
        except (ImageError, CalibrationError) as refusal:
            self._refuse(
                "camera_info" if isinstance(refusal, CalibrationError) else "image", str(refusal)
            )
        except Exception as error:  # what nobody foresaw must not end a robot's odometry
            self._fail(error)

    @property
    def scale(self) -> ScaleEstimate:
        """The factor that depth and translation have at the newest frame."""
        return self._odometry.scale

    @property
    def device_memory_mib(self) -> float:
        """Memory that is taken on the GPU, 0 on a CPU."""
        return (
            torch.cuda.memory_allocated(self.estimator.device) / 2**20
            if self.estimator.device.type == "cuda"
            else 0.0
        )

    def close(self) -> None:
        """Withdraw the topics."""
        self._outputs.close()

    def _rectified(
        self, frame: StampedImage, calibration: Calibration
    ) -> tuple[np.ndarray, Rectifier]:
        if frame.stamp_ns <= 0:
            raise RefusedImage(
                "zero_stamp", "the stamp is not after zero: the camera's driver does not set it"
            )
        if frame.stamp_ns > MAX_STAMP_NS:
            raise RefusedImage(
                "far_stamp", f"the stamp is {frame.stamp_ns} ns, more than a message can hold"
            )
        image = decode_image(frame.message)
        size = (image.shape[1], image.shape[0])
        rectifier = self._rectifier
        if rectifier is None or rectifier.calibration != calibration or rectifier.size != size:
            rectifier = self._rectifier = Rectifier(
                calibration, *size, self.parameters.camera_input_is_rectified
            )
        return rectifier(image), rectifier

    def _restart(self, frame: StampedImage, base_from_camera: np.ndarray) -> None:
        """Do what was asked for since the frame before: a new trajectory, or one from another
        pose."""
        if frame.generation != self._odometry_generation:
            self._start_anew()
            self._odometry_generation = frame.generation
        with self._publishing:
            given = self._given_pose if frame.generation == self.generation else None
            self._given_pose = None if given is not None else self._given_pose
        if given is not None:
            self._odometry.continue_from(*given.of_camera(base_from_camera))

    def _start_anew(self) -> None:
        self._odometry.reset()
        self._outputs.path.clear()
        self._loss = Loss()

    def _prepare_scale(self, base_from_camera: np.ndarray, speeds: Sequence[StampedTwist]) -> None:
        """Tell the odometry what the scale is measured by: where the ground is, and how fast the
        camera goes."""
        if not np.array_equal(
            base_from_camera, np.eye(4)
        ):  # a base that is the camera itself says nothing of where down is
            self._odometry.set_gravity_direction(-base_from_camera[2, :3])
        for twist in speeds:
            self._odometry.observe_speed(twist.stamp_ns, twist.speed_at(base_from_camera))

    def _infer(
        self, frame: StampedImage, image: np.ndarray, rectifier: Rectifier
    ) -> OdometryResult:
        wants = self._outputs.depth.wanted, self._outputs.mask.wanted
        return self._odometry.process(image, rectifier.intrinsics, frame.stamp_ns, *wants)

    def _hand_over(
        self,
        frame: StampedImage,
        result: OdometryResult,
        view: CameraView,
        base_from_camera: np.ndarray,
    ) -> bool:
        """Publish the result, unless a reset came in between or the frame was refused."""
        with self._publishing:
            if frame.generation != self.generation:
                self.statistics.count("frames_stale")
                return False
            if result.refused:
                self._refuse(result.refused.replace(" ", "_"), result.refused)
                return False
            self._tracking = self._loss.state(result, frame.stamp_ns)
            self._note(result.event)
            self._publish(result, view, base_from_camera)
            if self._loss.lasts(self.parameters.lost_reset_after):
                self._give_up()
            return True

    def _give_up(self) -> None:
        """Lost for so long that the old trajectory means nothing any more."""
        self._start_anew()
        self.statistics.count("resets")
        self._node.get_logger().warning(
            f"lost for {self.parameters.lost_reset_after:g} s: a new trajectory starts at the origin"
        )

    def _publish(
        self, result: OdometryResult, view: CameraView, base_from_camera: np.ndarray
    ) -> None:
        for motion in result.motions:
            self._outputs.publish_motion(motion, base_from_camera, self.parameters)
        self.statistics.count("frames_published", len(result.motions))
        self.statistics.count(
            "frames_unrefined", sum(bool(motion.unrefined) for motion in result.motions)
        )
        self._outputs.path.publish()
        if result.mask is not None:
            self._outputs.mask.publish(result.mask, view, self.parameters)
        if result.depth is not None:  # last: it is waited for
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
        if now_ns > 0:  # zero: simulated time that has not begun
            self.statistics.measure(latency_ms=(now_ns - frame.stamp_ns) / NANOSECONDS * 1e3)

    def _note(self, event: str) -> None:
        """Count and log what happened besides the ordinary; `event` starts with its kind."""
        if not event:
            return
        kind = event.split()[0].rstrip(":")
        self.statistics.count(COUNTER_OF_EVENT[kind])
        self._warnings.warn(kind, event)
        if kind == "clock":
            self._outputs.forget_time()
            if self.parameters.window_reset_on_clock_jump:
                self._outputs.path.clear()

    def _refuse(self, reason: str, message: str) -> None:
        self.statistics.count("frames_refused")
        self.statistics.count(f"refused_{reason}")
        self._warnings.warn(reason, f"frame refused: {message}")

    def _fail(self, error: Exception) -> None:
        if not self._node.context.ok():
            return  # the process is being ended, and publishing fails for that alone
        self._errors_in_a_row += 1
        self._last_error = f"{type(error).__name__}: {error}"
        self.statistics.count("inference_errors")
        if self.estimator.device.type == "cuda":
            torch.cuda.empty_cache()  # so that a frame that ran out of memory leaves room for the next
        self._node.get_logger().error(
            f"frame skipped: {traceback.format_exc()}", throttle_duration_sec=ERROR_EVERY_S
        )
