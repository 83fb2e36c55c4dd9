"""Comparison of prepared models in turns, on a clock of the test's own."""

import itertools

import pytest
import torch

from sfm_odometry.backends import timing
from sfm_odometry.backends.timing import MAX_TURNS, MIN_TURNS, compare, processor_clock

EXAMPLES = {"depth": (torch.zeros(1),), "motion": (torch.zeros(1), torch.zeros(1))}


class Machine:
    """A clock, and models whose stages take given times on it."""

    def __init__(self, disturbances=()):
        self.now_s = 0.0
        self.calls = 0
        self._disturbances = iter(disturbances)

    def clock(self) -> float:
        return self.now_s

    def model(self, depth_s: float, motion_s: float):
        def stage(seconds):
            def compute(*_):
                self.calls += 1
                self.now_s += seconds * next(self._disturbances, 1.0)

            return compute

        return {"depth": stage(depth_s), "motion": stage(motion_s)}


def test_the_shortest_times_of_all_stages_are_summed():
    machine = Machine()
    found = compare([machine.model(3.0, 1.0), machine.model(2.0, 0.5)], EXAMPLES, machine.clock)
    assert found.values == pytest.approx((4.0, 2.5))
    assert found.settled
    assert machine.calls == 4 * MIN_TURNS


def test_other_programs_do_not_turn_the_order_round():
    """The faster model is disturbed in nine of ten of its calls, ten times its own time."""
    disturbances = [
        10.0 if stage >= 2 and turn % 10 else 1.0 for turn in range(MAX_TURNS) for stage in range(4)
    ]
    machine = Machine(disturbances)
    found = compare([machine.model(3.0, 1.0), machine.model(2.0, 0.5)], EXAMPLES, machine.clock)
    assert found.values == pytest.approx((4.0, 2.5))
    assert found.settled
    assert machine.calls == 4 * 11  # until its undisturbed time was reached twice


def test_times_that_never_repeat_are_not_settled():
    machine = Machine(1.2**count for count in itertools.count())
    found = compare([machine.model(3.0, 1.0)], EXAMPLES, machine.clock)
    assert not found.settled
    assert machine.calls == 2 * MAX_TURNS


def test_one_thread_is_timed_by_its_own_processor_time(monkeypatch):
    monkeypatch.setattr(timing.torch, "get_num_threads", lambda: 1)
    assert processor_clock() is timing.time.thread_time
    monkeypatch.setattr(timing.torch, "get_num_threads", lambda: 2)
    assert processor_clock() is timing.time.perf_counter
