"""Start, spinning and end of a node's process.

A signal ends the process with exit code 0, an error that the user can correct with one line on
stderr and exit code 2. rclpy's own signal handlers invalidate the context in the middle of any
work, which then fails in a way of its own. The handlers here only note the signal, which is checked
between two callbacks, and all work ends in order. Within `interruptible`, as while a model loads, a
signal ends the work at once.
"""

import contextlib
import gc
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import rclpy
from rclpy.exceptions import InvalidParameterTypeException
from rclpy.executors import Executor, ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from rclpy.subscription import Subscription

from sfm_odometry.cli import EXIT_BAD_INPUT
from sfm_odometry.errors import SfmOdometryError
from sfm_odometry.nodes.subscription_waiter import SubscriptionWaiter, WaitSetUnavailable

SIGNAL_POLL_S = 0.2
"""Maximum time between two checks for a signal while no callback is called."""
PRIORITY_TURN_S = 0.1
"""Maximum delay of other callbacks while priority subscriptions are served."""
MAX_CALLBACKS_PER_TURN = 50
"""Number of other callbacks after which the priority subscriptions are served again."""

SIGNALS = (signal.SIGINT, signal.SIGTERM)
SIGNAL_DEBOUNCE_S = 1.0
"""Signals within this time count as one: Ctrl-C comes from the terminal and from the launcher."""
INTERRUPT_GRACE_S = 3.0
"""Time from a signal to the end of the process in interruptible work, also within native code.

ROS's launch waits for 5 s before it sends the next signal.
"""
EXIT_FAILED = 1

NodeT = TypeVar("NodeT", bound=Node)


class StopRequested(BaseException):
    """Raised after a signal that ends the process.

    Not an Exception, as it may be raised in the middle of imports, where libraries catch those.
    """


class LoggedError(Exception):
    """Unexpected error that ends the process, and whose traceback is in the log already."""


class StopSignal(threading.Event):
    """Event that is set by the first signal; a later signal ends the process at once."""

    first_s = 0.0
    """Time of the first signal on the monotonic clock."""
    interrupts = False
    """Whether the first signal raises StopRequested wherever the main thread is."""

    def handle(self, *_: object) -> None:
        """Handle a signal; the second one may come during slow work."""
        if not self.is_set():
            self.first_s = time.monotonic()
            self.set()
            if self.interrupts:
                raise StopRequested
        elif time.monotonic() - self.first_s > SIGNAL_DEBOUNCE_S:
            os._exit(0)


_stop_signal = StopSignal()


def run_node(
    make_node: Callable[[], NodeT],
    work: Callable[[NodeT], None],
    ros_arguments: Sequence[str] | None = None,
) -> int:
    """Run the process of a node: initialise ROS, make the node, do the work, clean up.

    Ends with the work or with a signal. Returns the exit code of the process: 0, also after a
    signal; 2, after one line on stderr, for an error that the user can correct; 1 for a
    LoggedError.
    """
    # Install the signal handlers, and initialise ROS without its own.
    for number in SIGNALS:
        signal.signal(number, _stop_signal.handle)
    node: NodeT | None = None
    rclpy.init(
        args=None if ros_arguments is None else list(ros_arguments),
        signal_handler_options=SignalHandlerOptions.NO,
    )

    # Make the node and do the work.
    try:
        node = make_node()
        executor = make_executor()  # kept in a variable, as a node does not keep it alive
        executor.add_node(node)
        if not _stop_signal.is_set():
            work(node)
    except BaseException as error:
        return _exit_code(error)

    # Clean up.
    finally:
        if node is not None:
            node.destroy_node()
        rclpy.try_shutdown()
        _prepare_exit()
    return 0


