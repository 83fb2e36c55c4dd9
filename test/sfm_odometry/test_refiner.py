"""The ratio between the networks' lengths is learned, and only from steps that say something about it."""

import numpy as np
import pytest

import sfm_odometry.refiner as module
from sfm_odometry.refine import Refinement
from sfm_odometry.refiner import MotionRefiner


def step(length):
    matrix = np.eye(4)
    matrix[2, 3] = length
    return matrix


class Images:
    """Stands in for the alignment: images in which every step is `length` long, known to `sigma`, held by the prior by half."""

    def __init__(self, length=2.0, sigma=0.02, converged=True, noise=()):
        self.length, self.sigma, self.converged, self.noise = length, sigma, converged, iter(noise)
        self.given, self.configs = [], []

    def __call__(self, current, previous, depth, intrinsics, given, weights, config, depth_previous):
        self.given.append(float(given[2, 3]))
        self.configs.append(config)
        seen = self.length * np.exp(next(self.noise, 0.0))
        length = seen if config.prior_length == 0 else np.sqrt(seen * given[2, 3])
        motion = step(length) if self.converged else given
        covariance = np.eye(6) * self.sigma**2
        return Refinement(motion, covariance, self.converged, "" if self.converged else "no", 0.1, 0.05, 0.9, 5)


def run(monkeypatch, images, lengths, refiner=None):
    monkeypatch.setattr(module, "refine_motion", images)
    refiner = refiner or MotionRefiner()
    return refiner, [refiner.refine(None, None, None, None, step(length)) for length in lengths]


def test_lengths_end_up_in_the_depths_unit(monkeypatch):
    refiner, results = run(monkeypatch, Images(length=2.0), [1.0] * 12)
    assert refiner.length_ratio == pytest.approx(2.0)
    assert results[-1].previous_from_current[2, 3] == pytest.approx(2.0)


def test_the_first_steps_are_not_held_by_a_length_in_another_unit(monkeypatch):
    images = Images()
    run(monkeypatch, images, [1.0] * 8)
    assert [config.prior_length == 0 for config in images.configs] == [True] * 5 + [False] * 3


def test_ratio_is_steadier_than_the_steps(monkeypatch):
    noise = np.random.default_rng(0).normal(0, 0.1, 200)
    refiner = MotionRefiner()
    ratios = []
    monkeypatch.setattr(module, "refine_motion", Images(noise=noise))
    for _ in range(200):
        refiner.refine(None, None, None, None, step(1.0))
        ratios.append(refiner.length_ratio)
    assert np.std(ratios[20:]) < 0.05 * 2.0
    assert np.mean(ratios[20:]) == pytest.approx(2.0, rel=0.03)


def test_a_step_that_is_not_believed_keeps_the_unit_and_teaches_nothing(monkeypatch):
    refiner, _ = run(monkeypatch, Images(length=2.0), [1.0] * 10)
    _, results = run(monkeypatch, Images(converged=False), [1.5], refiner)
    assert results[0].previous_from_current[2, 3] == pytest.approx(3.0)
    assert refiner.length_ratio == pytest.approx(2.0)


def test_standing_still_teaches_nothing(monkeypatch):
    refiner, _ = run(monkeypatch, Images(length=2.0), [1.0] * 10)
    run(monkeypatch, Images(length=0.001), [0.0, 0.003, 0.0], refiner)
    assert refiner.length_ratio == pytest.approx(2.0)


def test_reset_forgets(monkeypatch):
    refiner, _ = run(monkeypatch, Images(length=2.0), [1.0] * 10)
    refiner.reset()
    assert refiner.length_ratio == 1.0
