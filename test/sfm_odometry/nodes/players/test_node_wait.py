"""Waiting for a lifecycle node, with a real one over DDS."""

import threading

import pytest
import rclpy
from rclpy.lifecycle import LifecycleNode
from rclpy.node import Node

from sfm_odometry.errors import InputError
from sfm_odometry.nodes.players import node_wait
from sfm_odometry.nodes.spinning import make_executor

PATIENCE_S = 60.0


@pytest.fixture
def player(ros: None) -> Node:
    """Node that waits, with an executor of its own."""
    node = rclpy.create_node("player", namespace="front")
    executor = make_executor()
    executor.add_node(node)
    yield node
    node.destroy_node()


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, bool]]:
    """State that was answered, and whether the wait ends with it, at each question."""
    result: list[tuple[str, bool]] = []
    ask = node_wait._StateWaiter.is_active

    def noted(waiter: node_wait._StateWaiter) -> bool:
        is_active = ask(waiter)
        result.append((waiter._state, is_active))
        return is_active

    monkeypatch.setattr(node_wait._StateWaiter, "is_active", noted)
    return result


def test_the_wait_ends_when_the_node_is_active_and_not_before(spinner, player, answers) -> None:
    awaited = spinner.add(LifecycleNode("awaited", namespace="front"))
    thread = threading.Thread(target=node_wait.wait_until_active, args=(player, "awaited"))
    thread.start()
    spinner.until(lambda: ("unconfigured", False) in answers)
    awaited.trigger_configure()
    spinner.until(lambda: ("inactive", False) in answers)
    awaited.trigger_activate()
    thread.join(PATIENCE_S)
    assert not thread.is_alive()
    assert answers[-1] == ("active", True)
    assert sum(ends for _, ends in answers) == 1


def test_a_timeout_names_the_node_and_what_is_known_of_it(player) -> None:
    with pytest.raises(
        InputError, match=r"^/front/none is not active after 0 s: it does not answer"
    ):
        node_wait.wait_until_active(player, "none", timeout_s=0.0)


def test_the_program_ends_with_2_and_one_line_after_its_timeout(processes) -> None:
    code, output = processes.run("sfm_odometry.nodes.wait_for_node", "/none", "--timeout", "0.1")
    assert (code, output.strip().splitlines()[-1]) == (
        2,
        "error: /none is not active after 0.1 s: it does not answer yet",
    )
