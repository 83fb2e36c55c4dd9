"""Stamps of another clock: offsets, jumps, and what the node says and measures."""

import time

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticStatus

from sfm_odometry.nodes.conversions import NANOSECONDS, stamp_to_ns
from sfm_odometry.nodes.stamp_clock import StampCheck, StampClock, seconds_text
from sfm_odometry.nodes.statistics import MissingFrameCounter

NOW_NS = 1_800_000_000 * NANOSECONDS
STEP_NS = 100_000_000


@pytest.mark.parametrize(
    ("offset_s", "words"),
    [
        (1234.5 - 1.8e9, "stamps are 1.8e9 s behind the node's clock"),
        (3600.0, "stamps are 3600 s ahead of the node's clock"),
        (-7200.0, "stamps are 7200 s behind the node's clock"),
        (12.0, "stamps are 12.0 s ahead of the node's clock"),
        (-9.0, ""),
        (0.5, ""),
    ],
)
def test_an_offset_beyond_any_latency_is_described(offset_s: float, words: str) -> None:
    check = StampClock().check(round(NOW_NS + offset_s * NANOSECONDS), NOW_NS, 5.0)
    assert check.problem.startswith(words) and bool(check.problem) == bool(words)
    assert check.is_plausible == (not words)
    if words:
        assert check.problem.endswith("another clock, or use_sim_time")


def test_without_a_clock_or_a_stamp_nothing_is_claimed() -> None:
    clock = StampClock()
    assert clock.check(NOW_NS, 0, 0.0).problem == ""  # simulated time that has not begun
    assert clock.check(0, NOW_NS, 0.0).problem == ""


def test_a_clock_that_is_set_forward_is_a_jump_and_a_pause_is_none() -> None:
    clock = StampClock()
    stamps_and_arrivals = [(0.0, 0.0), (0.1, 0.1), (60.1, 60.1), (3660.2, 60.2), (5.0, 60.3)]
    runs = [
        clock.check(round((1e4 + stamp_s) * NANOSECONDS), NOW_NS, arrived_s).clock_run
        for stamp_s, arrived_s in stamps_and_arrivals
    ]
    assert runs == [0, 0, 0, 1, 1]


def checks(stamps_s: list[float], arrivals_s: list[float]) -> list[StampCheck]:
    """Checks of images on a node's clock that agrees with the stamps' at 0 s."""
    clock = StampClock()
    return [
        clock.check(
            NOW_NS + round(stamp_s * NANOSECONDS),
            NOW_NS + round(arrived_s * NANOSECONDS),
            arrived_s,
        )
        for stamp_s, arrived_s in zip(stamps_s, arrivals_s, strict=True)
    ]


def test_a_delay_that_grows_is_no_other_clock() -> None:
    """A video of 10 Hz that is taken at 4 Hz, and a sender that sleeps for a minute."""
    stamps_s = [0.1 * index for index in range(200)]
    slow = checks(stamps_s, [0.25 * index for index in range(200)])
    assert all(check.is_plausible for check in slow)
    assert slow[60].problem == ""
    assert slow[-1].problem.startswith(
        "images come 29.9 s after their stamps, and did not at first"
    )
    asleep = checks([0.0, 0.1, 0.2], [0.0, 60.1, 60.2])
    assert [check.problem[:17] for check in asleep] == [
        "",
        "images come 60.0 ",
        "images come 60.0 ",
    ]


@pytest.mark.parametrize(
    ("stamps_s", "arrivals_s"),
    [
        ([0.0, -60.0, -59.9], [0.0, 0.1, 0.2]),  # the camera's clock is set back
        ([0.0, -60.0, -59.9], [0.0, 60.0, 60.1]),  # the same, after a pause
        ([-60.0, -59.9, -59.8], [0.0, 0.1, 0.2]),  # another clock from the start
    ],
)
def test_a_clock_that_is_set_is_no_delay(stamps_s: list[float], arrivals_s: list[float]) -> None:
    for check in checks(stamps_s, arrivals_s)[1:]:
        assert not check.is_plausible
        assert check.problem.endswith("another clock, or use_sim_time")


def test_a_node_clock_that_is_set_is_no_delay() -> None:
    clock = StampClock()
    clock.check(NOW_NS, NOW_NS, 0.0)
    check = clock.check(NOW_NS + STEP_NS, NOW_NS + STEP_NS + 3600 * NANOSECONDS, 0.1)
    assert check.problem.startswith("stamps are 3600 s behind the node's clock")


def test_a_jump_of_the_clock_is_no_missing_frame() -> None:
    counter = MissingFrameCounter()
    for index in range(8):
        counter.add(1234 * NANOSECONDS + index * STEP_NS)
    for index in range(8):
        counter.add(NOW_NS + index * STEP_NS, clock_jumped=index == 0)
    assert counter.missing == 0
    counter.add(NOW_NS + 9 * STEP_NS)
    assert counter.missing == 1


def test_durations_in_words() -> None:
    texts = [seconds_text(value) for value in (12.34, 3600.0, 1.79577e9)]
    assert texts == ["12.3 s", "3600 s", "1.8e9 s"]


def values(rig) -> dict[str, str]:
    return {pair.key: pair.value for pair in rig.received.status[-1].status[0].values}


@pytest.mark.parametrize("offset_s", [-1.7e9, 3600.0, 1e5])
def test_stamps_of_another_clock_are_a_warning_and_no_latency(rig, offset_s: float) -> None:
    rig.start(**{"diagnostics.period": 0.1})
    start_ns = time.time_ns() + round(offset_s * NANOSECONDS)
    for index in range(6):
        rig.send(index, start_ns + index * STEP_NS)
    rig.spinner.until(lambda: len(rig.received.odom) == 6)
    rig.spinner.until(
        lambda: (
            rig.received.status
            and rig.received.status[-1].status[0].message.startswith("tracking: stamps are")
        )
    )
    status = rig.received.status[-1].status[0]
    assert status.level == DiagnosticStatus.WARN and values(rig)["state"] == "tracking"
    assert {
        pair.value
        for array in rig.received.status
        for pair in array.status[0].values
        if pair.key == "latency_ms_max"
    } == {"0.00"}
    rig.spinner.until(lambda: rig.logged("another clock, or use_sim_time"))
    # Transforms stay with the images.
    stamps = [stamp_to_ns(t.header.stamp) for m in rig.received.tf for t in m.transforms]
    assert min(stamps) == start_ns


def test_a_clock_that_is_set_is_named_and_no_loss(rig) -> None:
    rig.start()
    for index in range(8):
        rig.send(index, 1234 * NANOSECONDS + index * STEP_NS)
    rig.spinner.until(lambda: len(rig.received.odom) == 8)
    now_ns = time.time_ns()
    for index in range(8):
        rig.send(index, now_ns + index * STEP_NS)
    rig.spinner.until(lambda: len(rig.received.odom) == 16)
    rig.spinner.until(lambda: rig.logged("clock jumped forward"))
    status = rig.status()
    assert (status["frames_missing"], status["clock_jumps"], status["gaps"]) == ("0", "1", "0")
    assert not any("node's clock" in doubt for doubt in rig.node.state.doubts)
    # The pose goes on with a covariance that a filter can use.
    covariance = np.reshape(rig.received.odom[-1].pose.covariance, (6, 6))
    assert np.trace(covariance) < 1e3
