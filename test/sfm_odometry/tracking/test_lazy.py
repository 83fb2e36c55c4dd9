"""Depth beside the motion: what is asked for later is computed once, and nothing depends on
when."""

import gc
import threading

import numpy as np
import pytest

from sfm_odometry.geometry.camera import Intrinsics
from sfm_odometry.inference.checkpoint import DEFAULT_MODEL
from sfm_odometry.inference.estimator import Estimator
from sfm_odometry.odometry import MonocularOdometry
from sfm_odometry.tracking.frame import Frame
from sfm_odometry.tracking.lazy import Background, LazyFuture

CAMERA = Intrinsics(240.0, 240.0, 207.5, 63.5, 416, 128)
PATIENCE_S = 20.0


class Fails:
    """Computes 7, after it failed so many times."""

    def __init__(self, times):
        self.times, self.calls = times, 0

    def __call__(self):
        self.calls += 1
        if self.calls <= self.times:
            raise RuntimeError("no memory")
        return 7


@pytest.fixture(scope="module")
def estimator():
    return Estimator.from_file(DEFAULT_MODEL, "cpu", "eager")


def begun(background, compute):
    later = LazyFuture(compute)
    background.begin(later)
    return later


def frames(count):
    """A texture that moves sideways."""
    wide = np.random.default_rng(0).integers(0, 256, (128, 416 + 3 * count), np.uint8)
    return [wide[:, 3 * index : 3 * index + 416].copy() for index in range(count)]


def test_a_result_is_computed_once_whoever_asks():
    compute = Fails(0)
    later = begun(Background(2), compute)
    threads = [threading.Thread(target=later.get) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert later.get() == 7 and compute.calls == 1


@pytest.mark.parametrize("background", [Background(1), Background(2)])
def test_an_error_is_raised_to_who_asks_and_the_next_one_tries_again(background):
    later = begun(background, Fails(1))
    with pytest.raises(RuntimeError, match="no memory"):
        later.get()
    assert later.get() == 7


def test_without_a_thread_nothing_happens_before_it_is_asked_for():
    compute = Fails(0)
    later = begun(Background(1), compute)
    assert compute.calls == 0
    assert later.get() == 7


def test_the_motion_is_known_before_the_depth_is(estimator, monkeypatch):
    odometry, finished = MonocularOdometry(estimator), threading.Event()
    odometry._background = Background(2)
    *first, last = frames(6)
    for index, image in enumerate(first):
        odometry.process(image, CAMERA, (index + 1) * 100_000_000)
    depth = estimator.depth

    def slow(frame):
        assert finished.wait(PATIENCE_S)
        return depth(frame)

    monkeypatch.setattr(estimator, "depth", slow)
    result = odometry.process(last, CAMERA, 600_000_000)
    assert len(result.motions) == 1 and not finished.is_set()
    finished.set()
    assert np.isfinite(result.depth.values).any()


def test_poses_and_depth_are_the_same_with_and_without_a_thread(estimator):
    results = []
    for background in (Background(2), Background(1)):
        odometry = MonocularOdometry(estimator)
        odometry._background = background
        run = [
            odometry.process(image, CAMERA, (index + 1) * 100_000_000)
            for index, image in enumerate(frames(8))
        ]
        results.append((run[-1].motions[-1], run[-1].depth))
    (beside, depth_beside), (after, depth_after) = results
    assert np.array_equal(beside.start_from_camera, after.start_from_camera)
    assert np.array_equal(beside.pose_covariance, after.pose_covariance)
    assert np.array_equal(depth_beside.values, depth_after.values, equal_nan=True)


def test_a_frame_whose_depth_failed_once_does_not_end_the_odometry(estimator, monkeypatch):
    odometry, depth = MonocularOdometry(estimator), estimator.depth
    images = frames(9)
    for index, image in enumerate(images[:6]):
        odometry.process(image, CAMERA, (index + 1) * 100_000_000)

    def failing(frame):
        monkeypatch.setattr(estimator, "depth", depth)
        raise RuntimeError("no memory")

    monkeypatch.setattr(estimator, "depth", failing)
    errors, motions = 0, 0
    for index, image in enumerate(images[6:], start=6):
        try:
            motions += len(
                odometry.process(image, CAMERA, (index + 1) * 100_000_000, want_depth=False).motions
            )
        except RuntimeError:
            errors += 1
    assert errors <= 1
    assert motions == 3  # the step that failed came with the next frame


def frames_in_memory():
    return [thing for thing in gc.get_objects() if type(thing) is Frame]


def test_frames_that_left_the_window_leave_memory_at_once(estimator):
    """Not when Python happens to look for cycles of references, which counts objects, not their
    size."""
    odometry = MonocularOdometry(estimator)
    others = frames_in_memory()  # of other odometries, held here until the end
    gc.disable()
    try:
        for index, image in enumerate(frames(16)):
            odometry.process(image, CAMERA, (index + 1) * 100_000_000)
        alive = len(frames_in_memory()) - len(others)
    finally:
        gc.enable()
    assert alive == estimator.window_length
