"""A camera's messages taken as they come, for a fifth of what rclpy's executor asks for each.

The executor waits for all that a node has, some fifty services, timers and events of publishers,
and lists them anew in Python two or three times for each message: 1 ms, beside 0.4 for taking an
image and its camera_info. Here the images alone are waited for, in the way of
rclpy.wait_for_message, and what came on a few other topics is taken along with them.
"""

import time
from collections.abc import Sequence
from typing import Any, cast

from rclpy.context import Context
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.subscription import Subscription

MOST_TAKEN = 100
"""Of one topic at a time, so that a flood of messages does not keep the images waiting."""


class Unavailable(Exception):
    """This rclpy does not let us wait for single subscriptions: its executor has to do."""


class PromptMessages:
    """Waits for one subscription and calls callbacks with what comes on it and on others, in the
    thread that asks for it.

    They may belong to an executor too, as long as that is not running meanwhile: a message is taken
    once. Callbacks take the message alone.
    """

    def __init__(self, context: Context) -> None:
        """Raises Unavailable where this version of rclpy has no wait sets of this kind; Humble
        to Kilted have them."""
        self._context = context
        try:
            self._wait_set: Any = rclpy_implementation.WaitSet(
                1, 0, 0, 0, 0, 0, cast(Any, context.handle)
            )
        except (AttributeError, TypeError) as error:
            raise Unavailable(str(error)) from error

    def serve(self, subscriptions: Sequence[Subscription], until_s: float) -> bool:
        """Wait for the first subscription until `until_s` of the monotonic clock; then serve what
        came on the others, and one of its own.

        Returns whether one of its own came; False at once where the context is no longer valid.
        """
        if not self._context.ok():
            return False
        awaited, *others = subscriptions
        came = self._wait(awaited, max(round((until_s - time.monotonic()) * 1e9), 0))
        for other in others:
            for _ in range(MOST_TAKEN):
                if not _take(other):
                    break
        return came and _take(awaited)

    def _wait(self, subscription: Any, timeout_ns: int) -> bool:
        self._wait_set.clear_entities()
        place = self._wait_set.add_subscription(subscription.handle)
        self._wait_set.wait(timeout_ns)
        return bool(self._wait_set.is_ready("subscription", place))


def _take(subscription: Any) -> bool:
    """Serve the oldest message, if there is one."""
    taken = subscription.handle.take_message(subscription.msg_type, subscription.raw)
    if taken is not None:
        subscription.callback(taken[0])
    return taken is not None