def _exit_code(error: BaseException) -> int:
    """Returns the exit code for what ended the work.

    Prints an error that the user can correct, and raises an unexpected one again.
    """
    if isinstance(error, (StopRequested, ExternalShutdownException)):
        return 0
    if isinstance(error, LoggedError):
        return EXIT_FAILED
    # The second one is raised for ROS's own parameters, such as use_sim_time.
    if isinstance(error, (SfmOdometryError, InvalidParameterTypeException)):
        print(f"error: {error}", file=sys.stderr)
        return EXIT_BAD_INPUT
    raise error


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Let a signal end the work within, which leaves nothing to put in order, at once.

    Raises StopRequested in the middle of it. Where native code does not return, or a library drops
    that exception, the process ends INTERRUPT_GRACE_S after the signal. Without effect outside of
    the main thread, and outside of `run_node`.
    """
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(SIGNALS[0]) != _stop_signal.handle:
        yield
        return

    # Python handles a signal after the native call that it came into; the interpreter writes its
    # number to a pipe at once, which a thread reads.
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    watcher = threading.Thread(target=_end_after_signal, args=(read_end,), daemon=True)
    watcher.start()
    previous = signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
    _stop_signal.interrupts = True
    try:
        if _stop_signal.is_set():
            raise StopRequested
        yield

    # After a signal the watcher goes on until the process ends.
    finally:
        _stop_signal.interrupts = False
        if not _stop_signal.is_set():
            signal.set_wakeup_fd(previous)
            os.close(write_end)
            watcher.join()
            os.close(read_end)


def _end_after_signal(read_end: int) -> None:
    """End the process INTERRUPT_GRACE_S after a signal; return when the pipe is closed."""
    if os.read(read_end, 1):
        time.sleep(INTERRUPT_GRACE_S)
        os._exit(0)


def _prepare_exit() -> None:
    """Make the interpreter end quickly and undisturbed.

    Signals are ignored, and the garbage collector skips torch's objects, which would take it a
    second.
    """
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    gc.freeze()


def spin(node: Node, priority: Callable[[], Sequence[Subscription]] = tuple) -> None:
    """Serve the node's callbacks until a signal comes; raises StopRequested then.

    priority: returns the subscriptions to serve first, now; the messages of the first of them are
    waited for. Where this rclpy does not allow that, its executor serves them like all others.
    """
    try:
        waiter = SubscriptionWaiter(node.context)
    except WaitSetUnavailable:
        waiter = None
    while True:
        # Without priority subscriptions the executor does all of the work.
        subscriptions = priority()
        if not subscriptions or waiter is None:
            serve_once(node, SIGNAL_POLL_S)
            continue

        # Serve the priority subscriptions for a while, then everything else that is ready.
        until_s = time.monotonic() + PRIORITY_TURN_S
        while (
            time.monotonic() < until_s
            and not _stop_signal.is_set()
            and waiter.serve(subscriptions, until_s)
        ):
            pass
        _serve_ready(node)


def _serve_ready(node: Node) -> None:
    """Serve the callbacks that are ready now, at most MAX_CALLBACKS_PER_TURN of them."""
    executor = node.executor
    for _ in range(MAX_CALLBACKS_PER_TURN):
        serve_once(node, 0.0)
        if not isinstance(executor, ReportingExecutor) or not executor.served:
            break


def serve_once(node: Node, timeout_s: float) -> None:
    """Serve at most one callback of the node, within `timeout_s` and SIGNAL_POLL_S.

    Raises StopRequested after a signal.
    """
    assert node.executor is not None
    node.executor.spin_once(timeout_sec=min(timeout_s, SIGNAL_POLL_S))
    if _stop_signal.is_set():
        raise StopRequested


class ReportingExecutor(SingleThreadedExecutor):
    """Single-threaded executor that reports whether its last spin_once served a callback."""

    served = False
    """Whether a callback was ready in the last spin_once."""

    def wait_for_ready_callbacks(self, *arguments: Any, **keywords: Any) -> Any:
        """Wait as rclpy's executor does, which raises when no callback is ready in time."""
        self.served = False
        ready = super().wait_for_ready_callbacks(*arguments, **keywords)
        self.served = True
        return ready


def make_executor() -> Executor:
    """Returns the executor for any of the processes."""
    # Not rclpy.experimental.EventsExecutor: that of Kilted's 9.1.2 keeps a core busy, calls no
    # timer and does not end on a signal.
    return ReportingExecutor()
