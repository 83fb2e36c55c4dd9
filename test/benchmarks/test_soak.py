"""The long run with faults, here a short one, and that it finds what is wrong."""

import subprocess
from collections import Counter
from types import SimpleNamespace

import pytest

from benchmarks.soak.__main__ import ACCOUNTED, MEMORY_GROWTH_MIB, QUEUE_SIZE, judge
from benchmarks.soak.camera import FAULTS
from demo.processes import child_environment, python_command

FRAMES = 1000


def test_a_short_soak_ends_well() -> None:
    """In a process of its own: the memory is the node's."""
    command = python_command("benchmarks.soak", "--frames", str(FRAMES), "--seed", "3")
    soak = subprocess.run(
        command, env=child_environment(), capture_output=True, text=True, timeout=300
    )
    assert soak.returncode == 0, soak.stdout + soak.stderr
    assert soak.stdout.splitlines()[-1] == "soak: all is well"
    assert f"frames_received {FRAMES}" in soak.stdout
    assert all(f"{fault.__name__} " in soak.stdout for fault in FAULTS), "every fault came"


GOOD = (100.0, 4, 30)


def finished(**changes: object) -> SimpleNamespace:
    """A run that went well, but for the changes."""
    listener = {"messages": 10, "not_finite": 0, "quaternion_error": 1e-15, "longest_queue": 3}
    status = dict.fromkeys(("frames_received", *ACCOUNTED, "gaps", "clock_jumps", "losses"), 0) | {
        "frames_published": 9
    }
    listener |= {name: value for name, value in changes.items() if name in listener}
    status |= {name: value for name, value in changes.items() if name in status}
    return SimpleNamespace(listener=SimpleNamespace(status=status, **listener), faults=Counter())


def test_a_good_run_has_no_findings() -> None:
    assert judge(finished(), GOOD, GOOD) == []


@pytest.mark.parametrize(("changes", "finding"), [
    ({"not_finite": 1}, "not finite"), ({"quaternion_error": 1e-8}, "quaternions are not of unit length"),
    ({"longest_queue": QUEUE_SIZE + 1}, "the queue grew"), ({"frames_published": 0}, "nothing was published"),
    ({"inference_errors": 2}, "inference failed"),
])  # fmt: skip
def test_what_goes_wrong_is_found(changes: dict, finding: str) -> None:
    assert judge(finished(**changes), GOOD, GOOD) == [finding]


@pytest.mark.parametrize(("after", "finding"), [
    ((101.0 + MEMORY_GROWTH_MIB, 4, 30), "memory grew"), ((100.0, 5, 30), "threads leak"), ((100.0, 4, 31), "handles leak"),
])  # fmt: skip
def test_what_leaks_is_found(after: tuple, finding: str) -> None:
    assert judge(finished(), GOOD, after) == [finding]
