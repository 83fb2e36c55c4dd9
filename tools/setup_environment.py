"""Set-up of .venv, run by `make setup` and by every other make target before its own work.

Any Python 3 can start it. It picks a Python of 3.10 to 3.13, checks the required system packages,
creates .venv, installs the versions of the constraints files, builds tf2_msgs and links the
drop-ins. Where a ROS 2 is sourced whose rclpy that Python imports, .venv sees the system's
packages, and no ROS 2 is installed. A stamp in .venv lets the next call end at once.

With `--distribution jazzy` the same is done in .venv-jazzy with the ROS 2 Jazzy wheels, for
`make test-jazzy`.
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
CONSTRAINTS = ROOT / "constraints.txt"
TOOLS = ROOT / "tools"
# Environment's folder by distribution, the default one first.
FOLDERS = {"kilted": ROOT / ".venv", "jazzy": ROOT / ".venv-jazzy"}
DEFAULT_DISTRIBUTION = "kilted"
# Where pyenv and uv keep the Pythons that are not on the path.
MANAGED_PYTHONS = (".pyenv/versions/*/bin", ".local/share/uv/python/*/bin")

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
    "colcon-common-extensions",
    "setuptools",
)
# For the tests outside of ROS and the linters, which run on the default distribution only.
DEFAULT_TEST_REQUIREMENTS = ("safetensors", "ruff", "mypy", "types-PyYAML")
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

    exit_code = 2


class NotAvailableError(SetupError):
    """Environment that cannot be had on this machine at all: nothing is broken."""

    exit_code = 3


class Environment:
    """Virtual environment of one ROS 2 distribution.

    folder: where it is. python: its Python. stamp: file that says what it was made from.
    constraints: file with the versions of the distribution's wheels.
    """

    def __init__(self, distribution: str) -> None:
        self.distribution = distribution
        self.folder = FOLDERS[distribution]
        self.python = self.folder / "bin" / "python"
        self.stamp = self.folder / "setup-stamp.json"
        self.constraints = ROOT / "constraints-{}.txt".format(distribution)
        self.is_default = distribution == DEFAULT_DISTRIBUTION


def main() -> int:
    """Run the set-up; returns the exit code.

    0, 1 for a command that failed, 2 for a SetupError, 3 for a NotAvailableError, 130 for Ctrl-C.
    """
    parser = argparse.ArgumentParser(
        description="Make .venv with everything that sfm_odometry needs."
    )
    parser.add_argument(
        "--python",
        default="",
        help="the Python to use; by default that of .venv, else the first of 3.10 to 3.13",
    )
    parser.add_argument(
        "--distribution",
        default=DEFAULT_DISTRIBUTION,
        choices=sorted(FOLDERS),
        help="the ROS 2 distribution to install; jazzy goes into .venv-jazzy",
    )
    arguments = parser.parse_args()
    environment = Environment(arguments.distribution)
    try:
        with exclusive_lock():
            set_up(environment, find_python(environment, arguments.python))
    except SetupError as error:
        print("setup: {}".format(error), file=sys.stderr)
        return error.exit_code
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
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("setup: waiting for another set-up of this folder", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def find_python(environment: Environment, wanted: str) -> str:
    """Returns the path of the Python to make the environment with; `wanted` is a name or "".

    Raises SetupError where no supported version is found.
    """
    # The environment's own Python comes first: one that was named in an earlier call stays. Then
    # that of .venv, for which pip has a build of torch at hand.
    present = [environment.python, FOLDERS[DEFAULT_DISTRIBUTION] / "bin" / "python"]
    names = ["python{}.{}".format(*version) for version in reversed(SUPPORTED)]
    candidates = [wanted] if wanted else [*map(str, present), "python3", *names]
    unsupported = []
    for name in candidates + managed_pythons([wanted] if wanted else names):
        version = version_of(name)
        if version in SUPPORTED:
            # In a shell where .venv is activated, python3 is .venv's own: take its base.
            return ask(name, "import sys; print(getattr(sys, '_base_executable', sys.executable))")
        if version:
            unsupported.append("{} is {}.{}".format(name, *version))

    # Name what is there, and the ways to another one.
    found = ", ".join(unsupported) or "found no {}".format(wanted or "python3")
    raise SetupError(
        "needs Python 3.10, 3.11, 3.12 or 3.13 ({}): install one (apt, pyenv, or "
        "`uv python install 3.12`), or name one: make setup PYTHON=python3.12".format(found)
    )


def managed_pythons(names: list) -> list:
    """Returns the paths of those Pythons that pyenv and uv have, the newest first."""
    home = Path(os.path.expanduser("~"))
    return [
        str(path)
        for name in names
        if name and "/" not in name
        for pattern in MANAGED_PYTHONS
        for path in sorted(home.glob("{}/{}".format(pattern, name)), reverse=True)
    ]


def version_of(python: str):
    """Returns (major, minor) of a Python, or None where it does not run."""
    if not shutil.which(python):
        return None
    answer = ask(python, "import sys; print(*sys.version_info[:2])")
    return tuple(map(int, answer.split())) if answer else None


def ask(python, program: str) -> str:
    """Returns the output of a short Python program, or "" where it fails or Python is absent."""
    if not shutil.which(str(python)):
        return ""
    answer = subprocess.run(
        [str(python), "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        universal_newlines=True,
    )
    return answer.stdout.strip() if answer.returncode == 0 else ""


def set_up(environment: Environment, python: str) -> None:
    """Make or update the environment by the constraints and these scripts.

    Does nothing where its stamp is up to date. Raises NotAvailableError for other wheels beside a
    ROS 2 that is sourced.
    """
    # Compare the stamp.
    with_ros = has_ros(python)
    if with_ros and not environment.is_default:
        raise NotAvailableError(
            "a ROS 2 is sourced ({}), beside which the wheels of {} cannot be used: "
            "start from a shell without it".format(
                os.environ.get("ROS_DISTRO", "unknown"), environment.distribution
            )
        )
    wanted = stamp(environment, python, with_ros)
    if is_ready(environment, wanted):
        return

    # Make the environment and install everything.
    started = time.monotonic()
    check_system(environment, python, with_ros)
    if environment.stamp.is_file():
        environment.stamp.unlink()
    create_environment(environment, python, wanted, with_ros)
    install_packages(environment, with_ros)
    if not with_ros:
        # Silent, since the generators print the name of every file.
        run(environment.python, TOOLS / "build_tf2_msgs.py", stdout=subprocess.DEVNULL)
    run(environment.python, TOOLS / "install_dropins.py")
    environment.stamp.write_text(json.dumps(wanted))
    print(
        "setup: {} is ready after {:.0f} s".format(
            environment.folder.name, time.monotonic() - started
        )
    )


def is_ready(environment: Environment, wanted: dict) -> bool:
    """Whether the environment was set up to its end from what is wanted, and its Python runs."""
    try:
        made_from = json.loads(environment.stamp.read_text())
    except (OSError, ValueError):  # none, or one that was not written to its end
        return False
    return made_from == wanted and ask(environment.python, PATH_AND_VERSION) == wanted["python"]


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


def stamp(environment: Environment, python: str, with_ros: bool) -> dict:
    """Returns everything that the environment depends on.

    The drop-ins are linked, not copied: a change inside one needs no set-up.
    """
    files = [
        CONSTRAINTS,
        environment.constraints,
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


def check_system(environment: Environment, python: str, with_ros: bool) -> None:
    """Check for missing system packages, before minutes of downloading.

    Raises SetupError with the apt command that installs them, or where there is no ROS 2 for this
    system (for other than the default distribution a NotAvailableError).
    """
    # Purpose by package of those that are missing.
    version = "python{}.{}".format(*version_of(python))
    missing = {}
    if not ask(python, "import ensurepip, venv; print(1)"):
        missing[version + "-venv"] = "virtual environments"
    if not with_ros:
        if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
            kind = SetupError if environment.is_default else NotAvailableError
            raise kind(
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


def create_environment(environment: Environment, python: str, wanted: dict, with_ros: bool) -> None:
    """Create the environment with that Python, unless it is already made so and has a pip.

    wanted: the stamp. The environment sees the system's packages only where ROS 2 is among them.
    """
    # Compare the present environment.
    configuration = environment.folder / "pyvenv.cfg"
    kind = "include-system-site-packages = {}".format(str(with_ros).lower())
    present = ask(environment.python, PATH_AND_VERSION) == wanted["python"]
    if (
        present
        and configuration.is_file()
        and kind in configuration.read_text()
        and ask(environment.python, "import pip._internal; print(1)")
    ):
        return

    # Create it anew.
    ros = " and the ROS 2 that is sourced" if with_ros else ""
    print("setup: making {} with {}{}".format(environment.folder.name, python, ros), flush=True)
    options = ["--clear"] + (["--system-site-packages"] if with_ros else [])
    run(python, "-m", "venv", *options, environment.folder)


def install_packages(environment: Environment, with_ros: bool) -> None:
    """Install the missing packages by pip, at the versions of the constraints files.

    The index is that of pip's own configuration. Raises SetupError where pip fails.
    """
    # Choose the packages: all of them, or those that a sourced ROS 2 lacks.
    requirements = [*REQUIREMENTS.values(), *TEST_REQUIREMENTS]
    files = [CONSTRAINTS, environment.constraints]
    if with_ros:
        requirements = [
            name
            for module, name in REQUIREMENTS.items()
            if not importable(environment.python, module)
        ]
        requirements += TEST_REQUIREMENTS
        files = [constraints_with_ros(environment)]
    else:
        requirements += ROS_REQUIREMENTS
    if environment.is_default:
        requirements += DEFAULT_TEST_REQUIREMENTS
        requirements += () if with_ros else ORACLES

    # Install them.
    names = " and ".join(path.name for path in files)
    print("setup: installing the packages of {}".format(names), flush=True)
    options = ["--quiet", "--disable-pip-version-check", "--use-pep517"]
    options += [part for path in files for part in ("--constraint", path)]
    try:
        run(environment.python, "-m", "pip", "install", *options, *requirements)
    except subprocess.CalledProcessError:
        raise SetupError(
            "pip could not install the packages, for the reason above. Without one, or where it "
            "found no versions: check the network and the package index (pip config list). "
            "The next call goes on from here"
        ) from None


def constraints_with_ros(environment: Environment) -> Path:
    """Write constraints.txt without the packages that the system has; returns its path.

    Without a constraint pip keeps the system's version.
    """
    present = json.loads(ask(environment.python, INSTALLED_VERSIONS) or "{}")
    path = environment.folder / "constraints.txt"
    lines = CONSTRAINTS.read_text().splitlines()
    path.write_text(
        "\n".join(line for line in lines if line.split("==")[0].lower() not in present) + "\n"
    )
    return path


def importable(python: Path, module: str) -> bool:
    """Whether a Python can import a module."""
    return bool(ask(python, "import {}; print(1)".format(module)))


def run(*command, **options) -> None:
    """Run a command in the repository; raises CalledProcessError where it fails."""
    subprocess.run([str(part) for part in command], check=True, cwd=str(ROOT), **options)


if __name__ == "__main__":
    sys.exit(main())
