"""Noise model: positive definite covariances that grow with the motion."""

import numpy as np
import pytest

from sfm_odometry.geometry import se3
from sfm_odometry.tracking.noise_model import (
    motion_covariance,
    scale_covariance,
    systematic_covariance,
)


def step(length, yaw_rad=0.0):
    matrix = np.eye(4)
    matrix[:3, :3] = se3.so3_exp(np.array([0.0, yaw_rad, 0.0]))
    matrix[2, 3] = length
    return matrix


@pytest.mark.parametrize("covariance_of", [motion_covariance, systematic_covariance])
@pytest.mark.parametrize("motion", [step(0.0), step(0.7), step(0.7, 0.3)])
def test_covariances_are_positive_definite(covariance_of, motion):
    covariance = covariance_of(motion)
    assert np.allclose(covariance, covariance.T)
    assert np.linalg.eigvalsh(covariance).min() > 0


@pytest.mark.parametrize("covariance_of", [motion_covariance, systematic_covariance])
def test_covariances_grow_with_the_motion(covariance_of):
    assert np.all(np.diag(covariance_of(step(2.0))) >= np.diag(covariance_of(step(0.5))))
    assert np.trace(covariance_of(step(2.0))) > np.trace(covariance_of(step(0.5)))


def test_network_motions_have_wider_covariances_than_refined_ones():
    assert np.all(np.diag(motion_covariance(step(0.7))) > np.diag(systematic_covariance(step(0.7))))


def test_scale_covariance_lies_along_the_motion_in_the_current_axes():
    turned = step(0.7, 0.5)
    direction = turned[:3, :3].T @ turned[:3, 3] / 0.7
    values, vectors = np.linalg.eigh(scale_covariance(turned, 0.1)[:3, :3])
    assert values == pytest.approx([0.0, 0.0, 0.07**2], abs=1e-12)
    assert abs(vectors[:, 2] @ direction) == pytest.approx(1.0)
