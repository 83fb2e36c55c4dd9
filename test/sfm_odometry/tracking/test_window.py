"""Sliding window: order of stamps, gaps and clock jumps."""

from sfm_odometry.tracking.window import Arrival, FrameWindow

STEP_NS = 100_000_000


def filled(length=5, max_gap_ns=500_000_000):
    window = FrameWindow(length, max_gap_ns)
    for index in range(length):
        window.add(f"frame {index}", index * STEP_NS)
    return window


def test_a_full_window_drops_its_oldest_frame():
    window = filled()
    assert window.full
    assert window.add("frame 5", 5 * STEP_NS).arrival is Arrival.ADDED
    assert window.frames == [f"frame {index}" for index in range(1, 6)]
    assert window.stamps_ns == [index * STEP_NS for index in range(1, 6)]


def test_equal_and_older_stamps_are_refused():
    window = filled()
    for stamp_ns in (4 * STEP_NS, 3 * STEP_NS):
        added = window.add("late", stamp_ns)
        assert added.arrival is Arrival.REFUSED
        assert added.reason
    assert window.stamps_ns == [index * STEP_NS for index in range(5)]


def test_a_gap_flushes_the_window_but_dropped_frames_do_not():
    window = filled()
    assert window.add("skipped four", 9 * STEP_NS).arrival is Arrival.ADDED
    added = window.add("after a gap", 15 * STEP_NS)
    assert (added.arrival, added.since_newest_ns) == (Arrival.AFTER_GAP, 6 * STEP_NS)
    assert window.frames == ["after a gap"]


def test_a_clock_jump_flushes_the_window():
    window = filled()
    window.add("later", 20 * STEP_NS)
    assert window.add("bag restarted", STEP_NS).arrival is Arrival.AFTER_CLOCK_JUMP
    assert window.frames == ["bag restarted"]
    assert window.add("next", 2 * STEP_NS).arrival is Arrival.ADDED


def test_flush_keeps_the_newest_stamp_and_reset_forgets_it():
    window = filled()
    window.flush()
    assert window.add("old", STEP_NS * 4).arrival is Arrival.REFUSED
    window.reset()
    assert window.add("old", STEP_NS * 4).arrival is Arrival.ADDED
