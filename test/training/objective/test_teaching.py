from dataclasses import replace

import numpy as np
import pytest
import torch

from sfm_odometry.geometry.projection import invert_transform, transform_from_vector
from training.data.augment import AugmentConfig, SnippetRandom, augment
from training.data.taught import MAX_POINTS, TaughtBatch, black_margins
from training.objective.objective import objective
from training.objective.objective_config import ObjectiveConfig
from training.objective.predictions import Predictions
from training.objective.teaching import point_error, weighted_median

K = torch.tensor([[40.0, 0.0, 31.5], [0.0, 40.0, 15.5], [0.0, 0.0, 1.0]])
DEPTH = 8.0
SHIFT = 2
"""Pixels that the wall moves from frame to frame."""
VIEWS = ObjectiveConfig(scales=1, explainability=0.0, smoothness=0.0, given_motion=True)


def wall(shift):
    """Renders a fronto-parallel wall at DEPTH from a camera moved right by `shift` pixels."""
    v, u = torch.meshgrid(torch.arange(32.0), torch.arange(64.0), indexing="ij")
    return (
        0.5 + 0.25 * torch.sin(0.5 * (u + shift)) + 0.2 * torch.cos(0.6 * v + 0.3 * (u + shift))
    )[None]


@pytest.fixture
def batch():
    """Three frames of a camera that moves right, whose motion only a teacher knows."""
    positions = torch.tensor([-1.0, 0.0, 1.0]) * SHIFT * DEPTH / 40
    poses = transform_from_vector(torch.stack([positions, *[torch.zeros(3)] * 5], dim=-1))
    random = np.random.default_rng(0)
    points = torch.zeros(1, MAX_POINTS, 4)
    points[0, :50, 0] = torch.from_numpy(random.uniform(2, 61, 50)).float()
    points[0, :50, 1] = torch.from_numpy(random.uniform(2, 29, 50)).float()
    points[0, :50, 2] = 1 / DEPTH
    points[0, :50, 3] = 1.0
    return TaughtBatch(
        frames=torch.stack([wall(-SHIFT), wall(0), wall(SHIFT)])[None],
        intrinsics=K[None],
        camera=torch.zeros(1, dtype=torch.int64),
        depth=torch.zeros(1, 1, 32, 64),
        moving=torch.zeros(1, 1, 32, 64),
        camera_from_frame=torch.eye(4).repeat(1, 3, 1, 1),
        has_depth=torch.tensor([False]),
        has_motion=torch.tensor([False]),
        taught_poses=poses[None],
        taught_weight=torch.tensor([0.8]),
        points=points,
        window=torch.tensor([[0.0, 0.0, 63.0, 31.0]]),
    )


def predictions(depth=DEPTH, motions=None):
    still = torch.eye(4).repeat(1, 3, 1, 1)
    return Predictions(
        [torch.full((1, 1, 1, 32, 64), 1 / depth)], still if motions is None else motions, []
    )


def test_views_are_synthesised_with_the_given_motion_times_its_weight(batch):
    right = objective(batch, predictions(), VIEWS)["photometric"]
    unsure = objective(batch, predictions(), replace(VIEWS, given_motion=False))["photometric"]
    assert right < 0.02 * unsure  # the predicted motion is none
    wrong = objective(batch, predictions(depth=4.0), VIEWS)["photometric"]
    surer = replace(batch, taught_weight=torch.tensor([0.4]))
    half = objective(surer, predictions(depth=4.0), VIEWS)["photometric"]
    torch.testing.assert_close(half, wrong / 2)


def test_snippets_without_a_teacher_keep_the_predicted_motion(batch):
    untaught = replace(batch, taught_weight=torch.zeros(1))
    torch.testing.assert_close(
        objective(untaught, predictions(), VIEWS)["photometric"],
        objective(untaught, predictions(), replace(VIEWS, given_motion=False))["photometric"],
    )


