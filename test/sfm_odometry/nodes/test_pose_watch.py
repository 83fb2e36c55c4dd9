"""Time without a new pose: clocks, levels and reasons, by hand and in the real node."""

import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo

from sfm_odometry.errors import InputError
from sfm_odometry.nodes.conversions import ns_to_stamp
from sfm_odometry.nodes.diagnostics import NodeState
from sfm_odometry.nodes.pose_watch import PoseWatch

START_NS = 1_700_000_000_000_000_000
STEP_NS = 100_000_000
SMALL = {"diagnostics.warn_after": 0.3, "diagnostics.error_after": 0.6}
"""Limits that are exceeded soon; without poses they are exceeded on any machine."""


class Clocks:
    """A steady and a simulated clock that are set by hand, seconds."""

    def __init__(self, simulated_s: float | None = None) -> None:
        self.steady_s = 100.0
        self.simulated_s = simulated_s

    def watch(self) -> PoseWatch:
        return PoseWatch(lambda: self.simulated_s, lambda: self.steady_s)


def judged(watch: PoseWatch, name: str = "tracking") -> NodeState:
    return watch.judge(NodeState(name), warn_after_s=2.0, error_after_s=10.0)


def test_levels_rise_with_the_time_without_a_pose_and_a_pose_ends_them() -> None:
    clocks = Clocks()
    watch = clocks.watch()
    watch.add_obstacle("refused", "frames refused: encoding 'x'")
    levels = []
    for _ in range(12):
        clocks.steady_s += 1.0
        watch.advance(0, max_step_s=1.0)
        levels.append(judged(watch).severity)
    ok, warn, error = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR
    assert levels == [ok] + [warn] * 8 + [error] * 3
    assert str(judged(watch)) == "no_pose: no new pose for 12 s: frames refused: encoding 'x'"
    watch.restart()
    assert judged(watch) == NodeState("tracking")


def test_simulated_time_that_stands_still_is_no_time_without_a_pose() -> None:
    clocks = Clocks(simulated_s=50.0)
    watch = clocks.watch()
    for _ in range(100):  # a bag that is paused
        clocks.steady_s += 1.0
        watch.advance(7, max_step_s=1.0)
    assert watch.elapsed_s <= 1.0  # the first look finds seven frames
    clocks.simulated_s = 53.0
    for _ in range(3):
        clocks.simulated_s += 1.0
        watch.advance(7, max_step_s=1.0)
    assert 3.0 <= watch.elapsed_s <= 4.0


def test_a_clock_that_jumps_is_no_time_without_a_pose() -> None:
    clocks = Clocks(simulated_s=50.0)
    watch = clocks.watch()
    for simulated_s in (1e6, 10.0, 2e6, 5.0):
        clocks.simulated_s = simulated_s
        watch.advance(0, max_step_s=0.5)
    assert watch.elapsed_s == 1.0


def test_frames_count_where_simulated_time_has_stopped_or_never_began() -> None:
    stopped = Clocks(simulated_s=50.0)
    never = Clocks()
    for clocks in (stopped, never):
        watch = clocks.watch()
        for received in range(1, 31):
            clocks.steady_s += 0.1
            watch.advance(received, max_step_s=1.0)
        assert watch.elapsed_s == pytest.approx(3.0)


def test_the_reason_is_the_newest_of_the_most_frequent_kind() -> None:
    watch = Clocks().watch()
    assert watch.reason == ""
    for index in range(30):
        watch.add_obstacle("refused", f"refusal {index}")
    for index in range(7):
        watch.add_obstacle("gap", f"gap {index}")
        watch.add_obstacle("lost", "once") if index == 3 else None
    assert watch.reason == "gap 6"


def test_states_of_a_missing_input_keep_their_name_and_say_what_was_before() -> None:
    clocks = Clocks()
    watch = clocks.watch()
    watch.add_obstacle("gap", "frames come every 0.53 s")
    clocks.steady_s += 20.0
    watch.advance(0, max_step_s=20.0)
    state = watch.judge(NodeState("waiting_image", "no image"), 2.0, 10.0)
    assert str(state) == "waiting_image: no image; before that: frames come every 0.53 s"
    assert state.severity == DiagnosticStatus.ERROR
    assert judged(watch, "lost").name == "lost"


def worst(rig, words: str) -> tuple[bytes, str]:
    """Wait for a status with the words; returns its level and the state."""
    rig.spinner.until(
        lambda: any(words in array.status[0].message for array in rig.received.status),
        f"'{words}' in the status, is {rig.node.state}",
    )
    status = next(a.status[0] for a in rig.received.status if words in a.status[0].message)
    return status.level, {pair.key: pair.value for pair in status.values}["state"]


