"""Child processes and their ROS environment."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

from demo.processes import (
    WHEELS_GUARD,
    Child,
    ChildError,
    child_environment,
    domain_id,
    log_tail,
    ros_environment,
)
from sfm_odometry.errors import InputError


def start_python(code: str, tmp_path) -> Child:
    return Child(
        "worker",
        [sys.executable, "-c", code],
        tmp_path / "logs" / "worker.log",
        child_environment(),
    )


def wait_for_log(child: Child, text: str) -> None:
    deadline_s = time.monotonic() + 30
    while text not in log_tail(child.log_path):
        assert time.monotonic() < deadline_s, log_tail(child.log_path)
        time.sleep(0.02)


def has_ended(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_a_child_that_fails_is_reported_with_name_exit_code_and_end_of_its_log(tmp_path):
    with start_python("print('opening'); raise SystemExit('no such camera')", tmp_path) as child:
        assert child.wait(30)
        with pytest.raises(ChildError) as caught:
            child.check_success()
    first, *rest = str(caught.value).splitlines()
    assert "worker failed with exit code 1" in first
    assert str(child.log_path) in first
    assert [line.strip() for line in rest] == ["opening", "no such camera"]


def test_a_child_that_ends_too_early_is_an_error_even_with_exit_code_0(tmp_path):
    with start_python("pass", tmp_path) as child:
        assert child.wait(30)
        child.check_success()
        with pytest.raises(
            ChildError, match=r"ended too early with exit code 0; its log is .* and is empty"
        ):
            child.check_alive()


def test_a_child_gets_sigint_first_and_its_exit_code_is_returned(tmp_path):
    code = """
import time
try:
    print("ready"); time.sleep(60)
except KeyboardInterrupt:
    print("interrupted")
"""
    with start_python(code, tmp_path) as child:
        wait_for_log(child, "ready")
        assert child.running()
        assert child.stop() == 0
    assert "interrupted" in log_tail(child.log_path)


def test_a_child_that_ignores_signals_is_killed(tmp_path, monkeypatch):
    monkeypatch.setattr("demo.processes.INTERRUPT_TIMEOUT_S", 0.2)
    monkeypatch.setattr("demo.processes.TERMINATE_TIMEOUT_S", 0.2)
    code = """
import signal, time
signal.signal(signal.SIGINT, signal.SIG_IGN); signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready"); time.sleep(60)
"""
    with start_python(code, tmp_path) as child:
        wait_for_log(child, "ready")
        assert child.stop() == -signal.SIGKILL


def test_no_child_outlives_its_block_when_the_block_is_interrupted(tmp_path):
    with (
        pytest.raises(KeyboardInterrupt),
        start_python("import time; print('ready'); time.sleep(60)", tmp_path) as child,
    ):
        wait_for_log(child, "ready")
        raise KeyboardInterrupt
    assert not child.running()
    assert has_ended(child.pid)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_the_child_is_started_ends_the_child(tmp_path, monkeypatch, number):
    started = []

    def start_and_signal(*arguments, **named):
        started.append(popen(*arguments, **named))
        signal.raise_signal(number)  # before the caller has the process
        return started[0]

    popen = subprocess.Popen
    monkeypatch.setattr("demo.processes.subprocess.Popen", start_and_signal)
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with (
            pytest.raises(KeyboardInterrupt),
            start_python("import time; time.sleep(60)", tmp_path),
        ):
            pytest.fail("the block of an interrupted child began")
        assert signal.getsignal(signal.SIGTERM) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGTERM, before)
    assert has_ended(started[0].pid)


def test_a_second_interrupt_while_stopping_still_ends_the_child(tmp_path):
    code = """
import signal, time
signal.signal(signal.SIGINT, signal.SIG_IGN)
print("ready"); time.sleep(60)
"""
    with start_python(code, tmp_path) as child:
        wait_for_log(child, "ready")
        timer = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT))
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            child.stop()
        timer.join()
    assert has_ended(child.pid)


def test_only_the_last_lines_of_a_long_log_are_shown(tmp_path):
    log = tmp_path / "log"
    log.write_text("".join(f"line {number}\n" for number in range(100)))
    assert log_tail(log, lines=2).split() == ["line", "98", "line", "99"]
    assert log_tail(tmp_path / "missing") == ""


def test_children_do_not_inherit_the_guard_of_the_ros_wheels(monkeypatch):
    monkeypatch.setenv(WHEELS_GUARD, "1")
    assert WHEELS_GUARD not in child_environment()


def test_the_domain_of_the_environment_is_kept_and_a_bad_one_is_refused(monkeypatch):
    monkeypatch.setenv("ROS_DOMAIN_ID", "42")
    assert domain_id() == 42
    assert ros_environment()["ROS_DOMAIN_ID"] == "42"
    for bad in ("home", "-1", "300"):
        monkeypatch.setenv("ROS_DOMAIN_ID", bad)
        with pytest.raises(
            InputError, match=f"ROS_DOMAIN_ID='{bad}': expected a number from 0 to 232"
        ):
            domain_id()


def test_a_free_domain_is_chosen_where_none_is_set(monkeypatch):
    monkeypatch.delenv("ROS_DOMAIN_ID", raising=False)
    monkeypatch.setattr("random.sample", lambda population, count: [7, 8])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as participant:
        participant.bind(("", 7400 + 250 * 7))
        assert domain_id() == 8


def test_discovery_stays_on_this_machine():
    assert ros_environment()["ROS_AUTOMATIC_DISCOVERY_RANGE"] == "LOCALHOST"
