"""Base class of ROS nodes that receive messages on a background thread."""

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import Future, wait
from types import TracebackType
from typing import TypeVar

import rclpy
from rclpy.exceptions import InvalidHandle
from rclpy.executors import Executor, ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

Result = TypeVar("Result")
Self = TypeVar("Self", bound="Listener")
POLL_S = 0.1
"""Longest wait before the end of a thread is noticed."""


def spin_until(executor: Executor, ended: threading.Event) -> None:
    """Serve the executor's nodes until the event is set, or their context is shut down.

    An entity that another thread destroys while the executor is about to wait for it is left out.
    Replaces the executor's own spin, whose shutdown takes handles away under a thread that is
    about to wait for them.
    """
    while not ended.is_set() and executor.context.ok():
        try:
            executor.spin_once(timeout_sec=POLL_S)
        except ExternalShutdownException:
            return
        except InvalidHandle:
            continue  # the next turn collects the entities anew
        except RuntimeError:
            # rcl refuses to wait in a context that was shut down a moment ago.
            if executor.context.ok():
                raise
            return


class Listener(ABC):
    """Node that receives messages inside its context, on a background thread."""

    name: str
    """Name of the node and of its thread."""

    def __enter__(self: Self) -> Self:
        # The demo handles signals itself, because it has to end its children first.
        rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
        self._node = rclpy.create_node(self.name)
        self._connect(self._node)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self._node)
        self._ended = threading.Event()
        self._thread = threading.Thread(
            target=spin_until, args=(self._executor, self._ended), name=self.name, daemon=True
        )
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join()
        self._executor.shutdown()
        self._node.destroy_node()
        rclpy.try_shutdown()

    def call(self, function: Callable[[], Result]) -> Result:
        """Run a function on the background thread, between two callbacks; returns its result.

        For what destroys entities of the node: no callback of theirs is served during or after it.
        Runs it here where the background thread has ended. Raises what the function raises.
        """
        call: Future[Result] = Future()
        if threading.current_thread() is not self._thread:
            self._executor.create_task(_complete, call, function)
            while self._thread.is_alive() and not call.done():
                wait([call], POLL_S)
        if not call.done():
            _complete(call, function)
        return call.result()

    @abstractmethod
    def _connect(self, node: Node) -> None:
        """Create the node's publishers and subscriptions."""


def _complete(call: "Future[Result]", function: Callable[[], Result]) -> None:
    """Run the function, and give the call its result or its error."""
    try:
        call.set_result(function())
    except Exception as error:
        call.set_exception(error)
