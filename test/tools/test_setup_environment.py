"""Errors of set-up that are found before any long work."""

import fcntl
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BASE_PYTHON = getattr(sys, "_base_executable", sys.executable)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """Files that set-up needs, in a folder without .venv."""
    for name in ("tools", "ros_dropins"):
        shutil.copytree(ROOT / name, tmp_path / name)
    for path in ROOT.glob("constraints*.txt"):
        shutil.copy(path, tmp_path)
    (tmp_path / "bin").mkdir()
    return tmp_path


def set_up(clone: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess:
    """Run set-up with only the programs of clone/bin on the path."""
    environment = {"PATH": str(clone / "bin"), "HOME": str(clone), **variables}
    script = [BASE_PYTHON, clone / "tools" / "setup_environment.py", *arguments]
    return subprocess.run(script, env=environment, capture_output=True, text=True, timeout=60)


def add_program(clone: Path, name: str, text: str) -> None:
    (clone / "bin" / name).write_text(f"#!/bin/sh\n{text}\n")
    (clone / "bin" / name).chmod(0o755)


def test_missing_compiler_is_named_with_its_apt_line(clone: Path) -> None:
    result = set_up(clone, "--python", BASE_PYTHON)
    assert result.returncode == 2
    assert "sudo apt install g++" in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert not (clone / ".venv").exists()


def test_python_of_the_wrong_version_is_named(clone: Path) -> None:
    add_program(clone, "python3", "echo 3 9")
    result = set_up(clone)
    assert result.returncode == 2
    assert "needs Python 3.10, 3.11, 3.12 or 3.13 (python3 is 3.9)" in result.stderr


def test_a_supported_python_is_found_after_one_that_is_too_old(clone: Path) -> None:
    add_program(clone, "python3", "echo 3 9")
    add_program(clone, f"python3.{sys.version_info.minor}", f'exec "{BASE_PYTHON}" "$@"')
    assert "g++" in set_up(clone).stderr  # the next thing missing


def test_a_python_that_does_not_exist_is_named(clone: Path) -> None:
    result = set_up(clone, "--python", "python9")
    assert result.returncode == 2
    assert "found no python9" in result.stderr


def test_a_sourced_ros_for_another_python_is_refused(clone: Path) -> None:
    result = set_up(clone, "--python", BASE_PYTHON, ROS_DISTRO="jazzy")
    assert result.returncode == 2
    assert "ROS 2 jazzy is sourced" in result.stderr


def test_a_python_that_only_pyenv_has_is_found(clone: Path) -> None:
    name = f"python3.{sys.version_info.minor}"
    add_program(clone, name, "echo pyenv: command not found >&2; exit 127")  # a shim without one
    folder = clone / ".pyenv" / "versions" / "3" / "bin"
    folder.mkdir(parents=True)
    (folder / name).write_text(f'#!/bin/sh\nexec "{BASE_PYTHON}" "$@"\n')
    (folder / name).chmod(0o755)
    assert "g++" in set_up(clone, "--python", name).stderr  # the next thing missing


def test_wheels_of_another_distribution_are_not_mixed_with_a_sourced_ros(clone: Path) -> None:
    (clone / "rclpy.py").touch()
    variables = {"PYTHONPATH": str(clone), "ROS_DISTRO": "humble"}
    result = set_up(clone, "--python", BASE_PYTHON, "--distribution", "jazzy", **variables)
    assert result.returncode == 3  # .ci/run goes on
    assert "a ROS 2 is sourced (humble)" in result.stderr


def test_a_second_set_up_waits_and_says_so(clone: Path) -> None:
    script = clone / "tools" / "setup_environment.py"
    command = [BASE_PYTHON, str(script), "--python", "python9"]
    with script.open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        second = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert second.stdout is not None
        assert "waiting for another set-up" in second.stdout.readline()
    _, errors = second.communicate(timeout=60)
    assert second.returncode == 2 and "found no python9" in errors


def add_compiler_and_python(clone: Path, pip: str) -> None:
    """Give the clone what set-up checks for, and a .venv whose pip runs the shell lines `pip`."""
    for name in ("cc", "g++"):
        add_program(clone, name, "exit 0")
    folder = clone / ".venv" / "bin"
    folder.mkdir(parents=True)
    (clone / ".venv" / "pyvenv.cfg").write_text("include-system-site-packages = false\n")
    (folder / "python").write_text(
        f'#!/bin/sh\nif [ "$2" = pip ]; then\n{pip}\nfi\nexec "{BASE_PYTHON}" "$@"\n'
    )
    (folder / "python").chmod(0o755)


def test_without_a_network_one_line_says_what_to_check(clone: Path) -> None:
    add_compiler_and_python(clone, pip="echo no route to the index >&2; exit 1")
    result = set_up(clone, "--python", BASE_PYTHON)
    assert result.returncode == 2, result.stderr
    assert "no route to the index" in result.stderr
    assert "check the network and the package index" in result.stderr.splitlines()[-1]
    assert not (clone / ".venv" / "setup-stamp.json").exists()


def test_a_damaged_stamp_is_no_stamp(clone: Path) -> None:
    add_compiler_and_python(clone, pip="exit 1")
    (clone / ".venv" / "setup-stamp.json").write_text('{"inputs": ')
    result = set_up(clone, "--python", BASE_PYTHON)
    assert result.returncode == 2 and "Traceback" not in result.stderr
    assert "installing the packages of constraints.txt" in result.stdout


def test_each_distribution_has_its_own_versions_and_no_other_file_has_them() -> None:
    names = {}
    for distribution in ("kilted", "jazzy"):
        text = (ROOT / f"constraints-{distribution}.txt").read_text()
        names[distribution] = set(re.findall(r"^(\S+)==", text, re.M))
        assert all(name.startswith("ros-") for name in names[distribution])
        assert {"ros-rclpy", "ros-sensor-msgs"} <= names[distribution]
    assert not re.search(r"^ros-", (ROOT / "constraints.txt").read_text(), re.M)
