"""Parts of the node benchmark."""

import gc
import math
import mmap
import os
import subprocess
import sys
import threading
import time

import cv2
import numpy as np
import pytest

from benchmarks.node.corridor import CAMERA, STEP_M, periodic_noise, render_corridor
from benchmarks.node.process_usage import process_seconds, resident_mib, thread_seconds
from benchmarks.node.rate_search import MAX_RATIO, highest_sustained_rate
from benchmarks.node.stages import MAIN_THREAD_STAGE, StageClock, install, median_ms
from benchmarks.node.table import align_columns
from benchmarks.node.targets import Target


@pytest.mark.parametrize("limit_hz", [3.0, 21.0, 40.0, 95.0])
@pytest.mark.parametrize("start_hz", [10.0, 40.0, 60.0])
def test_the_highest_sustained_rate_is_found_from_above_and_below(limit_hz, start_hz):
    tried = []

    def sustains(rate_hz: float) -> bool:
        tried.append(rate_hz)
        return rate_hz <= limit_hz

    found = highest_sustained_rate(start_hz, sustains, trials=40)
    assert found is not None and found in tried
    assert limit_hz / MAX_RATIO <= found <= limit_hz
    assert len(tried) < 25


def test_a_rate_search_without_success_ends_after_its_trials():
    tried = []
    assert highest_sustained_rate(10.0, lambda rate: bool(tried.append(rate)), trials=3) is None
    assert tried == pytest.approx([10.0, 8.0, 6.4])


def test_the_corridor_moves_towards_the_camera_without_a_seam():
    camera = CAMERA.resized(620, 188)
    images = render_corridor(camera, 48)
    assert all(image.shape == (188, 620, 3) and image.dtype == np.uint8 for image in images)
    # Compare the road at two depths STEP_M apart: the nearer one shows now what the farther one
    # showed a frame ago. The first frame follows on the last.
    column = camera.cx
    far = 9.0
    rows = [camera.cy + camera.fy * 1.65 / depth for depth in (far, far - STEP_M)]
    for earlier, later in zip(images, [*images[1:], images[0]], strict=True):
        before = bilinear(earlier, rows[0], column)
        after = bilinear(later, rows[1], column)
        assert abs(float(before - after)) < 12.0  # haze and blur differ a little
    assert np.std([image[160, 310, 0] for image in images]) > 5.0


def bilinear(image: np.ndarray, row: float, column: float) -> float:
    return float(cv2.getRectSubPix(image[..., 0], (3, 1), (column, row)).mean())


def test_noise_is_periodic():
    noise = periodic_noise(256, 1)
    inside = np.abs(np.diff(noise, axis=1)).mean()
    across = np.abs(noise[:, 0] - noise[:, -1]).mean()
    assert across < 1.5 * inside
    assert noise.min() >= 0.0 and noise.max() <= 1.0 and noise.std() > 0.1


def test_processor_time_and_memory_are_those_of_the_process():
    before_s = process_seconds(os.getpid())
    spend_s(0.2)
    used = os.times()
    assert process_seconds(os.getpid()) - before_s >= 0.15
    assert process_seconds(os.getpid()) == pytest.approx(used.user + used.system, abs=0.1)
    assert thread_seconds(os.getpid())["main"] > 0.0
    gc.collect()  # what earlier tests left must not be freed in between
    before_mib = resident_mib(os.getpid())
    # Of the system, as the heap may hold as much that is resident and free.
    block = np.frombuffer(mmap.mmap(-1, 64 * 2**20), np.uint8)
    block[:] = 1
    assert resident_mib(os.getpid()) - before_mib == pytest.approx(64.0, abs=8.0)
    del block


def spend_s(seconds: float) -> None:
    end_s = time.thread_time() + seconds
    while time.thread_time() < end_s:
        pass


def test_a_nested_stage_is_counted_once():
    clock = StageClock()
    inner = clock.time_stage("inner", lambda: spend_s(0.03))

    def outer() -> None:
        spend_s(0.02)
        inner()
        inner()

    clock.time_frame("frame", clock.time_stage("outer", outer))()
    ((_, stages),) = clock.frames
    assert stages["inner"] == pytest.approx(60.0, abs=8.0)
    assert stages["outer"] == pytest.approx(20.0, abs=8.0)
    assert stages["frame"] < 2.0


def test_a_stage_that_fails_is_closed_and_its_error_is_raised():
    clock = StageClock()

    def fail() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        clock.time_frame("frame", clock.time_stage("outer", fail))()
    clock.time_frame("frame", lambda: spend_s(0.01))()
    assert [set(stages) for _, stages in clock.frames] == [{"frame", "outer"}, {"frame"}]


def test_medians_are_of_the_frames_within_the_time_span():
    frames = [(second * 10**9, {"mask": float(second), "bookkeeping": 1.0}) for second in range(10)]
    assert median_ms(frames, (4.0, 6.0)) == {"mask": 5.0, "bookkeeping": 1.0}
    assert median_ms(frames, (20.0, 30.0)) == {}


def test_the_main_threads_stage_has_its_mean():
    frames = [
        (second * 10**9, {MAIN_THREAD_STAGE: float(second == 2), "bookkeeping": 1.0})
        for second in range(4)
    ]
    assert median_ms(frames, (0.0, 3.0)) == {MAIN_THREAD_STAGE: 0.25, "bookkeeping": 1.0}


def test_work_of_the_main_thread_counts_for_the_next_frame():
    clock = StageClock()
    frame = clock.time_frame("frame", lambda: None)
    for seconds in (0.0, 0.05, 0.0):
        spend_s(seconds)
        worker = threading.Thread(target=frame)
        worker.start()
        worker.join()
    main_thread_ms = [stages[MAIN_THREAD_STAGE] for _, stages in clock.frames]
    assert main_thread_ms[1] == pytest.approx(50.0, abs=15.0)
    assert main_thread_ms[2] < 10.0


def test_every_stage_has_its_function():
    # In a process of its own, since the functions stay wrapped.
    code = "from benchmarks.node.stages import StageClock, install; install(StageClock())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert callable(install)


@pytest.mark.parametrize(
    ("value", "at_least", "met"),
    [(40.0, True, True), (39.9, True, False), (40.0, False, True), (41.0, False, False)],
)
def test_a_target_is_met_at_its_limit(value, at_least, met):
    assert Target("rate", 40.0, "", value, at_least).met is met
    assert not Target("rate", 40.0, "", None, at_least).met


def test_columns_are_aligned():
    lines = align_columns([["name", "a"], ["longer name", "12.5"]]).splitlines()
    assert lines == ["name            a", "longer name  12.5"]
    assert math.isclose(len(lines[0]), len(lines[1]))
