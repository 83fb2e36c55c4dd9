"""Start and stop of a node's process: signals end it with exit code 0, what the user can mend with one line and exit code 2."""

import signal
import sys
from collections.abc import Callable, Sequence
from typing import TypeVar

import rclpy
from rclpy.executors import Executor, ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node

from sfm_odometry.cli import EXIT_BAD_INPUT
from sfm_odometry.errors import SfmOdometryError

AnyNode = TypeVar("AnyNode", bound=Node)


def run_node(make_node: Callable[[], AnyNode], work: Callable[[AnyNode], None], ros_arguments: Sequence[str] | None = None) -> int:
    """Initialise ROS, make the node and its executor, do the work until that ends or a signal comes, and clean up.

    Returns the process's exit code: 0, also after a signal; 2, after one line on stderr, for what the user can mend.
    """
    node: AnyNode | None = None
    try:
        rclpy.init(args=None if ros_arguments is None else list(ros_arguments))
        executor = make_executor()  # first of all: rclpy's executors cannot be made once a signal has come
        node = make_node()
        executor.add_node(node)
        work(node)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except SfmOdometryError as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_BAD_INPUT
    except Exception:
        # A signal invalidates the context under whatever is being done; the errors that follow from it are not the user's business.
        if rclpy.ok():
            raise
    finally:
        _finish(node)
    return 0


def make_executor() -> Executor:
    """The executor of all our processes."""
    # Not rclpy.experimental.EventsExecutor: in Kilted's 9.1.2 it keeps a core busy, calls no timer and does not end on a signal.
    return SingleThreadedExecutor()


def _finish(node: Node | None) -> None:
    """A second Ctrl-C does not tear the clean-up apart."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    if node is not None:
        node.destroy_node()
    rclpy.try_shutdown()
