"""Normalised errors of steps with a known covariance."""

import math

import numpy as np
import pytest

from sfm_odometry.geometry import se3
from training.accuracy.consistency import (
    chi_squared_cdf,
    interpolated_truth,
    normalised_errors,
    small_motion_vector,
)

SIGMAS = np.array([0.02, 0.01, 0.05, 0.001, 0.002, 0.0005])


def motion(vector):
    result = np.eye(4)
    result[:3, 3] = vector[:3]
    result[:3, :3] = se3.so3_exp(vector[3:])
    return result


@pytest.fixture
def steps():
    """Predicted and true steps (600, 4, 4), with noise of SIGMAS in the current camera's axes."""
    rng = np.random.default_rng(5)
    predicted = np.stack(
        [motion([*rng.normal(0, 0.02, 2), 1.0, *rng.normal(0, 0.03, 3)]) for _ in range(600)]
    )
    return predicted, np.stack([step @ motion(rng.normal(0, SIGMAS)) for step in predicted])


def test_anees_of_the_true_covariance_is_one(steps):
    predicted, true = steps
    anees = normalised_errors(
        true, predicted, np.tile(np.diag(SIGMAS**2), (600, 1, 1)), metric=True
    ).anees()
    assert list(anees) == ["anees", "anees_translation", "anees_rotation"]
    assert all(value == pytest.approx(1, abs=0.1) for value in anees.values())


def test_anees_of_half_the_standard_deviation_is_four(steps):
    predicted, true = steps
    covariances = np.tile(np.diag((SIGMAS * [1, 1, 1, 0.5, 0.5, 0.5]) ** 2), (600, 1, 1))
    anees = normalised_errors(true, predicted, covariances, metric=True).anees()
    assert anees["anees_translation"] == pytest.approx(1, abs=0.1)
    assert anees["anees_rotation"] == pytest.approx(4, abs=0.4)
    assert anees["anees"] == pytest.approx(2.5, abs=0.25)


def test_unknown_unit_scales_errors_and_covariance(steps):
    predicted, true = steps
    units = np.array([0.1] * 3 + [1] * 3)
    shrunk = predicted.copy()
    shrunk[:, :3, 3] *= 0.1
    covariances = np.tile(np.diag((SIGMAS * units) ** 2), (600, 1, 1))
    scaled = normalised_errors(true, shrunk, covariances, metric=False).anees()
    assert scaled["anees"] == pytest.approx(1, abs=0.1)
    unscaled = normalised_errors(true, shrunk, covariances, metric=True).anees()
    assert unscaled["anees_translation"] > 100


def test_errors_are_in_the_axes_of_the_current_camera():
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


def test_small_motion_vector_inverts_motion():
    vector = np.array([0.1, -0.2, 0.3, 0.01, -0.02, 0.03])
    np.testing.assert_allclose(small_motion_vector(motion(vector)), vector, atol=1e-12)


def test_cdf_is_that_of_sums_of_three_squares():
    squares = np.sum(np.random.default_rng(0).standard_normal((20000, 3)) ** 2, axis=1)
    shares = chi_squared_cdf(np.sort(squares))
    np.testing.assert_allclose(shares, (np.arange(20000) + 0.5) / 20000, atol=0.015)
    np.testing.assert_allclose(
        chi_squared_cdf(np.array([0.0, 2.366, 7.815])), [0, 0.5, 0.95], atol=1e-4
    )


def turning_steps(turns_rad: np.ndarray) -> np.ndarray:
    """Steps (M, 4, 4) ahead that turn about the vertical axis by angles (M,)."""
    steps = np.tile(np.eye(4), (len(turns_rad), 1, 1))
    steps[:, :3, :3] = [se3.so3_exp(np.array([0.0, angle, 0.0])) for angle in turns_rad]
    steps[:, 2, 3] = 1.0
    return steps


def test_steps_of_an_interpolated_truth_are_found():
    turns = np.random.default_rng(3).normal(0, 0.01, 40)
    turns[12:25] = 0.004
    mask = interpolated_truth(turning_steps(turns))
    assert np.flatnonzero(mask).tolist() == list(range(12, 25))


@pytest.mark.parametrize("turn_rad", [0.0, 0.02])
def test_a_straight_road_and_a_constant_turn_are_no_interpolation(turn_rad):
    assert not interpolated_truth(turning_steps(np.full(40, turn_rad))).any()
    assert interpolated_truth(np.zeros((0, 4, 4))).shape == (0,)
