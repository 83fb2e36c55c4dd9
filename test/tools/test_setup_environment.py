"""Errors of set-up that are found before any long work."""

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
    shutil.copy(ROOT / "constraints.txt", tmp_path)
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
