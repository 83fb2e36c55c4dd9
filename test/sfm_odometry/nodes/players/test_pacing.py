"""Reading ahead: order, errors, and the end of the thread."""

import threading
import time
from collections.abc import Iterator

import pytest

from sfm_odometry.nodes.players.pacing import read_ahead


def reader_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "read ahead"]


def test_items_come_in_order() -> None:
    assert list(read_ahead(range(100), count=3)) == list(range(100))
    assert not reader_threads()


def test_an_error_is_raised_after_the_items_before_it() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise OSError("no such disk")

    ahead = read_ahead(items())
    assert next(ahead) == 1
    with pytest.raises(OSError, match="no such disk"):
        next(ahead)
    assert not reader_threads()


@pytest.mark.parametrize("count", [1, 8])
def test_the_thread_ends_with_the_reader(count: int) -> None:
    """The thread ends while its queue is full (1), and while it makes an item (8)."""

    def items() -> Iterator[int]:
        for index in range(1000):
            time.sleep(0.05)
            yield index

    for item in read_ahead(items(), count):
        if item == 3:
            assert reader_threads()
            break
    assert not reader_threads()
