"""A short soak test, and the judgement of runs that went wrong."""

import subprocess
from collections import Counter
from dataclasses import replace
from types import SimpleNamespace

import pytest

from benchmarks.soak.__main__ import (
    MAX_MEMORY_GROWTH_MIB,
    PRINTED_COUNTERS,
    QUEUE_SIZE,
    ResourceUsage,
    judge,
)
from benchmarks.soak.camera import FAULTS
from demo.processes import child_environment, python_command

FRAMES = 400
SEED = 517
"""Draws every fault, a restart of the node and a change of the subscriptions in so few frames."""


def test_a_short_soak_ends_well() -> None:
    """Run in a process of its own, whose memory is the node's."""
    command = python_command("benchmarks.soak", "--frames", str(FRAMES), "--seed", str(SEED))
    soak = subprocess.run(
        command, env=child_environment(), capture_output=True, text=True, timeout=300
    )
    assert soak.returncode == 0, soak.stdout + soak.stderr
    assert soak.stdout.splitlines()[-1] == "soak: all is well"
    assert f"frames_received {FRAMES}" in soak.stdout
    faults = [*(fault.__name__ for fault in FAULTS), "listeners come or go", "stopped and started"]
    assert all(f"{fault} " in soak.stdout for fault in faults), "every fault came"


USAGE = ResourceUsage(memory_mib=100.0, threads=4, handles=30)


def finished_monitor(**changes: object) -> SimpleNamespace:
    """Returns the monitor of a run that went well, but for the changes."""
    observations: dict[str, object] = {
        "messages": 10,
        "not_finite": 0,
        "quaternion_error": 1e-15,
        "max_queue_length": 3,
    }
    status: dict[str, object] = dict.fromkeys(PRINTED_COUNTERS, 0) | {"frames_published": 9}
    observations |= {name: value for name, value in changes.items() if name in observations}
    status |= {name: value for name, value in changes.items() if name in status}
    return SimpleNamespace(status=status, **observations)


def test_a_good_run_has_no_findings() -> None:
    assert judge(finished_monitor(), Counter(), USAGE, USAGE) == []


@pytest.mark.parametrize(
    ("changes", "finding"),
    [
        ({"not_finite": 1}, "not finite"),
        ({"quaternion_error": 1e-8}, "quaternions are not of unit length"),
        ({"max_queue_length": QUEUE_SIZE + 1}, "the queue grew"),
        ({"frames_published": 0}, "nothing was published"),
        ({"inference_errors": 2}, "inference failed"),
    ],
)
def test_wrong_output_is_found(changes: dict, finding: str) -> None:
    assert judge(finished_monitor(**changes), Counter(), USAGE, USAGE) == [finding]


@pytest.mark.parametrize(
    ("changes", "finding"),
    [
        ({"memory_mib": 101.0 + MAX_MEMORY_GROWTH_MIB}, "memory grew"),
        ({"threads": 5}, "threads leak"),
        ({"handles": 31}, "handles leak"),
    ],
)
def test_leaks_are_found(changes: dict, finding: str) -> None:
    after = replace(USAGE, **changes)
    assert judge(finished_monitor(), Counter(), USAGE, after) == [finding]