@pytest.mark.parametrize(
    ("before", "changes", "words"),
    [
        (0, {"encoding": "16UC9"}, "frames refused: encoding '16UC9'"),
        (6, {"encoding": "32FC1", "step": 424 * 4}, "frames refused: "),
        (6, {"width": 212, "height": 68, "step": 636}, "frames refused: "),
        (6, {"step": 3}, "frames refused: "),
    ],
)
def test_refused_frames_are_no_tracking(rig, before: int, changes: dict, words: str) -> None:
    rig.start(**SMALL)
    for index in range(before):
        rig.send(index)
    rig.spinner.until(lambda: len(rig.received.odom) == before)
    for index in range(before, before + 3):
        rig.send(index, **changes)
    level, state = worst(rig, words)
    assert state == "no_pose" and level in (DiagnosticStatus.WARN, DiagnosticStatus.ERROR)
    rig.spinner.until(lambda: rig.node.state.severity == DiagnosticStatus.ERROR, "an error")
    rig.spinner.until(lambda: rig.logged("state: no_pose: no new pose for"))


def test_a_stamp_that_stands_still_is_no_tracking(rig) -> None:
    rig.start(**SMALL)
    for index in range(6):
        rig.send(index)
    for _ in range(4):
        rig.send(5, START_NS + 5 * STEP_NS)
    assert worst(rig, "frames refused: equal stamp")[1] == "no_pose"
    for index in range(6, 8):
        rig.send(index)
    rig.spinner.until(lambda: len(rig.received.odom) == 8)


def test_a_gap_at_every_pair_names_the_period_and_the_limit(rig) -> None:
    rig.start(**SMALL)
    for index in range(6):
        rig.send(index, START_NS + index * 526_000_000)
    words = "frames come every 0.53 s, more than window.max_gap 0.5 s"
    assert worst(rig, words)[1] == "no_pose"


def test_losses_in_a_row_are_lost_and_then_an_error(rig) -> None:
    rig.start(**SMALL)
    rig.spinner.until(lambda: rig.node.pipeline is not None)
    rig.node.pipeline._odometry.params = rig.node.pipeline._odometry.params.__class__(
        max_turn_rate_deg=1e-4
    )
    for index in range(8):
        rig.send(index)
    # A slow machine passes the limits of time before it has lost the track.
    rig.spinner.until(
        lambda: (rig.node.state.name, rig.node.state.severity) == ("lost", DiagnosticStatus.ERROR),
        "an error",
    )
    assert "not plausible" in rig.node.state.reason


def test_a_bad_camera_info_in_the_middle_becomes_an_error(rig) -> None:
    rig.start(**SMALL)
    for index in range(6):
        rig.send(index)
    rig.spinner.until(lambda: len(rig.received.odom) == 6)
    rig.other_info = CameraInfo(width=424, height=136)
    rig.send(6)
    rig.wait_for_state("waiting_camera_info")
    rig.spinner.until(lambda: rig.node.state.severity == DiagnosticStatus.ERROR, "an error")
    assert "K and P are zero" in rig.node.state.reason


def test_a_pause_is_no_time_without_a_pose(rig) -> None:
    rig.start(**SMALL, **{"diagnostics.period": 0.1})
    for index in range(6):
        rig.send(index)
    rig.spinner.until(lambda: len(rig.received.odom) == 6)
    rig.trigger("pause")
    for _ in range(10):
        rig.status()
    watch = rig.node.pipeline.pose_watch
    assert watch.elapsed_s == 0.0 and rig.node.state.name == "paused"


def test_a_simulated_clock_that_is_paused_keeps_the_state(rig) -> None:
    rig.start(
        use_sim_time=True,
        **{
            "diagnostics.warn_after": 0.5,
            "diagnostics.error_after": 1.0,
            "diagnostics.period": 0.2,
        },
    )
    clock = rig.camera.create_publisher(Clock, "/clock", 10)
    rig.spinner.until(lambda: clock.get_subscription_count() >= 1)
    clock.publish(Clock(clock=ns_to_stamp(START_NS)))
    rig.spinner.until(lambda: rig.node.get_clock().now().nanoseconds == START_NS)
    for index in range(6):
        rig.send(index)
    rig.spinner.until(lambda: len(rig.received.odom) == 6)
    for _ in range(6):  # a second by the steady clock
        rig.status()
    assert rig.node.pipeline.pose_watch.elapsed_s < 0.5
    assert rig.node.state.name == "tracking"


def test_the_error_limit_is_not_below_the_warning_limit(rig) -> None:
    with pytest.raises(InputError, match="error_after must not be less than"):
        rig.start(**{"diagnostics.warn_after": 5.0, "diagnostics.error_after": 1.0})


@pytest.mark.parametrize("offset_s", [-3, 60])
def test_two_clocks_on_one_topic_are_no_tracking(rig, offset_s: int) -> None:
    rig.start(**SMALL)
    for index in range(8):
        rig.send(index, START_NS + index * STEP_NS + index % 2 * offset_s * 1_000_000_000)
    rig.spinner.until(lambda: rig.count("frames_processed") == 8)
    rig.wait_for_state("no_pose")
    assert "clock jumped" in rig.node.state.reason
