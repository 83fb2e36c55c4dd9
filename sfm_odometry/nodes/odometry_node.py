"""Monocular odometry as a ROS 2 lifecycle node.

Inputs are images and camera_info; outputs are odometry, TF, depth and masks. Callbacks only store
messages; one worker thread decodes, infers and publishes (:mod:`sfm_odometry.nodes.pipeline`).
"""

import sfm_odometry.nodes.early_signals  # noqa: F401  # first, as other imports take a second

# isort: split
import argparse
import traceback
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock, ClockType
from rclpy.exceptions import NameValidationException, ParameterException
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.publisher import Publisher
from rclpy.qos_overriding_options import InvalidQosOverridesError
from rclpy.subscription import Subscription
from rclpy.timer import Timer
from std_srvs.srv import Trigger

from sfm_odometry.errors import InputError, SfmOdometryError
from sfm_odometry.loading import collect_loaded, collector_paused
from sfm_odometry.nodes.diagnostics import DiagnosticsPublisher, NodeState
from sfm_odometry.nodes.lifecycle_guard import guard_transitions
from sfm_odometry.nodes.memory import (
    release_freed_memory,
    release_startup_code,
    resident_memory_mib,
)
from sfm_odometry.nodes.parameters import (
    apply_changes,
    declare_parameters,
    parameters_result,
)
from sfm_odometry.nodes.players.arguments import parse
from sfm_odometry.nodes.session import CameraSession
from sfm_odometry.nodes.spinning import LoggedError, interruptible, run_node, spin
from sfm_odometry.nodes.statistics import Statistics, scale_values

if TYPE_CHECKING:
    from sfm_odometry.nodes.pipeline import Pipeline

ROS_SETTING_ERRORS = (ParameterException, InvalidQosOverridesError, NameValidationException)
"""Errors of rclpy that a user can correct: values of ROS's own parameters, and remapped names."""
WATCH_PERIOD_S = 0.1
"""Period of looking for publishers and the camera's transform; ROS calls back for neither."""


def _is_ros_setting_error(error: Exception) -> bool:
    """Whether an error of rclpy is about a setting that a user can correct."""
    # An unknown QoS policy is only named by the text of a RuntimeError.
    return isinstance(error, ROS_SETTING_ERRORS) or "QoS override" in str(error)


