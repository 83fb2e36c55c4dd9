import numpy as np
import pytest

from demo.bench import network_times, noise, odometry_times, timed
from sfm_odometry.estimator import Estimator


@pytest.fixture(scope="module")
def estimator() -> Estimator:
    return Estimator.from_file(device="cpu")


def test_every_call_is_timed():
    calls = []
    milliseconds = timed(lambda: calls.append(1), 5)
    assert len(calls) == 5
    assert milliseconds.shape == (5,)
    assert (milliseconds >= 0).all()


def test_the_networks_are_timed_one_by_one(estimator):
    assert all(times.shape == (2,) and (times > 0).all() for times in network_times(estimator, 2).values())


def test_the_odometry_is_timed_on_frames_it_really_worked_on(estimator):
    preprocess_ms, whole_ms = odometry_times(estimator, 3).values()
    assert preprocess_ms.shape == whole_ms.shape == (3,)
    assert (whole_ms > preprocess_ms).all()
    assert (whole_ms > 1.0).all()  # a lost frame would skip the networks


def test_noise_repeats():
    np.testing.assert_array_equal(next(noise(4, 5, 3)), next(noise(4, 5, 3)))
