"""The odometry as a ROS 2 lifecycle node: images and camera_info in; odometry, TF, depth and masks
out.

Callbacks only store what arrives; one worker thread decodes, infers and publishes
(:mod:`sfm_odometry.nodes.pipeline`).
"""

import sfm_odometry.nodes.early_signals  # noqa: F401  # first, as the others take a second

# isort: split
import argparse
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.publisher import Publisher
from rclpy.subscription import Subscription
from std_srvs.srv import Trigger

from sfm_odometry.errors import InputError, SfmOdometryError
from sfm_odometry.nodes.diagnostics import NodeState, Reporter
from sfm_odometry.nodes.memory import give_back_freed_memory, resident_memory_mib
from sfm_odometry.nodes.parameters import changed, declare, result
from sfm_odometry.nodes.players.arguments import parse
from sfm_odometry.nodes.session import CameraSession
from sfm_odometry.nodes.spinning import run_node, spin
from sfm_odometry.nodes.statistics import Statistics, scale_values

if TYPE_CHECKING:
    from sfm_odometry.nodes.pipeline import Pipeline

WATCH_PERIOD_S = 0.1
"""How often publishers and the camera's transform are looked for: ROS tells a Python node of
neither."""


class OdometryNode(LifecycleNode):
    """configure loads the model and offers the topics, activate listens to the camera;
    deactivate, cleanup and shutdown release it all."""

    # Here, so that a node whose parameters were refused can be destroyed.
    _pipeline: "Pipeline | None" = None
    _active: CameraSession | None = None

    def __init__(self, node_name: str = "sfm_odometry", **options: Any) -> None:
        """`options` are rclpy's for a node: namespace, parameter_overrides, context and so on.
        Raises InputError for a bad parameter."""
        super().__init__(node_name, **options)
        self.parameters = declare(self)
        self.add_on_set_parameters_callback(self._on_set_parameters)
        self._statistics = Statistics()
        self._reporter = Reporter(self)
        self._problem = ""
        self._autostarting = self._paused = False
        self._steady = Clock(
            clock_type=ClockType.STEADY_TIME
        )  # a node that waits for /clock must be able to say so
        self._watch_timer = self.create_timer(WATCH_PERIOD_S, self._watch, clock=self._steady)
        self._report_timer = self.create_timer(
            self.parameters.diagnostics_period, self._report, clock=self._steady
        )
        for name, answer in (
            ("reset", self._on_reset),
            ("pause", self._on_pause),
            ("resume", self._on_resume),
        ):
            self.create_service(Trigger, f"~/{name}", answer)

    def autostart(self) -> None:
        """Configure and activate where the parameter of that name says so; raises InputError
        when either fails."""
        if not self.parameters.autostart:
            return
        self._autostarting = True
        for transition in (self.trigger_configure, self.trigger_activate):
            if transition() != TransitionCallbackReturn.SUCCESS:
                raise InputError(self._problem)
        self._autostarting = False

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load and warm the model; FAILURE, with the reason in the log, when that cannot be
        done."""
        return self._attempt("configured", self._configure, self._release)

    def _configure(self) -> None:
        # Here, as torch takes seconds to load: until then parameters are checked, signals end us
        # well, and others see the node.
        from sfm_odometry.nodes.pipeline import Pipeline

        self._statistics = Statistics()
        self._pipeline = Pipeline(self, self.parameters, self._statistics)
        give_back_freed_memory()
        estimator = self._pipeline.estimator
        no_gpu = (
            ", as torch sees no GPU"
            if self.parameters.model_device == "auto" and estimator.device.type == "cpu"
            else ""
        )
        self.get_logger().info(
            f"model {estimator.model_name} ({estimator.model_sha256[:12]}) on {estimator.device}{no_gpu}"
        )

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Listen to the camera."""
        return self._attempt("activated", self._activate, self._deactivate)

    def _activate(self) -> None:
        assert self._pipeline is not None
        self._paused = False
        self._active = CameraSession(self, self.parameters, self._pipeline, self._statistics)
        self._watch()

    def _attempt(
        self, what: str, transition: Callable[[], None], undo: Callable[[], None]
    ) -> TransitionCallbackReturn:
        """SUCCESS, or FAILURE with all undone and the reason kept and said: rclpy would swallow
        an exception without a word."""
        before = self._entities()
        try:
            transition()
        except Exception as error:
            undo()
            self._withdraw(self._entities() - before)
            self._problem = (
                str(error)
                if isinstance(error, SfmOdometryError)
                else f"{type(error).__name__}: {error}"
            )
            if (
                not self._autostarting
            ):  # whoever starts the process reads it as the error that ends it
                self.get_logger().error(f"cannot be {what}: {self._problem}")
            return TransitionCallbackReturn.FAILURE
        self._problem = ""
        return TransitionCallbackReturn.SUCCESS

    def _entities(self) -> set[Publisher | Subscription]:
        return {*self.publishers, *self.subscriptions}

    def _withdraw(self, entities: set[Publisher | Subscription]) -> None:
        """Take back the topics of a transition that failed half-way: others must not see them,
        and the next attempt makes its own."""
        for entity in entities:
            if isinstance(entity, Publisher):
                self.destroy_publisher(entity)
            else:
                self.destroy_subscription(entity)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop listening, and finish the frame in work; the pose is kept for the next
        activation."""
        self._deactivate()
        return TransitionCallbackReturn.SUCCESS

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Let go of the model and the topics."""
        self._release()
        return TransitionCallbackReturn.SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Let go of everything, from whatever state."""
        self._release()
        return TransitionCallbackReturn.SUCCESS

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Back to unconfigured."""
        self._release()
        return TransitionCallbackReturn.SUCCESS

    def destroy_node(self) -> None:
        """End the worker, then what rclpy holds: afterwards nobody sees the node any more."""
        self._deactivate()
        super().destroy_node()
        self._state_machine.destroy_when_not_in_use()  # rclpy forgets it, and it would keep the node in the graph until Python collects it

    @property
    def prompt_subscriptions(self) -> list[Subscription]:
        """The images, while somebody publishes them, and what is to be heard with them; all else
        can wait for a tenth of a second.

        Not with simulated time: latencies are told on /clock, which would wait too.
        """
        if self._active is None or self.get_parameter("use_sim_time").value:
            return []
        return self._active.subscriptions

    @property
    def state(self) -> NodeState:
        """What the node is doing, and why where it is not tracking."""
        if self._pipeline is None:
            return NodeState("unconfigured", self._problem)
        if self._active is None:
            return NodeState("inactive", self._problem)
        if self._paused:
            return NodeState("paused", "resume with the service ~/resume")
        return self._active.waiting or self._pipeline.state

    def _deactivate(self) -> None:
        if self._active is not None:
            self._active.close()
        self._active = None

    def _release(self) -> None:
        self._deactivate()
        if self._pipeline is not None:
            self._pipeline.close()
        self._pipeline = None

    def _watch(self) -> None:
        if self._active is not None:
            self._active.update(self._paused)
        if self._pipeline is not None:
            self._reporter.note_scale(self._pipeline.scale)
        if self._reporter.note(self.state):
            self._report()

    def _report(self) -> None:
        values = self._statistics.report()
        values["resident_memory_mib"] = f"{resident_memory_mib():.0f}"
        values["scale_mode"] = self.parameters.scale_mode
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
        if self._active is not None:
            values["image_topic"] = self._active.inputs.image.topic
            values["frames_waiting"] = str(len(self._active.queue))
            if self._active.speeds.topic:
                values["speed_topic"] = self._active.speeds.topic
            values["image_qos"] = self._active.inputs.image.reliability or "no publisher yet"
        self._reporter.publish(self.state, values)

    def _on_set_parameters(self, changes: list[Parameter]) -> SetParametersResult:
        try:
            parameters = changed(self.parameters, changes, configured=self._pipeline is not None)
        except InputError as error:
            return result(str(error))
        if parameters.diagnostics_period != self.parameters.diagnostics_period:
            self.destroy_timer(self._report_timer)
            self._report_timer = self.create_timer(
                parameters.diagnostics_period, self._report, clock=self._steady
            )
        self.parameters = parameters
        if self._pipeline is not None:
            self._pipeline.parameters = parameters
        if self._active is not None:
            self._active.change(parameters)
        return result()

    def _on_reset(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        if self._pipeline is None:
            return _answer(response, False, "the node is not configured")
        self._pipeline.reset()
        if self._active is not None:
            self._statistics.count("frames_dropped", self._active.queue.clear())
        self._statistics.count("resets")
        return _answer(
            response,
            True,
            f"the trajectory starts anew at the next image, in {self.parameters.odom_frame}",
        )

    def _on_pause(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        return self._set_paused(True, response)

    def _on_resume(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        return self._set_paused(False, response)

    def _set_paused(self, paused: bool, response: Trigger.Response) -> Trigger.Response:
        if self._active is None:
            return _answer(response, False, f"the node is {self.state.name}")
        self._paused = paused
        self._watch()
        return _answer(response, True, str(self.state))


def _answer(response: Trigger.Response, success: bool, message: str) -> Trigger.Response:
    response.success, response.message = success, message
    return response


def _run(node: OdometryNode) -> None:
    node.autostart()
    spin(node, lambda: node.prompt_subscriptions)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the node until a signal ends it; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog="All settings are ROS parameters: --ros-args -p NAME:=VALUE"
    )
    parse(parser, argv)
    return run_node(OdometryNode, _run, argv)


if __name__ == "__main__":
    raise SystemExit(main())
