"""Alignment of trajectories by scale, rigid motion and similarity."""

import cv2
import numpy as np
import pytest

from sfm_odometry.errors import InputError
from training.evaluate.alignment import Similarity, alignment, least_squares_scale, umeyama

ROTATION = cv2.Rodrigues(np.array([0.3, -1.2, 0.7]))[0]
TRANSLATION = np.array([5.0, -3.0, 100.0])


def cloud(seed=0):
    return np.random.default_rng(seed).normal(size=(60, 3)) * [10, 1, 30]


def test_umeyama_finds_the_similarity_that_was_applied():
    pred = cloud()
    found = umeyama(2.5 * pred @ ROTATION.T + TRANSLATION, pred)
    assert found.scale == pytest.approx(2.5, rel=1e-12)
    np.testing.assert_allclose(found.rotation, ROTATION, atol=1e-12)
    np.testing.assert_allclose(found.translation, TRANSLATION, atol=1e-10)


def test_umeyama_is_a_minimum_on_noisy_points():
    rng = np.random.default_rng(3)
    pred = cloud()
    gt = 0.4 * pred @ ROTATION.T + TRANSLATION + rng.normal(size=pred.shape)
    best = umeyama(gt, pred)

    def cost(scale, rotation, translation):
        return np.sum((gt - (scale * pred @ rotation.T + translation)) ** 2)

    least = cost(best.scale, best.rotation, best.translation)
    for _ in range(200):
        rotation = cv2.Rodrigues(rng.normal(size=3) * 1e-3)[0] @ best.rotation
        scale = best.scale * (1 + 1e-3 * rng.normal())
        translation = best.translation + 1e-2 * rng.normal(size=3)
        assert cost(scale, rotation, translation) > least


def test_a_mirrored_trajectory_is_rotated_never_mirrored():
    pred = cloud()
    found = umeyama(pred * [-1, 1, 1], pred)
    assert np.linalg.det(found.rotation) == pytest.approx(1.0)
    np.testing.assert_allclose(found.rotation @ found.rotation.T, np.eye(3), atol=1e-12)


@pytest.mark.parametrize(
    ("pred", "name"),
    [(np.zeros((9, 3)), "standing"), (np.arange(9)[:, None] * [0.0, 0.0, 1.0], "straight")],
    ids=["standing", "straight"],
)
def test_degenerate_paths_give_a_proper_rotation(pred, name):
    found = umeyama(np.arange(9)[:, None] * np.array([3.0, 0.0, 4.0]), pred)
    np.testing.assert_allclose(found.rotation @ found.rotation.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(found.rotation) == pytest.approx(1.0)
    assert found.scale == pytest.approx(1.0 if name == "standing" else 5.0)


def test_scale_is_the_least_squares_one():
    assert least_squares_scale(
        np.array([[2.0, 0, 0], [4.0, 0, 3]]), np.array([[1.0, 0, 0], [2.0, 0, 0]])
    ) == pytest.approx(2.0)
    assert least_squares_scale(cloud(), np.zeros((60, 3))) == 1.0


def test_each_mode_fits_only_its_parameters():
    pred = cloud()
    gt = 3 * pred @ ROTATION.T + TRANSLATION
    none, scale, rigid = (alignment(gt, pred, mode) for mode in ("none", "scale", "6dof"))
    assert none.scale == 1.0 and rigid.scale == 1.0 and scale.scale != 1.0
    for similarity in (none, scale):
        np.testing.assert_array_equal(similarity.rotation, np.eye(3))
        np.testing.assert_array_equal(similarity.translation, np.zeros(3))
    np.testing.assert_allclose(rigid.rotation, ROTATION, atol=1e-12)
    with pytest.raises(
        InputError, match="alignment 'sim3', expected one of none, scale, 6dof, 7dof"
    ):
        alignment(gt, pred, "sim3")


def test_similarity_rotates_orientations_and_scales_only_positions():
    pose = np.eye(4)[None].copy()
    pose[0, :3, 3] = [1, 2, 3]
    moved = Similarity(2.0, ROTATION, TRANSLATION).apply(pose)
    np.testing.assert_allclose(moved[0, :3, :3], ROTATION)
    np.testing.assert_allclose(moved[0, :3, 3], 2 * ROTATION @ [1, 2, 3] + TRANSLATION)
    np.testing.assert_array_equal(pose[0, :3, 3], [1, 2, 3])
