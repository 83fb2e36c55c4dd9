"""Speed filter on synthetic sequences of step lengths."""

import numpy as np
import pytest

from sfm_odometry.tracking.speed_filter import SpeedFilter


def filtered(lengths, sigma, dt_s=0.1):
    """Filtered lengths and standard deviations (N, 2)."""
    speed = SpeedFilter()
    result = []
    for length in lengths:
        if speed.initialised:
            speed.predict(dt_s)
        result.append(speed.update(length, sigma, dt_s))
    return np.array(result)


def test_constant_speed_stays_constant():
    assert filtered([0.7] * 30, 0.02)[:, 0] == pytest.approx(0.7)


def test_constant_braking_is_tracked_without_lag():
    lengths = np.linspace(1.0, 0.4, 60)
    assert np.abs(filtered(lengths, 0.02)[30:, 0] - lengths[30:]).max() < 0.01


def test_errors_agree_with_the_standard_deviations():
    rng = np.random.default_rng(0)
    result = filtered(0.8 + 0.03 * rng.normal(size=400), 0.03)[50:]
    errors = result[:, 0] - 0.8
    sigmas = result[:, 1]
    assert errors.std() < 0.02
    assert 0.3 < np.mean((errors / sigmas) ** 2) < 1.5


def test_an_outlier_has_little_influence():
    lengths = [0.8] * 40
    lengths[30] = 3.0
    assert np.abs(filtered(lengths, 0.02)[30:, 0] - 0.8).max() < 0.15


def test_a_stop_is_tracked():
    lengths = [*np.linspace(0.8, 0.0, 25), *[0.0] * 20]
    assert filtered(lengths, 0.02)[-10:, 0].max() < 0.01


def test_dropped_frames_lengthen_the_step_but_not_the_speed():
    speed = SpeedFilter()
    for _ in range(20):
        if speed.initialised:
            speed.predict(0.1)
        speed.update(0.5, 0.01, 0.1)
    assert speed.predict(0.3)[0] == pytest.approx(1.5, rel=0.01)


def test_standard_deviation_grows_without_measurements():
    speed = SpeedFilter()
    speed.update(0.5, 0.01, 0.1)
    sigmas = [speed.predict(0.1)[1] for _ in range(10)]
    assert np.all(np.diff(sigmas) > 0)
