"""Buffer of nodes: the tree of frames with waiting, cleared when time jumps back."""

from time import monotonic, sleep
from typing import Any

from geometry_msgs.msg import TransformStamped
from rclpy.clock import Clock, JumpThreshold, TimeJump
from rclpy.duration import Duration
from rclpy.logging import get_logger
from rclpy.node import Node
from rclpy.time import Time

from .buffer_core import DEFAULT_CACHE_TIME, BufferCore

POLL_S = 0.02


class Buffer(BufferCore):
    """Transforms of the last `cache_time`, for look-ups with a timeout."""

    def __init__(self, cache_time: Duration | None = None, node: Node | None = None) -> None:
        """Watch the clock for jumps: that of the node (simulated time) where one is given.

        The original with a node also offers a service of its frames.
        """
        super().__init__(DEFAULT_CACHE_TIME if cache_time is None else cache_time)
        self.clock = Clock() if node is None else node.get_clock()
        threshold = JumpThreshold(
            min_forward=None, min_backward=Duration(seconds=-1), on_clock_change=True
        )
        self.jump_handle = self.clock.create_jump_callback(
            threshold, post_callback=self.time_jump_callback
        )

    def time_jump_callback(self, time_jump: TimeJump) -> None:
        """Clear the buffer after a jump."""
        get_logger("tf2_buffer").warning("Detected jump back in time. Clearing tf buffer.")
        self.clear()

    def lookup_transform(
        self,
        target_frame: str,
        source_frame: str,
        time: Time,
        timeout: Duration = Duration(),  # noqa: B008
    ) -> TransformStamped:
        """Transform target_from_source at a time (0: the latest), after at most `timeout`.

        Raises subclasses of TransformException.
        """
        self.can_transform(target_frame, source_frame, time, timeout)
        return self.lookup_transform_core(target_frame, source_frame, time)

    def can_transform(
        self,
        target_frame: str,
        source_frame: str,
        time: Time,
        timeout: Duration = Duration(),  # noqa: B008 as in the original
        return_debug_tuple: bool = False,
    ) -> Any:
        """Whether the look-up succeeds within `timeout`; with return_debug_tuple also why not.

        Waits by the wall clock in the calling thread, while another thread has to fill the buffer.
        """
        deadline_s = monotonic() + timeout.nanoseconds / 1e9
        result = self.can_transform_core(target_frame, source_frame, time)
        while not result[0] and monotonic() < deadline_s:
            sleep(POLL_S)
            result = self.can_transform_core(target_frame, source_frame, time)
        return result if return_debug_tuple else result[0]
