"""Makes .venv: what `make setup` runs, and every other make target before its own work.

Started by any Python 3, it picks a Python of 3.10 to 3.13, checks that the system has what the long
part needs, creates .venv, installs the versions of constraints.txt, builds tf2_msgs and puts the
drop-ins beside what pip installed. Where a ROS 2 is sourced whose rclpy that Python imports, .venv
looks through to it and no ROS 2 is installed. A stamp in .venv makes the second call a matter of a
moment.
"""

import argparse
import contextlib
import fcntl
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ENVIRONMENT = ROOT / ".venv"
PYTHON = ENVIRONMENT / "bin" / "python"
STAMP = ENVIRONMENT / "setup-stamp.json"
CONSTRAINTS = ROOT / "constraints.txt"
TOOLS = ROOT / "tools"

SUPPORTED = ((3, 10), (3, 11), (3, 12), (3, 13))
ROS_REQUIREMENTS = (
    "ros-rclpy[fastrtps]",
    "ros-std-msgs",
    "ros-sensor-msgs",
    "ros-geometry-msgs",
    "ros-nav-msgs",
    "ros-std-srvs",
    "ros-diagnostic-msgs",
)
# Distribution by module: where a sourced ROS 2 has the module already, its own build stays (its
# cv_bridge is compiled against its NumPy).
REQUIREMENTS = {
    "numpy": "numpy",
    "cv2": "opencv-python-headless",
    "yaml": "PyYAML",
    "matplotlib": "matplotlib",
    "tqdm": "tqdm",
    "transforms3d": "transforms3d",
    "torch": "torch",
    "rosbags": "rosbags",
}
TEST_REQUIREMENTS = (
    "pytest",
    "hypothesis",
    "safetensors",
    "ruff",
    "mypy",
    "types-PyYAML",
    "colcon-common-extensions",
    "setuptools",
)
# Second computations to test against. Not beside a sourced ROS 2: they want a newer NumPy than
# Humble's cv_bridge is compiled for.
ORACLES = ("kornia", "scikit-image")


class SetupError(Exception):
    """What is wrong with this machine and what to type about it."""


def main() -> int:
    parser = argparse.ArgumentParser(
        description="Make .venv with everything that sfm_odometry needs."
    )
    parser.add_argument(
        "--python",
        default="",
        help="the Python to use; by default that of .venv, else the first of 3.10 to 3.13",
    )
    arguments = parser.parse_args()
    try:
        with one_at_a_time():
            set_up(find_python(arguments.python))
    except SetupError as error:
        print("setup: {}".format(error), file=sys.stderr)
        return 2
    except subprocess.CalledProcessError as error:
        print(
            "setup: failed with exit code {}: {}".format(
                error.returncode, " ".join(map(str, error.cmd))
            ),
            file=sys.stderr,
        )
        return 1
    except KeyboardInterrupt:
        print("setup: stopped; the next call goes on from here", file=sys.stderr)
        return 130
    return 0


