"""Two-view bundle adjustment: Jacobians against finite differences, and synthetic tracks."""

import numpy as np
import pytest

from sfm_odometry.geometry import se3
from sfm_odometry.tracking.two_view_ba import (
    Correspondences,
    MotionPrior,
    RobustNorm,
    align_tracks,
    inverse_depth_after,
    linearise,
    perturb,
    pixel_rays,
    project,
)

K = np.array([[240.0, 0.0, 208.0], [0.0, 230.0, 64.0], [0.0, 0.0, 1.0]])
TRUTH = np.eye(4)
TRUTH[:3, :3] = se3.so3_exp(np.array([0.004, 0.02, -0.006]))
TRUTH[:3, 3] = (0.03, -0.02, 0.8)
WEAK = np.eye(6) * 1e-6
"""Information of a prior without influence."""
NORM = RobustNorm(threshold=1.0, depth_threshold=2.5, noise_floor=0.05)


@pytest.fixture
def tracks():
    """Keypoints (300, 2) of the previous frame, and their true inverse depths."""
    rng = np.random.default_rng(0)
    keypoints = rng.uniform([10, 10], [400, 120], (300, 2))
    return keypoints, 1.0 / rng.uniform(5.0, 40.0, 300)


def error_of(motion):
    """Errors of the rotation in degrees, and of the translation."""
    change = se3.inverse(TRUTH) @ motion
    return np.degrees(np.linalg.norm(se3.so3_log(change[:3, :3]))), np.linalg.norm(change[:3, 3])


def adjusted(points, prior_information=WEAK, initial=TRUTH, norm=NORM):
    return align_tracks(points, K, MotionPrior(initial, prior_information), norm)


def test_jacobians_equal_finite_differences(tracks):
    keypoints, inverse_depth = tracks
    current = project(keypoints, inverse_depth, TRUTH, K).T
    linear = linearise(pixel_rays(keypoints, K), inverse_depth, current, TRUTH, K)
    for index in range(6):
        xi = np.eye(6)[index] * 1e-6
        plus, minus = (
            -project(keypoints, inverse_depth, perturb(TRUTH, sign * xi), K) for sign in (1, -1)
        )
        assert np.allclose((plus - minus).T / 2e-6, linear.J_m[index], rtol=1e-5, atol=1e-4)
    plus, minus = (-project(keypoints, inverse_depth + sign * 1e-7, TRUTH, K) for sign in (1, -1))
    assert np.allclose((plus - minus).T / 2e-7, linear.J_d, rtol=1e-5, atol=1e-3)


def test_propagated_inverse_depth_is_that_of_the_transformed_point(tracks):
    keypoints, inverse_depth = tracks
    points = (pixel_rays(keypoints, K) / inverse_depth).T
    current_from_previous = se3.inverse(TRUTH)
    transformed = points @ current_from_previous[:3, :3].T + current_from_previous[:3, 3]
    after, variance = inverse_depth_after(keypoints, inverse_depth, np.full(300, 1e-4), TRUTH, K)
    assert np.allclose(after, 1.0 / transformed[:, 2])
    changed, _ = inverse_depth_after(keypoints, inverse_depth + 1e-6, np.zeros(300), TRUTH, K)
    assert np.allclose(np.sqrt(variance), np.abs(changed - after) / 1e-6 * 1e-2, rtol=1e-3)


def test_known_depths_determine_rotation_direction_and_length(tracks):
    keypoints, inverse_depth = tracks
    current = project(keypoints, inverse_depth, TRUTH, K)
    points = Correspondences(keypoints, current, inverse_depth, 0.01 * inverse_depth)
    initial = np.eye(4)
    initial[2, 3] = 0.6
    result = adjusted(points, initial=initial)
    angle_deg, length = error_of(result.previous_from_current)
    assert angle_deg < 1e-3 and length < 1e-4


def test_unknown_depths_determine_all_but_the_length(tracks):
    """Rotation and direction are found, and the depths up to the prior's length."""
    keypoints, inverse_depth = tracks
    wrong = inverse_depth * np.exp(0.5 * np.random.default_rng(1).normal(size=300))
    current = project(keypoints, inverse_depth, TRUTH, K)
    points = Correspondences(keypoints, current, wrong, 3.0 * inverse_depth)
    information = np.zeros((6, 6))
    translation = TRUTH[:3, :3].T @ TRUTH[:3, 3]
    direction_squared = np.outer(translation, translation) / (translation @ translation)
    information[:3, :3] = direction_squared / 0.001**2
    result = adjusted(points, information + WEAK)
    angle_deg, length = error_of(result.previous_from_current)
    assert angle_deg < 0.01 and length < 0.01
    assert np.median(np.abs(np.log(result.inverse_depth / inverse_depth))) < 0.02


