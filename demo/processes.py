"""Child processes with log files that end with their parent, and their ROS environment."""

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType, TracebackType

from sfm_odometry.errors import InputError, SfmOdometryError

ROOT = Path(__file__).resolve().parents[1]
DDS_PROFILE = ROOT / "config" / "fastdds_images.xml"
LOG_TAIL_LINES = 15
INTERRUPT_TIMEOUT_S = 15.0
"""Time that a child has to end after SIGINT, before it gets SIGTERM."""
TERMINATE_TIMEOUT_S = 3.0
"""Time that a child has to end after SIGTERM, before it is killed."""
MAX_DOMAIN_ID = 232
MAX_FREE_DOMAIN_ID = 101
"""Ports of higher domains reach into the range from which Linux assigns ephemeral ports."""
# The ROS wheels re-execute the interpreter once to extend LD_LIBRARY_PATH and set this guard. A
# child that inherits it skips that step and uses the parent's path, which is wrong where the two
# are of different environments.
WHEELS_GUARD = "_ROS_WHEELS_BOOTSTRAP_COMPLETE"


class ChildError(SfmOdometryError):
    """Failure of a child process; the message is one line, then the last lines of its log."""


class Child:
    """Child process with its log file: a context manager that it never outlives.

    It starts with the block. It runs in a session of its own: Ctrl-C at the terminal reaches only
    the parent, which then ends the children in order. It is ended by SIGINT first.
    """

    def __init__(
        self, name: str, command: Sequence[str], log_path: Path, environment: dict[str, str]
    ) -> None:
        self.name = name
        self.log_path = log_path
        self._command = list(command)
        self._environment = environment
        self._process: subprocess.Popen[bytes]

    def __enter__(self) -> "Child":
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        started = False
        try:
            with self.log_path.open("wb") as log, _interrupts_deferred():
                self._process = subprocess.Popen(
                    self._command,
                    cwd=ROOT,
                    env=self._environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
                started = True
        except BaseException:
            if started:
                self.stop()
            raise
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
        """Process ID."""
        return self._process.pid

    def running(self) -> bool:
        """Whether the process has not ended yet."""
        return self._process.poll() is None

    def wait(self, timeout_s: float) -> bool:
        """Wait for the end of the process, at most `timeout_s`; returns whether it has ended."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout_s)
        return not self.running()

    def check_alive(self) -> None:
        """Raise ChildError where the process has ended although it should be running."""
        if not self.running():
            raise self.fail(f"ended too early with exit code {self._process.returncode}")

    def check_success(self) -> None:
        """Raise ChildError where the process has ended with an exit code other than 0."""
        if self._process.returncode != 0:
            raise self.fail(f"failed with exit code {self._process.returncode}")

    def fail(self, problem: str) -> ChildError:
        """Returns the error to raise for a problem, such as "was not ready after 3 s"."""
        return ChildError(self._failure_message(problem))

    def stop(self) -> int:
        """End the process if it still runs: SIGINT, then SIGTERM, then SIGKILL.

        Returns its exit code.
        """
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

    def _failure_message(self, problem: str) -> str:
        """Returns the problem, the path of the log, and its last lines."""
        tail = log_tail(self.log_path)
        ending = f", and ends:\n{tail}" if tail else ", and is empty"
        return f"the {self.name} {problem}; its log is {self.log_path}{ending}"


@contextlib.contextmanager
def _interrupts_deferred() -> Iterator[None]:
    """Deliver SIGINT and SIGTERM that arrive within the block at its end.

    Only the main thread receives signals: another thread's block is left as it is.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    received: list[int] = []

    def defer(number: int, frame: FrameType | None) -> None:
        received.append(number)

    numbers = [signal.SIGINT, signal.SIGTERM]
    handlers = {number: signal.signal(number, defer) for number in numbers}
    try:
        yield
    finally:
        for kind, handler in handlers.items():
            signal.signal(kind, signal.SIG_DFL if handler is None else handler)
        for number in received:
            signal.raise_signal(number)


def log_tail(path: Path, lines: int = LOG_TAIL_LINES) -> str:
    """Returns the last `lines` lines of a log, indented to stand out under an error.

    Returns "" for an empty or missing log.
    """
    if not path.is_file():
        return ""
    text = path.read_text(encoding="utf-8", errors="replace").rstrip()
    return "\n".join(f"    {line}" for line in text.splitlines()[-lines:])


def python_command(module: str, *arguments: str) -> list[str]:
    """Returns the command that runs a module of this checkout with this interpreter."""
    return [sys.executable, "-m", module, *arguments]


def ros_environment() -> dict[str, str]:
    """Returns the environment variables of the demo's ROS graph.

    They keep it on this machine, apart from other ROS graphs, and let whole images through.
    """
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
    """Returns this process's environment for a child.

    Its log is unbuffered, and it starts the ROS wheels by itself.
    """
    environment = {name: value for name, value in os.environ.items() if name != WHEELS_GUARD}
    return environment | {"PYTHONUNBUFFERED": "1"}


def domain_id() -> int:
    """Returns ROS_DOMAIN_ID if it is set, else a domain that seems unused on this machine.

    Raises InputError for a bad ROS_DOMAIN_ID.
    """
    variable = os.environ.get("ROS_DOMAIN_ID", "")
    if variable:
        if not variable.isdigit() or int(variable) > MAX_DOMAIN_ID:
            raise InputError(
                f"ROS_DOMAIN_ID={variable!r}: expected a number from 0 to {MAX_DOMAIN_ID}"
            )
        return int(variable)
    candidates = random.sample(range(1, MAX_FREE_DOMAIN_ID + 1), MAX_FREE_DOMAIN_ID)
    return next((domain for domain in candidates if _discovery_port_free(domain)), candidates[0])


def _discovery_port_free(domain: int) -> bool:
    """Whether no participant listens on the domain's discovery multicast port.

    DDSI-RTPS: the port is 7400 + 250 domain.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(("", 7400 + 250 * domain))
        except OSError:
            return False
    return True
