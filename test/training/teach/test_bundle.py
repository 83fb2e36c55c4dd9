from dataclasses import replace

import numpy as np
import pytest

from training.teach.bundle import (
    Observations,
    Structure,
    adjust,
    depth_information,
    linearise,
    small_motions,
)

K = np.array([[200.0, 0, 100], [0, 200.0, 80], [0, 0, 1]])


@pytest.fixture
def scene():
    """Five views of 40 points, and where they are seen."""
    random = np.random.default_rng(0)
    vectors = np.zeros((5, 6))
    vectors[1:, :3] = np.cumsum(random.normal(0.3, 0.1, (4, 3)), axis=0)
    vectors[1:, 3:] = random.normal(0, 0.03, (4, 3))
    rays = np.column_stack([random.uniform(-0.4, 0.4, (40, 2)), np.ones(40)])
    structure = Structure(
        small_motions(vectors), random.integers(0, 2, 40), rays, random.uniform(0.1, 0.5, 40)
    )
    view, point = np.meshgrid(np.arange(5), np.arange(40), indexing="ij")
    other = view.ravel() != structure.host[point.ravel()]
    seen = Observations(view.ravel()[other], point.ravel()[other], np.zeros((other.sum(), 2)))
    pixels = -linearise(structure, seen, K).errors
    return structure, replace(seen, pixels=pixels)


def test_derivatives_are_those_of_finite_differences(scene):
    structure, seen = scene
    linearised = linearise(structure, seen, K)
    step = 1e-6
    for axis in range(6):
        for view in range(5):
            vectors = np.zeros((5, 6))
            vectors[view, axis] = step
            moved = replace(structure, poses=structure.poses @ small_motions(vectors))
            change = (linearised.errors - linearise(moved, seen, K).errors) / step
            is_host = (structure.host[seen.point] == view)[:, None]
            is_view = (seen.view == view)[:, None]
            expected = (
                is_host * linearised.by_host[..., axis] + is_view * linearised.by_view[..., axis]
            )
            np.testing.assert_allclose(change, expected, rtol=1e-4, atol=2e-3)
    deeper = replace(structure, inverse_depth=structure.inverse_depth + step)
    change = (linearised.errors - linearise(deeper, seen, K).errors) / step
    np.testing.assert_allclose(change, linearised.by_depth, rtol=1e-4, atol=2e-3)


def test_adjustment_finds_poses_and_depths_up_to_scale_in_spite_of_outliers(scene):
    structure, seen = scene
    random = np.random.default_rng(1)
    pixels = seen.pixels.copy()
    pixels[::15] += 40.0
    vectors = np.column_stack([random.normal(0, 0.05, (5, 3)), random.normal(0, 0.005, (5, 3))])
    vectors[0] = 0
    start = replace(
        structure,
        poses=structure.poses @ small_motions(vectors),
        inverse_depth=np.full(40, 0.25),
    )
    free = np.arange(5) > 0
    found = start
    for threshold in (20.0, 5.0, 1.0):
        found = adjust(found, replace(seen, pixels=pixels), K, free, threshold, 30)
    scale = np.median(found.inverse_depth / structure.inverse_depth)
    np.testing.assert_allclose(found.inverse_depth, scale * structure.inverse_depth, rtol=0.02)
    np.testing.assert_allclose(found.poses[:, :3, 3] * scale, structure.poses[:, :3, 3], atol=0.02)
    np.testing.assert_allclose(found.poses[:, :3, :3], structure.poses[:, :3, :3], atol=2e-3)


def test_fixed_poses_stay_and_depths_are_found_alone(scene):
    structure, seen = scene
    start = replace(structure, inverse_depth=np.full(40, 0.25))
    found = adjust(start, seen, K, np.zeros(5, bool), 20.0, 30)
    np.testing.assert_array_equal(found.poses, structure.poses)
    np.testing.assert_allclose(found.inverse_depth, structure.inverse_depth, rtol=1e-3)


def test_a_longer_baseline_knows_depth_better(scene):
    structure, seen = scene
    near = seen.subset(seen.view <= 2)
    far = seen.subset(seen.view >= 3)
    assert np.median(depth_information(structure, far, K, 1.0)) > 2 * np.median(
        depth_information(structure, near, K, 1.0)
    )
