"""Transitions that do not fit the state: refused with a warning, and the node stays alive."""

from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState

from sfm_odometry.nodes.lifecycle_guard import guarded


def change(rig, number: int = 0, label: str = "") -> bool:
    request = ChangeState.Request(transition=Transition(id=number, label=label))
    client = rig.listener.create_client(ChangeState, "/sfm_odometry/change_state")
    return rig.spinner.call(client, request).success


def lifecycle_state(rig) -> int:
    client = rig.listener.create_client(GetState, "/sfm_odometry/get_state")
    return rig.spinner.call(client, GetState.Request()).current_state.id


def test_what_does_not_fit_is_refused_with_a_warning_and_what_fits_works(rig) -> None:
    rig.start(autostart=False)
    assert not change(rig, Transition.TRANSITION_ACTIVATE)
    rig.spinner.until(lambda: rig.logged("refused: the node is unconfigured, expected one of: con"))
    assert not change(rig, label="activate")
    assert not change(rig, label="fly")
    assert not change(rig, 250)
    assert lifecycle_state(rig) == State.PRIMARY_STATE_UNCONFIGURED
    assert change(rig, label="configure")
    assert lifecycle_state(rig) == State.PRIMARY_STATE_INACTIVE
    assert not change(rig, Transition.TRANSITION_CONFIGURE)
    assert change(rig, Transition.TRANSITION_CLEANUP)


def test_an_error_of_rclpy_does_not_leave_the_callback(rig) -> None:
    rig.start(autostart=False)

    def as_in_jazzy(request: ChangeState.Request, response: ChangeState.Response) -> None:
        raise RuntimeError("Transition is not registered.")

    request = ChangeState.Request(transition=Transition(id=Transition.TRANSITION_CONFIGURE))
    response = guarded(rig.node, as_in_jazzy)(request, ChangeState.Response(success=True))
    assert not response.success
    rig.spinner.until(lambda: rig.logged("transition 1 failed: Transition is not registered."))
