"""Lazy futures and the background thread: each result is computed once, at whatever time."""

import gc
import threading

import numpy as np
import pytest

from sfm_odometry.geometry.camera import Intrinsics
from sfm_odometry.inference.checkpoint import DEFAULT_MODEL
from sfm_odometry.inference.estimator import Estimator
from sfm_odometry.odometry import MonocularOdometry
from sfm_odometry.tracking.frame import Frame
from sfm_odometry.tracking.lazy import BackgroundThread, LazyFuture

CAMERA = Intrinsics(240.0, 240.0, 207.5, 63.5, 416, 128)
TIMEOUT_S = 20.0


class FailsFirst:
    """Computation of 7 that fails in the first calls."""

    def __init__(self, failures):
        self.failures = failures
        self.calls = 0

    def __call__(self):
        self.calls += 1
        if self.calls <= self.failures:
            raise RuntimeError("no memory")
        return 7


@pytest.fixture(scope="module")
def estimator():
    return Estimator.from_file(DEFAULT_MODEL, "cpu", "eager")


def submitted(background, compute):
    future = LazyFuture(compute)
    background.submit(future)
    return future


def frames(count):
    """Images of a texture that moves sideways."""
    wide = np.random.default_rng(0).integers(0, 256, (128, 416 + 3 * count), np.uint8)
    return [wide[:, 3 * index : 3 * index + 416].copy() for index in range(count)]


def test_a_result_is_computed_once_for_all_threads():
    compute = FailsFirst(0)
    future = submitted(BackgroundThread(2), compute)
    threads = [threading.Thread(target=future.get) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert future.get() == 7 and compute.calls == 1


@pytest.mark.parametrize("background", [BackgroundThread(1), BackgroundThread(2)])
def test_get_raises_the_error_and_the_next_call_computes_again(background):
    future = submitted(background, FailsFirst(1))
    with pytest.raises(RuntimeError, match="no memory"):
        future.get()
    assert future.get() == 7


def test_without_a_thread_nothing_is_computed_before_get():
    compute = FailsFirst(0)
    future = submitted(BackgroundThread(1), compute)
    assert compute.calls == 0
    assert future.get() == 7


def test_the_motion_does_not_wait_for_the_depth(estimator, monkeypatch):
    odometry = MonocularOdometry(estimator)
    released = threading.Event()
    odometry._background = BackgroundThread(2)
    *first, last = frames(6)
    for index, image in enumerate(first):
        odometry.process(image, CAMERA, (index + 1) * 100_000_000)
    depth = estimator.depth

    def slow(frame):
        assert released.wait(TIMEOUT_S)
        return depth(frame)

    monkeypatch.setattr(estimator, "depth", slow)
    result = odometry.process(last, CAMERA, 600_000_000)
    assert len(result.motions) == 1 and not released.is_set()
    released.set()
    assert np.isfinite(result.depth.values).any()


def test_poses_and_depth_are_the_same_with_and_without_a_background_thread(estimator):
    results = []
    for background in (BackgroundThread(2), BackgroundThread(1)):
        odometry = MonocularOdometry(estimator)
        odometry._background = background
        run = [
            odometry.process(image, CAMERA, (index + 1) * 100_000_000)
            for index, image in enumerate(frames(8))
        ]
        results.append((run[-1].motions[-1], run[-1].depth))
    (motion, depth), (motion_without, depth_without) = results
    assert np.array_equal(motion.start_from_camera, motion_without.start_from_camera)
    assert np.array_equal(motion.pose_covariance, motion_without.pose_covariance)
    assert np.array_equal(depth.values, depth_without.values, equal_nan=True)


def test_odometry_recovers_after_a_failed_depth(estimator, monkeypatch):
    odometry = MonocularOdometry(estimator)
    depth = estimator.depth
    images = frames(9)
    for index, image in enumerate(images[:6]):
        odometry.process(image, CAMERA, (index + 1) * 100_000_000)

    failures = []

    def fails_once(frame):
        if not failures:
            failures.append(frame)
            raise RuntimeError("no memory")
        return depth(frame)

    monkeypatch.setattr(estimator, "depth", fails_once)
    errors = 0
    motions = 0
    for index, image in enumerate(images[6:], start=6):
        try:
            stamp_ns = (index + 1) * 100_000_000
            motions += len(odometry.process(image, CAMERA, stamp_ns, want_depth=False).motions)
        except RuntimeError:
            errors += 1
    assert errors <= 1
    assert motions == 3  # The failed step comes with the next frame.


def frames_in_memory():
    return [instance for instance in gc.get_objects() if type(instance) is Frame]


def test_frames_outside_the_window_are_freed_at_once(estimator):
    """Not by the garbage collector, which counts objects instead of their size."""
    odometry = MonocularOdometry(estimator)
    others = frames_in_memory()  # Of other odometries, kept alive here until the end.
    gc.disable()
    try:
        for index, image in enumerate(frames(16)):
            odometry.process(image, CAMERA, (index + 1) * 100_000_000)
        alive = len(frames_in_memory()) - len(others)
    finally:
        gc.enable()
    assert alive == estimator.window_length