@contextlib.contextmanager
def one_at_a_time():
    """Two make targets at once set up once: the second waits, then finds the stamp. The lock is
    on this file, so nothing is left behind."""
    with open(__file__, "rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def find_python(wanted: str) -> str:
    """The path of the Python to build on. Raises SetupError when none of the supported versions
    is there."""
    # The one of .venv first: a Python that was once asked for stays without asking again.
    candidates = (
        [wanted]
        if wanted
        else [str(PYTHON), "python3"]
        + ["python{}.{}".format(*version) for version in reversed(SUPPORTED)]
    )
    seen = []
    for name in candidates:
        version = version_of(name)
        if version in SUPPORTED:
            # In a shell where .venv is activated, python3 is .venv's own: .venv is made from what
            # that was made from.
            return ask(name, "import sys; print(getattr(sys, '_base_executable', sys.executable))")
        if version:
            seen.append("{} is {}.{}".format(name, *version))
    found = ", ".join(seen) or "found no {}".format(wanted or "python3")
    raise SetupError(
        "needs Python 3.10, 3.11, 3.12 or 3.13 ({}): install one, or name one: make setup PYTHON=python3.12".format(
            found
        )
    )


def version_of(python: str):
    """(major, minor) of a Python, or None when it does not run."""
    if not shutil.which(python):
        return None
    answer = ask(python, "import sys; print(*sys.version_info[:2])")
    return tuple(map(int, answer.split())) if answer else None


def ask(python: str, program: str) -> str:
    """What a short Python program prints, or "" when it fails."""
    answer = subprocess.run(
        [str(python), "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        universal_newlines=True,
    )
    return answer.stdout.strip() if answer.returncode == 0 else ""


def set_up(python: str) -> None:
    """Bring .venv to what constraints.txt and these scripts say, unless its stamp shows that it
    is there already."""
    with_ros = has_ros(python)
    wanted = stamp(python, with_ros)
    if STAMP.is_file() and json.loads(STAMP.read_text()) == wanted:
        return
    started = time.monotonic()
    check_system(python, with_ros)
    if STAMP.is_file():
        STAMP.unlink()
    create_environment(python, wanted, with_ros)
    install_packages(with_ros)
    if not with_ros:
        run(
            PYTHON, TOOLS / "build_tf2_msgs.py", stdout=subprocess.DEVNULL
        )  # the generators name every file
    run(PYTHON, TOOLS / "install_dropins.py")
    STAMP.write_text(json.dumps(wanted))
    print("setup: .venv is ready after {:.0f} s".format(time.monotonic() - started))


def has_ros(python: str) -> bool:
    """Whether a sourced ROS 2 serves this Python. Raises SetupError when one is sourced that
    does not: the two would mix."""
    if ask(python, "import rclpy; print(1)"):
        return True
    if "ROS_DISTRO" in os.environ:
        raise SetupError(
            "ROS 2 {} is sourced, but {} cannot import its rclpy: name the Python that it was built for (PYTHON=/usr/bin/python3), "
            "or start from a shell without it".format(os.environ["ROS_DISTRO"], python)
        )
    return False


def stamp(python: str, with_ros: bool) -> dict:
    """What .venv depends on. The drop-ins are linked, not copied: a change inside one needs no
    set-up."""
    files = [
        CONSTRAINTS,
        *sorted(TOOLS.glob("*.py")),
        *sorted((ROOT / "ros_dropins").rglob("*.msg")),
    ]
    digest = hashlib.sha256(b"\0".join(path.read_bytes() for path in files)).hexdigest()
    real_path = ask(
        python, "import os, sys; print(os.path.realpath(sys.executable), sys.version.split()[0])"
    )
    return {
        "inputs": digest,
        "python": real_path,
        "ros": os.environ.get("ROS_DISTRO", "") if with_ros else "",
        "folder": str(ROOT),
    }


def check_system(python: str, with_ros: bool) -> None:
    """Name every missing system package before the minutes of downloading. Raises SetupError
    with the apt line that brings them."""
    version = "python{}.{}".format(*version_of(python))
    missing = {}
    if not ask(python, "import ensurepip, venv; print(1)"):
        missing[version + "-venv"] = "virtual environments"
    if not with_ros:
        if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
            raise SetupError(
                "ROS 2 is on the Python index for Linux x86-64 only, this is {} {}: install ROS 2 and source it first".format(
                    platform.system(), platform.machine()
                )
            )
        if not (shutil.which(os.environ.get("CC", "cc")) and shutil.which("g++")):
            missing["g++"] = "the compiler, which builds tf2_msgs"
        if not ask(
            python,
            "import os, sysconfig; print(os.stat(sysconfig.get_path('include') + '/Python.h') and 1)",
        ):
            missing[version + "-dev"] = "Python.h, which tf2_msgs is built with"
    if missing:
        needs = ", ".join("{} ({})".format(package, what) for package, what in missing.items())
        raise SetupError(
            "this machine lacks {}. Type: sudo apt install {}".format(needs, " ".join(missing))
        )


def create_environment(python: str, wanted: dict, with_ros: bool) -> None:
    """An environment of that Python; it sees the system's packages only where ROS 2 is among
    them. One that is there already stays."""
    configuration = ENVIRONMENT / "pyvenv.cfg"
    kind = "include-system-site-packages = {}".format(str(with_ros).lower())
    has_python = (
        ask(
            PYTHON,
            "import os, sys; print(os.path.realpath(sys.executable), sys.version.split()[0])",
        )
        if PYTHON.exists()
        else ""
    )
    if has_python == wanted["python"] and kind in configuration.read_text():
        return
    print(
        "setup: making .venv with {}{}".format(
            python, " and the ROS 2 that is sourced" if with_ros else ""
        )
    )
    run(
        python,
        "-m",
        "venv",
        "--clear",
        *(["--system-site-packages"] if with_ros else []),
        ENVIRONMENT,
    )


def install_packages(with_ros: bool) -> None:
    """Let pip install what is not there, at the versions of constraints.txt. Where it finds the
    packages is pip's own configuration."""
    requirements, constraints = list(REQUIREMENTS.values()), CONSTRAINTS
    if with_ros:
        requirements = [name for module, name in REQUIREMENTS.items() if not importable(module)]
        constraints = constraints_beside_ros()
    else:
        requirements += ROS_REQUIREMENTS + ORACLES
    print("setup: installing the packages of constraints.txt")
    pip_install = (
        PYTHON,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--use-pep517",
        "--constraint",
        constraints,
    )
    run(*pip_install, *requirements, *TEST_REQUIREMENTS)


def constraints_beside_ros() -> Path:
    """constraints.txt with the system's version of what the system has, so that pip lays nothing
    over it."""
    program = "import importlib.metadata as m, json; print(json.dumps({d.metadata['Name'].lower(): d.version for d in m.distributions()}))"
    present = json.loads(ask(PYTHON, program) or "{}")
    path = ENVIRONMENT / "constraints.txt"
    lines = CONSTRAINTS.read_text().splitlines()
    path.write_text(
        "\n".join(line for line in lines if line.split("==")[0].lower() not in present) + "\n"
    )
    return path


def importable(module: str) -> bool:
    return bool(ask(PYTHON, "import {}; print(1)".format(module)))


def run(*command, **options) -> None:
    subprocess.run([str(part) for part in command], check=True, cwd=str(ROOT), **options)


if __name__ == "__main__":
    sys.exit(main())