class OdometryNode(LifecycleNode):
    """Lifecycle node of the odometry.

    configure loads the model and makes the publishers, activate subscribes to the camera;
    deactivate, cleanup and shutdown release them.
    """

    # Class attributes, as a node whose parameters were refused is destroyed without them.
    _pipeline: "Pipeline | None" = None
    _session: CameraSession | None = None

    def __init__(self, node_name: str = "sfm_odometry", **options: Any) -> None:
        """options: rclpy's for a node, such as namespace, parameter_overrides, context.

        Raises InputError for a bad parameter.
        """
        super().__init__(node_name, **options)
        guard_transitions(self)
        try:
            self.parameters = declare_parameters(self)
        except InputError:
            self._leave_graph()
            raise
        self.add_on_set_parameters_callback(self._on_set_parameters)
        self._statistics = Statistics()
        self._diagnostics = DiagnosticsPublisher(self)
        self._transition_error = ""
        """Reason of the last failed transition; empty after one that succeeded."""
        self._is_error_known = True
        """Whether the reason is one that a user can correct."""
        self._autostarting = False
        self._paused = False

        # Timers run on a steady clock, as a node that waits for /clock must report that.
        self._steady_clock = Clock(clock_type=ClockType.STEADY_TIME)
        self._watch_timer = self.create_timer(WATCH_PERIOD_S, self._watch, clock=self._steady_clock)
        self._report_timer = self._create_report_timer(self.parameters.diagnostics_period)

        self.create_service(Trigger, "~/reset", self._on_reset)
        self.create_service(Trigger, "~/pause", self._on_pause)
        self.create_service(Trigger, "~/resume", self._on_resume)
        self.create_service(Trigger, "~/save_trajectory", self._on_save_trajectory)

    def autostart(self) -> None:
        """Configure and activate the node if the parameter autostart is set.

        Raises InputError when either fails for a reason that a user can correct, LoggedError for
        any other.
        """
        if not self.parameters.autostart:
            return
        self._autostarting = True
        for transition in (self.trigger_configure, self.trigger_activate):
            if transition() != TransitionCallbackReturn.SUCCESS:
                known = self._is_error_known
                raise (InputError if known else LoggedError)(self._transition_error)
        self._autostarting = False

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load and warm up the model; FAILURE, with the reason in the log, where it cannot be."""
        with interruptible():
            return self._attempt("configured", self._configure, self._release)

    def _configure(self) -> None:
        # Imported here, as torch takes seconds to load: before that, parameters are checked,
        # signals end the process in order, and other nodes see this one.
        with collector_paused():
            from sfm_odometry.nodes.pipeline import Pipeline

            self._statistics = Statistics()
            self._pipeline = Pipeline(self, self.parameters, self._statistics)
        release_freed_memory()
        release_startup_code()
        estimator = self._pipeline.estimator
        fell_back = self.parameters.model_device == "auto" and estimator.device.type == "cpu"
        reason = ", as torch sees no GPU" if fell_back else ""
        self.get_logger().info(
            f"model {estimator.model_name} ({estimator.model_sha256[:12]}) "
            f"on {estimator.device}{reason}"
        )
        if estimator.backend_reason:
            self.get_logger().info(f"backend {estimator.backend}, {estimator.backend_reason}")
        if self._pipeline.given_camera is not None:
            self.get_logger().info(f"camera: {self._pipeline.given_camera}")

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Subscribe to the camera; FAILURE, with the reason in the log, where that fails."""
        return self._attempt("activated", self._activate, self._deactivate)

    def _activate(self) -> None:
        assert self._pipeline is not None
        self._paused = False
        self._session = CameraSession(self, self.parameters, self._pipeline, self._statistics)
        self._watch()

    def _attempt(
        self, participle: str, transition: Callable[[], None], undo: Callable[[], None]
    ) -> TransitionCallbackReturn:
        """Run a transition, and undo it when it raises, keeping and logging the reason.

        rclpy would drop an exception silently. participle: names the transition in the log line.
        """
        entities_before = self._entities()
        try:
            transition()
        except Exception as error:
            # Undo what was done before the error.
            undo()
            self._destroy_entities(self._entities() - entities_before)

            # Keep the reason; during autostart a known one is the line that ends the process.
            known = isinstance(error, SfmOdometryError)
            self._is_error_known = known or _is_ros_setting_error(error)
            self._transition_error = str(error) if known else f"{type(error).__name__}: {error}"
            if not self._is_error_known:
                self.get_logger().error(f"cannot be {participle}: {traceback.format_exc()}")
            elif not self._autostarting:
                self.get_logger().error(f"cannot be {participle}: {self._transition_error}")
            return TransitionCallbackReturn.FAILURE
        self._transition_error = ""
        return TransitionCallbackReturn.SUCCESS

    def _entities(self) -> set[Publisher | Subscription]:
        """Returns the publishers and subscriptions of the node."""
        return {*self.publishers, *self.subscriptions}

    def _destroy_entities(self, entities: set[Publisher | Subscription]) -> None:
        """Destroy the publishers and subscriptions of a transition that failed half-way.

        Other nodes must not see them, and the next attempt makes new ones.
        """
        for entity in entities:
            if isinstance(entity, Publisher):
                self.destroy_publisher(entity)
            else:
                self.destroy_subscription(entity)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Unsubscribe and finish the current frame; the pose is kept for the next activation."""
        self._deactivate()
        return TransitionCallbackReturn.SUCCESS

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Release the model and the topics."""
        self._release()
        return TransitionCallbackReturn.SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Release everything, in any state."""
        self._release()
        return TransitionCallbackReturn.SUCCESS

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Release everything and return to unconfigured."""
        self._release()
        return TransitionCallbackReturn.SUCCESS

    def destroy_node(self) -> None:
        """End the worker and destroy the node; it leaves the graph at once."""
        self._deactivate()
        self._leave_graph()

    def _leave_graph(self) -> None:
        super().destroy_node()
        # rclpy does not destroy the state machine, which keeps the node in the graph until it is
        # garbage-collected.
        self._state_machine.destroy_when_not_in_use()

    @property
    def pipeline(self) -> "Pipeline | None":
        """Pipeline of a configured node."""
        return self._pipeline

    @property
    def session(self) -> CameraSession | None:
        """Session of an active node."""
        return self._session

    @property
    def statistics(self) -> Statistics:
        """Counters and measures since the node was configured."""
        return self._statistics

    @property
    def diagnostics(self) -> DiagnosticsPublisher:
        """Publisher of the node's state."""
        return self._diagnostics

    @property
    def priority_subscriptions(self) -> list[Subscription]:
        """Subscriptions to serve first: the images, while they are published, and other inputs.

        All other callbacks may wait for 0.1 s. Empty with simulated time: latencies are measured on
        /clock, which would wait too.
        """
        if self._session is None or self.get_parameter("use_sim_time").value:
            return []
        return self._session.subscriptions

    @property
    def state(self) -> NodeState:
        """State of the node, and the reason for it where it is not tracking."""
        if self._pipeline is None:
            return NodeState("unconfigured", self._transition_error)
        if self._session is None:
            return NodeState("inactive", self._transition_error)
        if self._paused:
            return NodeState("paused", "resume with the service ~/resume")
        return self._session.state

    def _deactivate(self) -> None:
        if self._session is not None:
            self._session.close()
        self._session = None

    def _release(self) -> None:
        self._deactivate()
        if self._pipeline is not None:
            self._pipeline.close()
            collect_loaded()
        self._pipeline = None

    def _create_report_timer(self, period_s: float) -> Timer:
        return self.create_timer(period_s, self._report, clock=self._steady_clock)

    def _watch(self) -> None:
        """Look for publishers and the camera's transform, and report a change of state."""
        if self._session is not None:
            self._session.update(self._paused)
            for kind, text in self._session.doubts.items():
                self._diagnostics.log_doubt(kind, text)
        if self._pipeline is not None:
            self._diagnostics.log_scale(self._pipeline.scale)
        if self._diagnostics.log_state(self.state):
            self._report()

    def _report(self) -> None:
        """Publish the state and all values of the status."""
        values = self._statistics.report()
        values["resident_memory_mib"] = f"{resident_memory_mib():.0f}"
        values["scale_mode"] = self.parameters.scale_mode

        # Model, device and scale, once configured.
        if self._pipeline is not None:
            estimator = self._pipeline.estimator
            values |= scale_values(self._pipeline.scale)
            values |= {
                "device": str(estimator.device),
                "model": estimator.model_name,
                "model_sha256": estimator.model_sha256,
            }
            values["device_memory_mib"] = f"{self._pipeline.device_memory_mib:.0f}"
            values["network_input"] = "{}x{}".format(*estimator.input_size)

        # Inputs, while active.
        if self._session is not None:
            values["image_topic"] = self._session.inputs.image.topic
            values["calibration"] = self._session.inputs.calibration_source
            values["frames_waiting"] = str(len(self._session.queue))
            if self._session.speeds.topic:
                values["speed_topic"] = self._session.speeds.topic
            values["image_qos"] = self._session.inputs.image.reliability or "no publisher yet"

        hardware_id = self.parameters.diagnostics_hardware_id or self.resolve_topic_name("image")
        self._diagnostics.publish(self.state, values, hardware_id)

    def _on_set_parameters(self, changes: list[Parameter]) -> SetParametersResult:
        try:
            parameters = apply_changes(
                self.parameters, changes, configured=self._pipeline is not None
            )
        except InputError as error:
            return parameters_result(str(error))
        if parameters.diagnostics_period != self.parameters.diagnostics_period:
            self.destroy_timer(self._report_timer)
            self._report_timer = self._create_report_timer(parameters.diagnostics_period)
        self.parameters = parameters
        if self._pipeline is not None:
            self._pipeline.parameters = parameters
        if self._session is not None:
            self._session.set_parameters(parameters)
        return parameters_result()

    def _on_reset(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        if self._pipeline is None:
            return _answer(response, success=False, message="the node is not configured")
        self._pipeline.reset()
        if self._session is not None:
            self._statistics.count("frames_dropped", self._session.queue.clear())
        self._statistics.count("resets")
        return _answer(
            response,
            success=True,
            message="the trajectory starts anew at the next image, "
            f"in {self.parameters.odom_frame}",
        )

    def _on_save_trajectory(
        self, request: Trigger.Request, response: Trigger.Response
    ) -> Trigger.Response:
        if self._pipeline is None:
            return _answer(response, success=False, message="the node is not configured")
        try:
            return _answer(response, success=True, message=self._pipeline.save_trajectory())
        except SfmOdometryError as error:
            return _answer(response, success=False, message=str(error))

    def _on_pause(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        return self._set_paused(response, paused=True)

    def _on_resume(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        return self._set_paused(response, paused=False)

    def _set_paused(self, response: Trigger.Response, paused: bool) -> Trigger.Response:
        if self._session is None:
            return _answer(response, success=False, message=f"the node is {self.state.name}")
        self._paused = paused
        self._watch()
        return _answer(response, success=True, message=str(self.state))


def _answer(response: Trigger.Response, success: bool, message: str) -> Trigger.Response:
    """Fill in and return the response of a service."""
    response.success = success
    response.message = message
    return response


def _run(node: OdometryNode) -> None:
    node.autostart()
    spin(node, lambda: node.priority_subscriptions)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the node until a signal ends it; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog="All settings are ROS parameters: --ros-args -p NAME:=VALUE"
    )
    parse(parser, argv)
    return run_node(OdometryNode, _run, argv)


if __name__ == "__main__":
    raise SystemExit(main())
