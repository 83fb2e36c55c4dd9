"""A camera's messages taken as they come, for a fifth of what rclpy's executor asks for each.

The executor waits for all that a node has, some fifty services, timers and events of publishers, and lists them anew in Python two or
three times for each message: 1 ms, beside 0.4 for taking an image and its camera_info. Here a few subscriptions are waited for by
themselves, in the way of rclpy.wait_for_message.
"""

import time
from collections.abc import Sequence
from typing import Any, cast

from rclpy.context import Context
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.subscription import Subscription


class PromptMessages:
    """Waits for subscriptions of one context and calls their callbacks with what comes, in the thread that asks for it.

    They may belong to an executor too, as long as that is not running meanwhile: a message is taken once. Callbacks take the message alone.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._wait_set: Any = None
        self._size = 0

    def serve(self, subscriptions: Sequence[Subscription], until_s: float) -> bool:
        """Serve each subscription that has a message, waiting for the first until `until_s` of the monotonic clock.

        Returns whether any had one; False at once where the context is no longer valid.
        """
        if not self._context.ok():
            return False
        ready = self._wait(subscriptions, max(round((until_s - time.monotonic()) * 1e9), 0))
        for subscription in ready:
            taken = subscription.handle.take_message(subscription.msg_type, subscription.raw)
            if taken is not None:
                subscription.callback(taken[0])
        return bool(ready)

    def _wait(self, subscriptions: Sequence[Any], timeout_ns: int) -> list[Any]:
        if self._wait_set is None or self._size != len(subscriptions):
            self._size = len(subscriptions)
            self._wait_set = rclpy_implementation.WaitSet(self._size, 0, 0, 0, 0, 0, cast(Any, self._context.handle))
        wait_set = self._wait_set
        wait_set.clear_entities()
        places = [wait_set.add_subscription(subscription.handle) for subscription in subscriptions]
        wait_set.wait(timeout_ns)
        return [item for place, item in zip(places, subscriptions, strict=True) if wait_set.is_ready("subscription", place)]
