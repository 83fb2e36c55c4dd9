"""Waiting for a lifecycle node to be active, so that nothing is played while its model loads."""

import argparse
import math
import time
from collections.abc import Callable, Iterable

from lifecycle_msgs.msg import State
from lifecycle_msgs.srv import GetState
from rclpy.client import Client
from rclpy.node import Node
from rclpy.publisher import Publisher

from sfm_odometry.errors import InputError
from sfm_odometry.nodes.players.pacing import SETTLE_S, serve_until, wait_for_subscribers
from sfm_odometry.nodes.spinning import serve_once

POLL_PERIOD_S = 0.2
"""Pause between two questions for the state."""
ANSWER_TIMEOUT_S = 10.0
"""Time after which an unanswered question is asked again: a node that loads its model answers
late, one that was started anew never."""
REPORT_PERIOD_S = 10.0
"""Pause between two log lines about a node that is waited for."""


def wait_until_active(node: Node, name: str, timeout_s: float = math.inf) -> None:
    """Serve `node` until the lifecycle node `name` is active.

    Raises InputError after the timeout, with the state that the node was in.
    """
    waiter = _StateWaiter(node, name)
    deadline_s = time.monotonic() + timeout_s
    report_s = time.monotonic() + REPORT_PERIOD_S
    try:
        while not waiter.is_active():
            # Say what is waited for, in the end as an error.
            now_s = time.monotonic()
            if now_s >= deadline_s:
                raise InputError(f"{waiter.name} is not active after {timeout_s:g} s: {waiter}")
            if now_s >= report_s:
                node.get_logger().info(f"waiting for {waiter.name} to be active: {waiter}")
                report_s = now_s + REPORT_PERIOD_S
            serve_until(node, min(now_s + POLL_PERIOD_S, deadline_s))
    finally:
        waiter.close()
    serve_until(node, time.monotonic() + SETTLE_S)


def wait_for_listeners(
    player: Node,
    publishers: list[Publisher],
    options: argparse.Namespace,
    enough: Callable[[Iterable[bool]], bool] = all,
) -> None:
    """Wait for the node that `--wait-for-node` names, then for subscriptions of the publishers.

    options: wait_for_node, and wait in seconds, after which a warning is logged and nothing more is
    waited for. enough: `all` or `any` of the publishers.
    """
    if options.wait_for_node:
        wait_until_active(player, options.wait_for_node)
    if publishers and not wait_for_subscribers(player, publishers, options.wait, enough):
        player.get_logger().warning(
            f"nobody listens to {publishers[0].topic_name} "
            f"after {options.wait:g} s: playing all the same"
        )


class _StateWaiter:
    """Asks a lifecycle node for its state."""

    def __init__(self, node: Node, name: str) -> None:
        self._node = node
        service = node.resolve_service_name(f"{name}/get_state")
        self._client: Client = node.create_client(GetState, service)
        self.name = service.removesuffix("/get_state")
        self._state = ""

    def __str__(self) -> str:
        return f"its state is {self._state}" if self._state else "it does not answer yet"

    def is_active(self) -> bool:
        """Ask for the state, and wait for the answer; whether it is active."""
        if not self._client.service_is_ready():
            return False
        future = self._client.call_async(GetState.Request())
        deadline_s = time.monotonic() + ANSWER_TIMEOUT_S
        while not future.done() and time.monotonic() < deadline_s:
            serve_once(self._node, POLL_PERIOD_S)
        answer = future.result() if future.done() else None
        if answer is None:
            self._client.remove_pending_request(future)
            return False
        state = answer.current_state
        self._state = state.label
        return bool(state.id == State.PRIMARY_STATE_ACTIVE)

    def close(self) -> None:
        """Destroy the client."""
        self._node.destroy_client(self._client)