def test_wrong_depths_of_half_the_image_do_not_rotate_the_camera(tracks):
    """Half of the image is predicted 40 % too far: the keypoints determine the rotation."""
    keypoints, inverse_depth = tracks
    wrong = np.where(keypoints[:, 0] > 208, inverse_depth / 1.4, inverse_depth)
    current = project(keypoints, inverse_depth, TRUTH, K)
    points = Correspondences(keypoints, current, wrong, 0.3 * inverse_depth)
    result = adjusted(points)
    assert error_of(result.previous_from_current)[0] < 0.02


def test_too_large_sigmas_of_depth_do_not_lengthen_the_step(tracks):
    """Depths are better than their sigmas: the mean length over many draws is the true one."""
    keypoints, inverse_depth = tracks
    rng = np.random.default_rng(3)
    lengths = []
    for _ in range(60):
        depth_noise = 0.2 * rng.normal(size=300) * inverse_depth
        noise = 0.15 * rng.normal(size=keypoints.shape)
        current = project(keypoints, inverse_depth, TRUTH, K) + noise
        noisy_depth = np.maximum(inverse_depth + depth_noise, 1e-3)
        result = adjusted(Correspondences(keypoints, current, noisy_depth, 0.6 * inverse_depth))
        lengths.append(np.linalg.norm(result.previous_from_current[:3, 3]))
    assert np.mean(lengths) == pytest.approx(np.linalg.norm(TRUTH[:3, 3]), rel=0.015)


def test_moving_points_are_outliers(tracks):
    keypoints, inverse_depth = tracks
    current = project(keypoints, inverse_depth, TRUTH, K)
    current[:90] += (4.0, 1.0)
    result = adjusted(Correspondences(keypoints, current, inverse_depth, 0.2 * inverse_depth))
    angle_deg, _ = error_of(result.previous_from_current)
    assert angle_deg < 0.02
    assert np.all(result.errors[:90] > 10 * np.median(result.errors[90:]))


def test_a_point_of_weight_two_equals_two_points(tracks):
    keypoints, inverse_depth = tracks
    noise = 0.5 * np.random.default_rng(4).normal(size=keypoints.shape)
    current = project(keypoints, inverse_depth, TRUTH, K) + noise
    sigma = 0.2 * inverse_depth
    weights = np.where(np.arange(300) < 100, 2.0, 1.0)
    weighted = adjusted(Correspondences(keypoints, current, inverse_depth, sigma, weights))
    twice = np.r_[:300, :100]
    doubled = adjusted(
        Correspondences(keypoints[twice], current[twice], inverse_depth[twice], sigma[twice])
    )
    assert weighted.previous_from_current == pytest.approx(doubled.previous_from_current, abs=1e-6)
    assert weighted.information == pytest.approx(doubled.information, rel=1e-4, abs=1.0)
    assert weighted.variance == pytest.approx(doubled.variance[:300], rel=1e-4)


def test_a_minority_of_larger_weight_determines_the_motion(tracks):
    keypoints, inverse_depth = tracks
    current = project(keypoints, inverse_depth, TRUTH, K)
    current[:200] += (4.0, 1.0)
    errors_deg = []
    for newcomer in (1.0, 0.02):
        weights = np.where(np.arange(300) < 200, newcomer, 1.0)
        points = Correspondences(keypoints, current, inverse_depth, 0.2 * inverse_depth, weights)
        errors_deg.append(error_of(adjusted(points).previous_from_current)[0])
    assert errors_deg[0] > 0.3 and errors_deg[1] < 0.02


def test_information_agrees_with_the_errors_of_noisy_points(tracks):
    keypoints, inverse_depth = tracks
    rng = np.random.default_rng(2)
    norm = RobustNorm(threshold=10.0, depth_threshold=10.0, noise_floor=0.05)
    squared = []
    for _ in range(40):
        noise = 0.2 * rng.normal(size=keypoints.shape)
        depth_factor = np.exp(0.1 * rng.normal(size=300))
        current = project(keypoints, inverse_depth, TRUTH, K) + noise
        points = Correspondences(
            keypoints, current, inverse_depth * depth_factor, 0.1 * inverse_depth
        )
        result = adjusted(points, norm=norm)
        change = se3.inverse(TRUTH) @ result.previous_from_current
        error = np.concatenate([change[:3, 3], se3.so3_log(change[:3, :3])])
        squared.append(error @ result.information @ error / 6)
    # Above 1: a free depth absorbs part of each error, and the scale of the errors is
    # underestimated.
    assert 0.6 < np.mean(squared) < 3.0
