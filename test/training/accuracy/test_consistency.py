"""Normalised errors of steps whose true covariance is known."""

import math

import numpy as np
import pytest

from sfm_odometry.tracking.trajectory import rotation_from_vector
from training.accuracy.consistency import chi_squared_probability, normalised_errors, small_motion

SIGMAS = np.array([0.02, 0.01, 0.05, 0.001, 0.002, 0.0005])


def motion(vector):
    result = np.eye(4)
    result[:3, 3], result[:3, :3] = vector[:3], rotation_from_vector(vector[3:])
    return result


@pytest.fixture
def steps():
    """600 predicted steps and true ones that differ by noise of SIGMAS in the current camera's
    axes."""
    rng = np.random.default_rng(5)
    predicted = np.stack(
        [motion([*rng.normal(0, 0.02, 2), 1.0, *rng.normal(0, 0.03, 3)]) for _ in range(600)]
    )
    return predicted, np.stack([step @ motion(rng.normal(0, SIGMAS)) for step in predicted])


def test_an_honest_covariance_scores_one(steps):
    predicted, true = steps
    anees = normalised_errors(
        true, predicted, np.tile(np.diag(SIGMAS**2), (600, 1, 1)), metric=True
    ).anees()
    assert list(anees) == ["anees", "anees_translation", "anees_rotation"]
    assert all(value == pytest.approx(1, abs=0.1) for value in anees.values())


def test_half_the_standard_deviation_scores_four_where_it_is_wrong(steps):
    predicted, true = steps
    covariances = np.tile(np.diag((SIGMAS * [1, 1, 1, 0.5, 0.5, 0.5]) ** 2), (600, 1, 1))
    anees = normalised_errors(true, predicted, covariances, metric=True).anees()
    assert anees["anees_translation"] == pytest.approx(1, abs=0.1)
    assert anees["anees_rotation"] == pytest.approx(4, abs=0.4)
    assert anees["anees"] == pytest.approx(2.5, abs=0.25)


def test_an_unknown_unit_is_no_error_and_scales_the_covariance(steps):
    predicted, true = steps
    shrunk, units = predicted.copy(), np.array([0.1] * 3 + [1] * 3)
    shrunk[:, :3, 3] *= 0.1
    covariances = np.tile(np.diag((SIGMAS * units) ** 2), (600, 1, 1))
    assert normalised_errors(true, shrunk, covariances, metric=False).anees()[
        "anees"
    ] == pytest.approx(1, abs=0.1)
    assert (
        normalised_errors(true, shrunk, covariances, metric=True).anees()["anees_translation"] > 100
    )


def test_errors_are_measured_in_the_axes_of_the_current_camera():
    turned = motion([0, 0, 1, 0, math.pi / 2, 0])
    sideways = motion([0.1, 0, 0, 0, 0, 0])
    covariance = np.diag([0.01, 1e6, 1e6, 1, 1, 1])[None]
    (nees,) = normalised_errors(
        (turned @ sideways)[None], turned[None], covariance, metric=True
    ).translation
    assert nees == pytest.approx(1)


def test_no_steps_have_no_anees():
    none = normalised_errors(
        np.zeros((0, 4, 4)), np.zeros((0, 4, 4)), np.zeros((0, 6, 6)), metric=False
    )
    assert all(math.isnan(value) for value in none.anees().values())


def test_small_motion_undoes_itself():
    vector = np.array([0.1, -0.2, 0.3, 0.01, -0.02, 0.03])
    np.testing.assert_allclose(small_motion(motion(vector)), vector, atol=1e-12)


def test_the_distribution_is_that_of_sums_of_three_squares():
    squares = np.sum(np.random.default_rng(0).standard_normal((20000, 3)) ** 2, axis=1)
    shares = chi_squared_probability(np.sort(squares))
    np.testing.assert_allclose(shares, (np.arange(20000) + 0.5) / 20000, atol=0.015)
    np.testing.assert_allclose(
        chi_squared_probability(np.array([0.0, 2.366, 7.815])), [0, 0.5, 0.95], atol=1e-4
    )
