"""Base class of ROS nodes that receive messages on a background thread."""

import contextlib
import threading
from abc import ABC, abstractmethod
from types import TracebackType
from typing import TypeVar

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

Self = TypeVar("Self", bound="Listener")


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
        self._thread = threading.Thread(target=self._spin, name=self.name, daemon=True)
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

    @abstractmethod
    def _connect(self, node: Node) -> None:
        """Create the node's publishers and subscriptions."""

    def _spin(self) -> None:
        """Serve the node until the context ends.

        Replaces the executor's own spin, whose shutdown takes handles away under a thread that is
        about to wait for them.
        """
        with contextlib.suppress(ExternalShutdownException):
            while not self._ended.is_set():
                self._executor.spin_once(timeout_sec=0.1)
