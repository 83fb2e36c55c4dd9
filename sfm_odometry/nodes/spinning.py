"""Start and stop of a node's process: signals end it with exit code 0, what the user can mend with
one line and exit code 2.

rclpy's own handlers invalidate the context under whatever is being done, and everything that is
being done then fails in its own way. Ours only note the signal; what runs looks at it between two
callbacks, so that nothing is torn apart.
"""

import gc
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import rclpy
from rclpy.exceptions import InvalidParameterTypeException
from rclpy.executors import Executor, ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from rclpy.subscription import Subscription

from sfm_odometry.cli import EXIT_BAD_INPUT
from sfm_odometry.errors import SfmOdometryError
from sfm_odometry.nodes.subscription_waiter import PromptMessages, Unavailable

POLL_S = 0.2
"""The longest time until a signal is looked at while nothing happens."""
PROMPT_S = 0.1
"""While there are prompt subscriptions all others, timers and services wait at most so long."""
MOST_CALLBACKS = 50
"""Of these before the prompt ones get their turn again."""

SIGNALS = (signal.SIGINT, signal.SIGTERM)
SAME_SIGNAL_S = 1.0
"""Ctrl-C may come twice, from the terminal and from what started us."""

AnyNode = TypeVar("AnyNode", bound=Node)


class StopRequested(Exception):
    """The process was told to end."""


class StopSignal(threading.Event):
    """Set by the first signal that tells the process to end; a later one ends it at once."""

    since_s = 0.0

    def note(self, *_: object) -> None:
        """The handler: what is being done when the second comes, such as loading a model, may
        take long."""
        if not self.is_set():
            self.since_s = time.monotonic()
            self.set()
        elif time.monotonic() - self.since_s > SAME_SIGNAL_S:
            os._exit(0)


_signalled = StopSignal()


def run_node(
    make_node: Callable[[], AnyNode],
    work: Callable[[AnyNode], None],
    ros_arguments: Sequence[str] | None = None,
) -> int:
    """Initialise ROS, make the node and its executor, do the work until that ends or a signal
    comes, and clean up.

    Returns the process's exit code: 0, also after a signal; 2, after one line on stderr, for what
    the user can mend.
    """
    for number in SIGNALS:
        signal.signal(number, _signalled.note)
    node: AnyNode | None = None
    rclpy.init(
        args=None if ros_arguments is None else list(ros_arguments),
        signal_handler_options=SignalHandlerOptions.NO,
    )
    try:
        node = make_node()
        executor = make_executor()  # held here: a node does not keep its executor alive
        executor.add_node(node)
        if not _signalled.is_set():
            work(node)
    except (StopRequested, ExternalShutdownException):
        pass
    except (
        SfmOdometryError,
        InvalidParameterTypeException,
    ) as error:  # the second: ROS's own parameters, such as use_sim_time
        print(f"error: {error}", file=sys.stderr)
        return EXIT_BAD_INPUT
    finally:
        if node is not None:
            node.destroy_node()
        rclpy.try_shutdown()
        _leave_quickly()
    return 0


def _leave_quickly() -> None:
    """Nothing is left to do: signals change nothing any more, and Python need not look through
    torch's objects, which takes it a second."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    gc.freeze()


def spin(node: Node, prompt: Callable[[], Sequence[Subscription]] = tuple) -> None:
    """Serve the node's callbacks until the process is told to end.

    prompt: tells the subscriptions that are served first, as long as there are some; the messages
    of the first are waited for. Where this rclpy does not allow that, its executor serves them like
    all others.
    """
    try:
        messages = PromptMessages(node.context)
    except Unavailable:
        messages = None
    while True:
        subscriptions = prompt()
        if not subscriptions or messages is None:
            serve_once(node, POLL_S)
            continue
        until_s = time.monotonic() + PROMPT_S
        while (
            time.monotonic() < until_s
            and not _signalled.is_set()
            and messages.serve(subscriptions, until_s)
        ):
            pass
        _serve_waiting(node)


def _serve_waiting(node: Node) -> None:
    """Serve what is ready now."""
    executor = node.executor
    for _ in range(MOST_CALLBACKS):
        serve_once(node, 0.0)
        if not isinstance(executor, TellingExecutor) or not executor.served:
            break


def serve_once(node: Node, timeout_s: float) -> None:
    """Serve one callback of the node, or none within `timeout_s`; raises StopRequested when the
    process was told to end."""
    assert node.executor is not None
    node.executor.spin_once(timeout_sec=min(timeout_s, POLL_S))
    if _signalled.is_set():
        raise StopRequested


class TellingExecutor(SingleThreadedExecutor):
    """One that tells whether there was anything to do when it was last spun."""

    served = False

    def wait_for_ready_callbacks(self, *arguments: Any, **named: Any) -> Any:
        """As rclpy's, which raises when nothing is ready in time."""
        self.served = False
        ready = super().wait_for_ready_callbacks(*arguments, **named)
        self.served = True
        return ready


def make_executor() -> Executor:
    """The executor of all our processes."""
    # Not rclpy.experimental.EventsExecutor: in Kilted's 9.1.2 it keeps a core busy, calls no timer
    # and does not end on a signal.
    return TellingExecutor()