def test_margins_take_no_part_in_view_synthesis(batch):
    window = torch.tensor([[16.0, 0.0, 47.0, 31.0]])
    padded = replace(batch, frames=black_margins(batch.frames, window))
    seen = objective(replace(padded, window=window), predictions(), VIEWS)["photometric"]
    unmasked = objective(padded, predictions(), VIEWS)["photometric"]
    assert seen < 1e-3 < unmasked


def test_point_error_is_free_of_scale_and_its_gradient_leads_to_the_points(batch):
    size = torch.Size([32, 64])
    for factor in (1.0, 3.0):
        error, scale = point_error(torch.full((1, 1, 16, 32), factor / DEPTH), batch.points, size)
        assert error.item() == pytest.approx(0.0, abs=1e-6)
        assert scale.item() == pytest.approx(np.log(factor), abs=1e-5)
    tilted = torch.linspace(0.05, 0.3, 64).expand(1, 1, 32, 64).clone().requires_grad_(True)
    error, _ = point_error(tilted, batch.points, size)
    error.sum().backward()
    assert error > 0.2
    near = tilted.detach() - 0.1 * tilted.grad / tilted.grad.norm()
    assert point_error(near, batch.points, size)[0] < error


def test_images_with_hardly_a_point_have_no_error(batch):
    few = batch.points.clone()
    few[:, 3:] = 0
    error, scale = point_error(torch.full((1, 1, 32, 64), 0.5), few, torch.Size([32, 64]))
    assert error.item() == 0 and scale.item() == 0


def test_weighted_median():
    values = torch.tensor([[5.0, 1.0, 3.0, 9.0]])
    assert weighted_median(values, torch.ones(1, 4)).item() == 3.0
    assert weighted_median(values, torch.tensor([[5.0, 1.0, 1.0, 1.0]])).item() == 5.0
    assert weighted_median(values, torch.tensor([[0.0, 1.0, 0.0, 0.0]])).item() == 1.0


def test_the_motion_network_is_held_to_the_teacher(batch):
    config = replace(VIEWS, photometric=0.0, taught_motion=1.0)
    right = invert_transform(batch.taught_poses)
    assert objective(batch, predictions(motions=right), config)["taught_motion"].item() < 1e-5
    still = objective(batch, predictions(), config)["taught_motion"]
    # 50 x 1/8 x 0.4 a step and a source, times the weight 0.8.
    assert still.item() == pytest.approx(0.8 * 2 * 50 * 0.4 / 8, rel=1e-4)


def test_zoom_and_flip_move_points_window_and_motion_with_the_image(batch):
    random = SnippetRandom(torch.Generator().manual_seed(5))
    many = TaughtBatch(
        *(torch.cat([getattr(batch, name)] * 6) for name in batch.__dataclass_fields__)
    )
    zoomed = augment(many, AugmentConfig(max_zoom=1.5, flip=True, reverse=True), random)
    assert (zoomed.intrinsics[:, 0, 0] > 40).all()
    flipped = zoomed.taught_poses[:, 2, 0, 3] < 0
    assert flipped.any() and not flipped.all()
    # The points still have the depth that explains the frames with the given motion.
    motions = predictions(motions=torch.eye(4).repeat(6, 3, 1, 1))
    motions = replace(motions, inverse_depth=[torch.full((6, 1, 1, 32, 64), 1 / DEPTH)])
    wrong = replace(motions, inverse_depth=[torch.full((6, 1, 1, 32, 64), 2 / DEPTH)])
    good = objective(zoomed, motions, VIEWS)["photometric"]
    assert good < 0.1 * objective(zoomed, wrong, VIEWS)["photometric"]
    # Points outside the image do not count; those inside show the same grey.
    inside = zoomed.points[..., 3] > 0
    assert inside.sum() < 6 * 50
    u, v = zoomed.points[..., 0].round().long(), zoomed.points[..., 1].round().long()
    old_u, old_v = many.points[..., 0].round().long(), many.points[..., 1].round().long()
    for index in range(6):
        chosen = inside[index]
        new = zoomed.frames[index, 1, 0][v[index][chosen], u[index][chosen]]
        old = many.frames[index, 1, 0][old_v[index][chosen], old_u[index][chosen]]
        assert (new - old).abs().mean() < 0.08
