"""Worker thread and the frame queue in front of it."""

import threading

import pytest

from sfm_odometry.nodes.worker import FrameQueue, Worker


def test_only_the_latest_is_kept_and_dropped_ones_are_counted() -> None:
    queue: FrameQueue[int] = FrameQueue(100, latest_only=True)
    assert [queue.put(number) for number in range(4)] == [0, 1, 1, 1]
    assert (queue.get(), len(queue)) == (3, 0)


def test_a_queue_keeps_order_and_drops_the_oldest_beyond_its_capacity() -> None:
    queue: FrameQueue[int] = FrameQueue(3, latest_only=False)
    assert [queue.put(number) for number in range(5)] == [0, 0, 0, 1, 1]
    assert [queue.get() for _ in range(3)] == [2, 3, 4]


def test_switching_to_latest_only_drops_waiting_items() -> None:
    queue: FrameQueue[int] = FrameQueue(10, latest_only=False)
    for number in range(4):
        queue.put(number)
    queue.latest_only = True
    assert (queue.put(4), queue.get()) == (4, 4)


def test_held_frames_wait_until_release() -> None:
    queue: FrameQueue[int] = FrameQueue(10, latest_only=False)
    queue.set_held(True)
    taken: list[int | None] = []
    thread = threading.Thread(target=lambda: taken.append(queue.get()))
    thread.start()
    queue.put(7)
    thread.join(0.05)
    assert thread.is_alive()
    queue.set_held(False)
    thread.join(10)
    assert taken == [7]


def test_clear_returns_the_number_of_dropped_items() -> None:
    queue: FrameQueue[int] = FrameQueue(10, latest_only=False)
    queue.put(1)
    queue.put(2)
    assert (queue.clear(), len(queue)) == (2, 0)


@pytest.mark.parametrize("held", [False, True])
def test_closing_ends_the_worker(held: bool) -> None:
    queue: FrameQueue[int] = FrameQueue(10, latest_only=False)
    queue.set_held(held)
    done: list[int] = []
    worker = Worker(queue, done.append)
    worker.stop()
    assert not worker.is_alive
    assert queue.get() is None


def test_worker_works_in_order_in_one_other_thread() -> None:
    queue: FrameQueue[int] = FrameQueue(100, latest_only=False)
    processed: list[tuple[int, str]] = []
    finished = threading.Event()

    def work(number: int) -> None:
        processed.append((number, threading.current_thread().name))
        if number == 49:
            finished.set()

    worker = Worker(queue, work)
    for number in range(50):
        queue.put(number)
    assert finished.wait(10)
    worker.stop()
    assert processed == [(number, "inference") for number in range(50)]
