"""From one image message to everything that is published of it: runs in the worker thread."""

import threading
import time
import traceback

import numpy as np
from rclpy.node import Node

from sfm_odometry.camera_messages import Calibration, Rectifier
from sfm_odometry.errors import CalibrationError, ImageError
from sfm_odometry.estimator import Estimator, use_threads
from sfm_odometry.image_messages import RefusedImage, decode_image
from sfm_odometry.nodes.conversions import NANOSECONDS
from sfm_odometry.nodes.inputs import StampedImage
from sfm_odometry.nodes.outputs import Outputs
from sfm_odometry.nodes.parameters import NodeParameters
from sfm_odometry.nodes.reporter import State
from sfm_odometry.nodes.status import Statistics
from sfm_odometry.odometry import MonocularOdometry, OdometryResult, TrackingState

ERRORS_IN_A_ROW = 3
"""After so many frames whose inference failed the node says that it is in error; it goes on trying."""
WARN_EVERY_S = 5.0


class Pipeline:
    """Decode, rectify, infer, publish.

    The model is loaded and warmed here; raises CheckpointError or InputError when it, the device or a parameter cannot be used.
    """

    def __init__(self, node: Node, parameters: NodeParameters, statistics: Statistics) -> None:
        self.parameters, self.statistics = parameters, statistics
        self.generation = 0
        use_threads(parameters.model_threads)
        self.estimator = Estimator.from_file(parameters.model_file(), parameters.model_device)
        self.estimator.warm_up()
        self._odometry = MonocularOdometry(self.estimator, parameters.odometry_params())
        self._odometry_generation = 0
        self._rectifier: Rectifier | None = None
        self._node = node
        self._outputs = Outputs(node)
        self._publishing = threading.Lock()
        self._tracking = State(TrackingState.FILLING_WINDOW.value)
        self._errors_in_a_row = 0
        self._last_error = ""

    @property
    def state(self) -> State:
        """What the odometry makes of the frames it gets."""
        return State("error", self._last_error) if self._errors_in_a_row >= ERRORS_IN_A_ROW else self._tracking

    def reset(self) -> None:
        """Start a new trajectory: nothing of frames from before is published any more once this returns."""
        with self._publishing:
            self.generation += 1
            self._tracking = State(TrackingState.FILLING_WINDOW.value)

    def process(self, frame: StampedImage, calibration: Calibration, base_from_camera: np.ndarray) -> None:
        """All that is done with one frame. What goes wrong with it is counted and said, and the next one is met as if nothing had been."""
        started = time.perf_counter()
        try:
            image, rectifier = self._rectified(frame, calibration)
            decoded_ms = (time.perf_counter() - started) * 1e3
            result = self._infer(frame, image, rectifier)
            self._errors_in_a_row = 0
            if not self._hand_over(frame, result, base_from_camera):
                return
            self._measure(frame, result, decoded_ms, (time.perf_counter() - started) * 1e3)
        except RefusedImage as refusal:
            self._refuse(refusal.reason, str(refusal))
        except (ImageError, CalibrationError) as refusal:
            self._refuse("camera_info" if isinstance(refusal, CalibrationError) else "image", str(refusal))
        except Exception as error:  # what nobody foresaw must not end a robot's odometry
            self._fail(error)

    def close(self) -> None:
        """Withdraw the topics."""
        self._outputs.close()

    def _rectified(self, frame: StampedImage, calibration: Calibration) -> tuple[np.ndarray, Rectifier]:
        if frame.stamp_ns <= 0:
            raise RefusedImage("zero_stamp", "the stamp is zero: the camera's driver does not set it")
        image = decode_image(frame.message)
        size = (image.shape[1], image.shape[0])
        rectifier = self._rectifier
        if rectifier is None or rectifier.calibration != calibration or rectifier.size != size:
            rectifier = self._rectifier = Rectifier(calibration, *size, self.parameters.camera_input_is_rectified)
        return rectifier(image), rectifier

    def _infer(self, frame: StampedImage, image: np.ndarray, rectifier: Rectifier) -> OdometryResult:
        if frame.generation != self._odometry_generation:
            self._odometry.reset()
            self._odometry_generation = frame.generation
        wants = self._outputs.depth.wanted, self._outputs.mask.wanted
        return self._odometry.process(image, rectifier.intrinsics, frame.stamp_ns, *wants)

    def _hand_over(self, frame: StampedImage, result: OdometryResult, base_from_camera: np.ndarray) -> bool:
        """Publish the result, unless a reset came in between or the frame was refused."""
        with self._publishing:
            if frame.generation != self.generation:
                self.statistics.count("frames_stale")
                return False
            self._tracking = State(result.state.value, result.event)
            if result.refused:
                self._refuse(result.refused.replace(" ", "_"), result.refused)
                return False
            self._note(result.event)
            self._publish(frame, result, base_from_camera)
            return True

    def _publish(self, frame: StampedImage, result: OdometryResult, base_from_camera: np.ndarray) -> None:
        for motion in result.motions:
            self._outputs.publish_motion(motion, base_from_camera, self.parameters)
        self.statistics.count("frames_published", len(result.motions))
        self.statistics.count("frames_unrefined", sum(bool(motion.unrefined) for motion in result.motions))
        frame_id = frame.message.header.frame_id
        if result.depth is not None:
            self._outputs.publish_depth(result.depth, frame_id)
        if result.mask is not None:
            self._outputs.publish_mask(result.mask, frame_id)

    def _measure(self, frame: StampedImage, result: OdometryResult, decoded_ms: float, total_ms: float) -> None:
        self.statistics.count("frames_processed")
        preprocess_ms = decoded_ms + result.preprocess_ms
        self.statistics.measure(preprocess_ms=preprocess_ms, inference_ms=result.inference_ms, total_ms=total_ms)
        now_ns = self._node.get_clock().now().nanoseconds
        if now_ns > 0:  # zero: simulated time that has not begun
            self.statistics.measure(latency_ms=(now_ns - frame.stamp_ns) / NANOSECONDS * 1e3)

    def _note(self, event: str) -> None:
        """Count and log what happened besides the ordinary; `event` starts with its kind."""
        if not event:
            return
        kind = event.split()[0].rstrip(":")
        self.statistics.count(f"events_{kind}")
        self._node.get_logger().warning(event)
        if kind == "clock":
            self._outputs.forget_time()

    def _refuse(self, reason: str, message: str) -> None:
        self.statistics.count("frames_refused")
        self.statistics.count(f"refused_{reason}")
        self._node.get_logger().warning(f"frame refused: {message}", throttle_duration_sec=WARN_EVERY_S)

    def _fail(self, error: Exception) -> None:
        if not self._node.context.ok():
            return  # the process is being ended, and publishing fails for that alone
        self._errors_in_a_row += 1
        self._last_error = f"{type(error).__name__}: {error}"
        self.statistics.count("inference_errors")
        self._node.get_logger().error(f"frame skipped: {traceback.format_exc()}", throttle_duration_sec=WARN_EVERY_S)
