"""Waiting for single subscriptions, at a fifth of the cost of rclpy's executor.

The executor waits for every entity of a node (some fifty services, timers and publisher events) and
lists them two or three times in Python for each message: 1 ms, in addition to 0.4 ms for taking an
image and its camera_info. Here the images alone are waited for, as rclpy.wait_for_message does, and
the messages on a few other topics are taken along with them.
"""

import time
from collections.abc import Sequence
from typing import Any, cast

from rclpy.context import Context
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.subscription import Subscription

MAX_MESSAGES_PER_TURN = 100
"""Messages taken from one topic at a time, beyond which a flood would keep the images waiting."""


class WaitSetUnavailable(Exception):
    """Raised where this rclpy has no wait set for single subscriptions; its executor must do."""


class SubscriptionWaiter:
    """Waits for one subscription and calls the callbacks of it and of others.

    Callbacks run in the calling thread and take the message alone. The subscriptions may belong to
    an executor too, provided it does not run at the same time: a message is taken once.
    """

    def __init__(self, context: Context) -> None:
        """Raises WaitSetUnavailable for another version of rclpy than those of Humble to Kilted."""
        self._context = context
        try:
            # Numbers of subscriptions, guard conditions, timers, clients, services and events.
            self._wait_set: Any = rclpy_implementation.WaitSet(
                1, 0, 0, 0, 0, 0, cast(Any, context.handle)
            )
        except (AttributeError, TypeError) as error:
            raise WaitSetUnavailable(str(error)) from error

    def serve(self, subscriptions: Sequence[Subscription], until_s: float) -> bool:
        """Wait for the first subscription, then serve all others, and one message of the first.

        until_s: end of the waiting on the monotonic clock. Returns whether the first subscription
        had a message; False at once where the context is no longer valid.
        """
        if not self._context.ok():
            return False
        awaited, *others = subscriptions
        ready = self._wait(awaited, max(round((until_s - time.monotonic()) * 1e9), 0))
        for other in others:
            for _ in range(MAX_MESSAGES_PER_TURN):
                if not _serve_oldest(other):
                    break
        return ready and _serve_oldest(awaited)

    def _wait(self, subscription: Any, timeout_ns: int) -> bool:
        """Whether the subscription has a message within the timeout."""
        self._wait_set.clear_entities()
        index = self._wait_set.add_subscription(subscription.handle)
        self._wait_set.wait(timeout_ns)
        return bool(self._wait_set.is_ready("subscription", index))


def _serve_oldest(subscription: Any) -> bool:
    """Take the oldest message and call its callback; returns whether a message was waiting."""
    taken = subscription.handle.take_message(subscription.msg_type, subscription.raw)
    if taken is not None:
        subscription.callback(taken[0])
    return taken is not None
