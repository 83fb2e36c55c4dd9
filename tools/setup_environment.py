"""Set-up of .venv, run by `make setup` and by every other make target before its own work.

Any Python 3 can start it. It picks a Python of 3.10 to 3.13, checks the required system packages,
creates .venv, installs the versions of constraints.txt, builds tf2_msgs and links the drop-ins.
Where a ROS 2 is sourced whose rclpy that Python imports, .venv sees the system's packages, and no
ROS 2 is installed. A stamp in .venv lets the next call end at once.
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
# Distribution by module. Where a sourced ROS 2 has the module, its own build stays: its cv_bridge
# is compiled against its NumPy.
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
    "pytest-xdist",
    "safetensors",
    "ruff",
    "mypy",
    "types-PyYAML",
    "colcon-common-extensions",
    "setuptools",
)
# Reference implementations for tests. Not with a sourced ROS 2: they need a newer NumPy than the
# one that Humble's cv_bridge is compiled for.
ORACLES = ("kornia", "scikit-image")


# Prints the real path and the version of a Python.
PATH_AND_VERSION = "import os, sys; print(os.path.realpath(sys.executable), sys.version.split()[0])"
# Succeeds where a Python has its headers.
HAS_HEADERS = (
    "import os, sysconfig; print(os.stat(sysconfig.get_path('include') + '/Python.h') and 1)"
)
# Prints the version of every installed distribution as JSON.
INSTALLED_VERSIONS = (
    "import importlib.metadata as m, json; "
    "print(json.dumps({d.metadata['Name'].lower(): d.version for d in m.distributions()}))"
)


class SetupError(Exception):
    """Problem of this machine, with the command that solves it."""


def main() -> int:
    """Run the set-up; returns the exit code: 0, 1, 2 for a SetupError, 130 for Ctrl-C."""
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
        with exclusive_lock():
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
def exclusive_lock():
    """Hold a lock that lets only one process set up.

    Of two make targets at once, the second waits and then finds the stamp. The lock is on this
    file and leaves nothing behind.
    """
    with open(__file__, "rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def find_python(wanted: str) -> str:
    """Returns the path of the Python to make .venv with; `wanted` is a name or "".

    Raises SetupError where no supported version is found.
    """
    # The Python of .venv comes first: one that was named in an earlier call stays.
    candidates = (
        [wanted]
        if wanted
        else [str(PYTHON), "python3"]
        + ["python{}.{}".format(*version) for version in reversed(SUPPORTED)]
    )
    unsupported = []
    for name in candidates:
        version = version_of(name)
        if version in SUPPORTED:
            # In a shell where .venv is activated, python3 is .venv's own: take its base.
            return ask(name, "import sys; print(getattr(sys, '_base_executable', sys.executable))")
        if version:
            unsupported.append("{} is {}.{}".format(name, *version))
    found = ", ".join(unsupported) or "found no {}".format(wanted or "python3")
    raise SetupError(
        "needs Python 3.10, 3.11, 3.12 or 3.13 ({}): install one, or name one: "
        "make setup PYTHON=python3.12".format(found)
    )


def version_of(python: str):
    """Returns (major, minor) of a Python, or None where it does not run."""
    if not shutil.which(python):
        return None
    answer = ask(python, "import sys; print(*sys.version_info[:2])")
    return tuple(map(int, answer.split())) if answer else None


def ask(python: str, program: str) -> str:
    """Returns the output of a short Python program, or "" where it fails."""
    answer = subprocess.run(
        [str(python), "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        universal_newlines=True,
    )
    return answer.stdout.strip() if answer.returncode == 0 else ""


def set_up(python: str) -> None:
    """Make or update .venv by constraints.txt and these scripts, unless its stamp is up to date."""
    # Compare the stamp.
    with_ros = has_ros(python)
    wanted = stamp(python, with_ros)
    if STAMP.is_file() and json.loads(STAMP.read_text()) == wanted:
        return

    # Make the environment and install everything.
    started = time.monotonic()
    check_system(python, with_ros)
    if STAMP.is_file():
        STAMP.unlink()
    create_environment(python, wanted, with_ros)
    install_packages(with_ros)
    if not with_ros:
        # Silent, since the generators print the name of every file.
        run(PYTHON, TOOLS / "build_tf2_msgs.py", stdout=subprocess.DEVNULL)
    run(PYTHON, TOOLS / "install_dropins.py")
    STAMP.write_text(json.dumps(wanted))
    print("setup: .venv is ready after {:.0f} s".format(time.monotonic() - started))


def has_ros(python: str) -> bool:
    """Whether this Python can import the rclpy of a sourced ROS 2.

    Raises SetupError where a ROS 2 is sourced whose rclpy it cannot import, since its packages
    would mix with those of .venv.
    """
    if ask(python, "import rclpy; print(1)"):
        return True
    if "ROS_DISTRO" in os.environ:
        raise SetupError(
            "ROS 2 {} is sourced, but {} cannot import its rclpy: name the Python that it was "
            "built for (PYTHON=/usr/bin/python3), or start from a shell without it".format(
                os.environ["ROS_DISTRO"], python
            )
        )
    return False


def stamp(python: str, with_ros: bool) -> dict:
    """Returns everything that .venv depends on.

    The drop-ins are linked, not copied: a change inside one needs no set-up.
    """
    files = [
        CONSTRAINTS,
        *sorted(TOOLS.glob("*.py")),
        *sorted((ROOT / "ros_dropins").rglob("*.msg")),
    ]
    digest = hashlib.sha256(b"\0".join(path.read_bytes() for path in files)).hexdigest()
    return {
        "inputs": digest,
        "python": ask(python, PATH_AND_VERSION),
        "ros": os.environ.get("ROS_DISTRO", "") if with_ros else "",
        "folder": str(ROOT),
    }


def check_system(python: str, with_ros: bool) -> None:
    """Check for missing system packages, before minutes of downloading.

    Raises SetupError with the apt command that installs them, or where there is no ROS 2 for this
    system.
    """
    # Purpose by package of those that are missing.
    version = "python{}.{}".format(*version_of(python))
    missing = {}
    if not ask(python, "import ensurepip, venv; print(1)"):
        missing[version + "-venv"] = "virtual environments"
    if not with_ros:
        if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
            raise SetupError(
                "ROS 2 is on the Python index for Linux x86-64 only, this is {} {}: "
                "install ROS 2 and source it first".format(platform.system(), platform.machine())
            )
        if not (shutil.which(os.environ.get("CC", "cc")) and shutil.which("g++")):
            missing["g++"] = "the compiler, which builds tf2_msgs"
        if not ask(python, HAS_HEADERS):
            missing[version + "-dev"] = "Python.h, which tf2_msgs is built with"

    # Name all of them at once.
    if missing:
        needs = ", ".join("{} ({})".format(package, use) for package, use in missing.items())
        raise SetupError(
            "this machine lacks {}. Type: sudo apt install {}".format(needs, " ".join(missing))
        )


def create_environment(python: str, wanted: dict, with_ros: bool) -> None:
    """Create .venv with that Python, unless it is already made so.

    wanted: the stamp. .venv sees the system's packages only where ROS 2 is among them.
    """
    # Compare the present environment.
    configuration = ENVIRONMENT / "pyvenv.cfg"
    kind = "include-system-site-packages = {}".format(str(with_ros).lower())
    present = ask(PYTHON, PATH_AND_VERSION) if PYTHON.exists() else ""
    if present == wanted["python"] and kind in configuration.read_text():
        return

    # Create it anew.
    ros = " and the ROS 2 that is sourced" if with_ros else ""
    print("setup: making .venv with {}{}".format(python, ros))
    options = ["--clear"] + (["--system-site-packages"] if with_ros else [])
    run(python, "-m", "venv", *options, ENVIRONMENT)


def install_packages(with_ros: bool) -> None:
    """Install the missing packages by pip, at the versions of constraints.txt.

    The index is that of pip's own configuration.
    """
    # Choose the packages: all of them, or those that a sourced ROS 2 lacks.
    requirements = list(REQUIREMENTS.values())
    constraints = CONSTRAINTS
    if with_ros:
        requirements = [name for module, name in REQUIREMENTS.items() if not importable(module)]
        constraints = constraints_with_ros()
    else:
        requirements += ROS_REQUIREMENTS + ORACLES

    # Install them.
    print("setup: installing the packages of constraints.txt")
    options = ["--quiet", "--disable-pip-version-check", "--use-pep517"]
    options += ["--constraint", constraints]
    run(PYTHON, "-m", "pip", "install", *options, *requirements, *TEST_REQUIREMENTS)


def constraints_with_ros() -> Path:
    """Write constraints.txt without the packages that the system has; returns its path.

    Without a constraint pip keeps the system's version.
    """
    present = json.loads(ask(PYTHON, INSTALLED_VERSIONS) or "{}")
    path = ENVIRONMENT / "constraints.txt"
    lines = CONSTRAINTS.read_text().splitlines()
    path.write_text(
        "\n".join(line for line in lines if line.split("==")[0].lower() not in present) + "\n"
    )
    return path


def importable(module: str) -> bool:
    """Whether the Python of .venv can import a module."""
    return bool(ask(PYTHON, "import {}; print(1)".format(module)))


def run(*command, **options) -> None:
    """Run a command in the repository; raises CalledProcessError where it fails."""
    subprocess.run([str(part) for part in command], check=True, cwd=str(ROOT), **options)


if __name__ == "__main__":
    sys.exit(main())
