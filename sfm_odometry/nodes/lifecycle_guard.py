"""Guard of a lifecycle node's service that changes its state.

Up to Jazzy, rclpy lets the error of a transition that does not fit the state out of the service's
callback, which ends the process.
"""

from collections.abc import Callable
from typing import Any

from lifecycle_msgs.srv import ChangeState
from rclpy.lifecycle import LifecycleNode

ChangeStateCallback = Callable[[ChangeState.Request, ChangeState.Response], ChangeState.Response]


def guard_transitions(node: LifecycleNode) -> None:
    """Make the node refuse transitions that do not fit its state, with a warning, and stay alive.

    rclpy of Humble to Kilted has no public way to this; without its service nothing is done.
    """
    service: Any = getattr(node, "_service_change_state", None)
    if service is not None:
        service.callback = guarded(node, service.callback)


def guarded(node: LifecycleNode, change_state: ChangeStateCallback) -> ChangeStateCallback:
    """Returns the callback that refuses what does not fit, and calls `change_state` otherwise."""

    def callback(
        request: ChangeState.Request, response: ChangeState.Response
    ) -> ChangeState.Response:
        transition = request.transition
        machine = node._state_machine
        _, state = machine.current_state
        fitting = [(item[0], item[1]) for item in machine.available_transitions]
        wanted = transition.label or transition.id
        known = [label if transition.label else number for number, label in fitting]
        response.success = False
        if wanted not in known:
            names = ", ".join(f"{label} ({number})" for number, label in fitting)
            node.get_logger().warning(
                f"transition {wanted} refused: the node is {state}, expected one of: {names}"
            )
            return response
        try:
            return change_state(request, response)
        except Exception as error:  # an error out of a service's callback ends the process
            node.get_logger().error(f"transition {wanted} failed: {error}")
            response.success = False
            return response

    return callback
