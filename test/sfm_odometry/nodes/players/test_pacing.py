"""Reading ahead: in order, errors in their turn, and nothing left behind."""

import threading
import time
from collections.abc import Iterator

import pytest

from sfm_odometry.nodes.players.pacing import read_ahead


def threads_that_read() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "read ahead"]


def test_items_come_in_order() -> None:
    assert list(read_ahead(range(100), count=3)) == list(range(100))
    assert not threads_that_read()


def test_an_error_is_raised_after_what_came_before_it() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise OSError("no such disk")

    ahead = read_ahead(items())
    assert next(ahead) == 1
    with pytest.raises(OSError, match="no such disk"):
        next(ahead)
    assert not threads_that_read()


@pytest.mark.parametrize("count", [1, 8])
def test_the_thread_ends_with_who_reads_though_an_item_takes_its_time(count: int) -> None:
    """With a full queue (1), and while an item is being made (8)."""

    def items() -> Iterator[int]:
        for index in range(1000):
            time.sleep(0.05)
            yield index

    for item in read_ahead(items(), count):
        if item == 3:
            assert threads_that_read()
            break
    assert not threads_that_read()
