"""Child processes that always end: each writes a log, is asked by SIGINT first, and says what
its log said when it fails."""

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from sfm_odometry.errors import InputError, SfmOdometryError

ROOT = Path(__file__).resolve().parents[1]
DDS_PROFILE = ROOT / "config" / "fastdds_images.xml"
LOG_TAIL_LINES = 15
# How long a child may take to answer SIGINT, then SIGTERM; after that it is killed.
INTERRUPT_TIMEOUT_S = 15.0
TERMINATE_TIMEOUT_S = 3.0
# The ROS wheels re-execute the interpreter once to extend LD_LIBRARY_PATH and leave this guard. A
# child that inherits it skips that step and believes the parent's path, which is wrong as soon as
# the two are of different environments.
WHEELS_GUARD = "_ROS_WHEELS_BOOTSTRAP_COMPLETE"


class ChildError(SfmOdometryError):
    """A child process failed; the message is one line, then the last lines of its log."""


class Child:
    """One child process with its log file; as a context manager it never outlives the block.

    It gets a session of its own, so that Ctrl-C at the terminal reaches only the parent, which then
    ends the children in order.
    """

    def __init__(
        self, name: str, command: Sequence[str], log_path: Path, environment: dict[str, str]
    ) -> None:
        self.name = name
        self.log_path = log_path
        log_path.parent.mkdir(parents=True, exist_ok=True)
        with log_path.open("wb") as log:
            self._process = subprocess.Popen(
                list(command), cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                start_new_session=True,
            )  # fmt: skip

    def __enter__(self) -> "Child":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    def running(self) -> bool:
        """Whether the process has not ended yet."""
        return self._process.poll() is None

    def wait(self, timeout_s: float) -> bool:
        """Wait at most `timeout_s` for the end of the process; returns whether it has ended."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout_s)
        return not self.running()

    def check_alive(self) -> None:
        """Raise ChildError when the process has ended although it should still be there."""
        if not self.running():
            raise ChildError(
                self._failure(f"ended too early with exit code {self._process.returncode}")
            )

    def check_success(self) -> None:
        """Raise ChildError when the ended process returned another exit code than 0."""
        if self._process.returncode != 0:
            raise ChildError(self._failure(f"failed with exit code {self._process.returncode}"))

    def fail(self, what: str) -> ChildError:
        """The error to raise when this child did not do `what` was expected of it."""
        return ChildError(self._failure(what))

    def stop(self) -> int:
        """End the process if it still runs: SIGINT, then SIGTERM, then SIGKILL; returns its exit
        code."""
        try:
            for number, timeout_s in (
                (signal.SIGINT, INTERRUPT_TIMEOUT_S),
                (signal.SIGTERM, TERMINATE_TIMEOUT_S),
            ):
                if self.running():
                    self._process.send_signal(number)
                    self.wait(timeout_s)
        finally:  # also when a second Ctrl-C cuts the waiting short
            if self.running():
                self._process.kill()
            code = self._process.wait()
        return code

    def _failure(self, what: str) -> str:
        tail = log_tail(self.log_path)
        return f"the {self.name} {what}; its log is {self.log_path}" + (
            f", and ends:\n{tail}" if tail else ", and is empty"
        )


def log_tail(path: Path, lines: int = LOG_TAIL_LINES) -> str:
    """The last `lines` lines of a log, indented to stand out under an error; "" for an empty or
    missing one."""
    if not path.is_file():
        return ""
    text = path.read_text(encoding="utf-8", errors="replace").rstrip()
    return "\n".join(f"    {line}" for line in text.splitlines()[-lines:])


def python_command(module: str, *arguments: str) -> list[str]:
    """The command that runs a module of this checkout with this interpreter."""
    return [sys.executable, "-m", module, *arguments]


def ros_environment() -> dict[str, str]:
    """The variables that keep the demo's ROS graph on this machine, apart from others, and its
    images whole."""
    variables = {
        "ROS_DOMAIN_ID": str(domain_id()),
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
        "FASTDDS_DEFAULT_PROFILES_FILE": str(DDS_PROFILE),
    }
    distribution = os.environ.get("ROS_DISTRO", "")
    if distribution in ("humble", "jazzy"):  # Fast DDS 2 knows the profile under its former name
        variables["FASTRTPS_DEFAULT_PROFILES_FILE"] = str(DDS_PROFILE)
    if distribution == "humble":  # and Humble has no range of discovery
        variables["ROS_LOCALHOST_ONLY"] = "1"
    return variables


def child_environment() -> dict[str, str]:
    """This process's environment for a child: unbuffered logs, and its own start of the ROS
    wheels."""
    environment = {name: value for name, value in os.environ.items() if name != WHEELS_GUARD}
    return environment | {"PYTHONUNBUFFERED": "1"}


def domain_id() -> int:
    """ROS_DOMAIN_ID if it is set, else a domain on this machine that nobody seems to use."""
    given = os.environ.get("ROS_DOMAIN_ID", "")
    if given:
        if not given.isdigit() or int(given) > 232:
            raise InputError(f"ROS_DOMAIN_ID={given!r}: expected a number from 0 to 232")
        return int(given)
    # Ports of domains above 101 reach into the range from which Linux hands out short-lived ports.
    candidates = random.sample(range(1, 102), 101)
    return next((domain for domain in candidates if _discovery_port_free(domain)), candidates[0])


def _discovery_port_free(domain: int) -> bool:
    """Whether no participant listens on the domain's discovery multicast port (DDSI-RTPS: 7400 +
    250 domain)."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(("", 7400 + 250 * domain))
        except OSError:
            return False
    return True
