"""The queue before the worker: the newest wins, or nothing is lost up to its capacity."""

import threading

import pytest

from sfm_odometry.nodes.worker import FrameQueue, Worker


def test_the_newest_wins_and_the_others_are_counted() -> None:
    queue: FrameQueue[int] = FrameQueue(100, newest_wins=True)
    assert [queue.put(number) for number in range(4)] == [0, 1, 1, 1]
    assert (queue.take(), len(queue)) == (3, 0)


def test_a_queue_keeps_order_and_drops_the_oldest_beyond_its_capacity() -> None:
    queue: FrameQueue[int] = FrameQueue(3, newest_wins=False)
    assert [queue.put(number) for number in range(5)] == [0, 0, 0, 1, 1]
    assert [queue.take() for _ in range(3)] == [2, 3, 4]


def test_switching_to_the_newest_drops_what_waited() -> None:
    queue: FrameQueue[int] = FrameQueue(10, newest_wins=False)
    for number in range(4):
        queue.put(number)
    queue.newest_wins = True
    assert (queue.put(4), queue.take()) == (4, 4)


def test_held_frames_wait_and_are_let_go() -> None:
    queue: FrameQueue[int] = FrameQueue(10, newest_wins=False)
    queue.hold(True)
    taken: list[int | None] = []
    thread = threading.Thread(target=lambda: taken.append(queue.take()))
    thread.start()
    queue.put(7)
    thread.join(0.05)
    assert thread.is_alive()
    queue.hold(False)
    thread.join(10)
    assert taken == [7]


def test_clear_tells_how_many_were_forgotten() -> None:
    queue: FrameQueue[int] = FrameQueue(10, newest_wins=False)
    queue.put(1)
    queue.put(2)
    assert (queue.clear(), len(queue)) == (2, 0)


@pytest.mark.parametrize("held", [False, True])
def test_closing_ends_the_worker(held: bool) -> None:
    queue: FrameQueue[int] = FrameQueue(10, newest_wins=False)
    queue.hold(held)
    done: list[int] = []
    worker = Worker(queue, done.append)
    worker.stop()
    assert not worker._thread.is_alive()
    assert queue.take() is None


def test_worker_works_in_order_in_one_other_thread() -> None:
    queue: FrameQueue[int] = FrameQueue(100, newest_wins=False)
    seen: list[tuple[int, str]] = []
    finished = threading.Event()

    def work(number: int) -> None:
        seen.append((number, threading.current_thread().name))
        if number == 49:
            finished.set()

    worker = Worker(queue, work)
    for number in range(50):
        queue.put(number)
    assert finished.wait(10)
    worker.stop()
    assert seen == [(number, "inference") for number in range(50)]
