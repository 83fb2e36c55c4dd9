from dataclasses import replace

import pytest
import torch

from sfm_odometry.geometry import invert_transform, transform_from_vector
from training.batch import Batch
from training.objective import ObjectiveConfig, Predictions, objective

K = torch.tensor([[40.0, 0.0, 31.5], [0.0, 40.0, 15.5], [0.0, 0.0, 1.0]])
DEPTH = 8.0


def wall(shift):
    """A fronto-parallel wall at DEPTH seen from a camera moved right by `shift` pixels' worth."""
    v, u = torch.meshgrid(torch.arange(32.0), torch.arange(64.0), indexing="ij")
    return (0.5 + 0.25 * torch.sin(0.5 * (u + shift)) + 0.2 * torch.cos(0.6 * v + 0.3 * (u + shift)))[None]


@pytest.fixture
def batch():
    """Three frames of a camera that moves two pixels to the right a frame."""
    positions = torch.tensor([-1.0, 0.0, 1.0]) * 2 * DEPTH / 40
    poses = transform_from_vector(torch.stack([positions, *[torch.zeros(3)] * 5], dim=-1))
    return Batch(
        frames=torch.stack([wall(-2), wall(0), wall(2)])[None],
        intrinsics=K[None],
        depth=torch.full((1, 1, 32, 64), DEPTH),
        moving=torch.zeros(1, 1, 32, 64),
        camera_from_frame=poses[None],
        has_depth=torch.tensor([True]),
        has_motion=torch.tensor([True]),
    )


def predictions(batch, depth=DEPTH, motion_factor=1.0, explainable=4.0):
    poses = batch.camera_from_frame
    star = invert_transform(poses[:, [0, 2]]) @ poses[:, 1:2]
    star[..., :3, 3] *= motion_factor
    sizes = [(32 >> level, 64 >> level) for level in range(4)]
    logits = [torch.stack([torch.zeros(1, 2, *size), torch.full((1, 2, *size), explainable)], dim=2) for size in sizes]
    return Predictions([torch.full((1, 1, *size), 1 / depth) for size in sizes], star, logits)


@pytest.mark.parametrize(
    "config",
    [
        ObjectiveConfig(),
        ObjectiveConfig(scales=1, ssim_weight=0.85, minimum_over_sources=True),
        ObjectiveConfig(scales=1, ssim_weight=0.85, auto_mask=True, explainability=0.0),
    ],
)
def test_the_truth_has_less_photometric_error_than_anything_else(batch, config):
    truth = objective(batch, predictions(batch), config)["photometric"]
    for wrong in ({"depth": DEPTH * 2}, {"motion_factor": -1.0}, {"motion_factor": 0.2}):
        assert objective(batch, predictions(batch, **wrong), config)["photometric"] > 2 * truth


def test_masking_everything_out_pays_the_regulariser(batch):
    masked = objective(batch, predictions(batch, explainable=-6.0), ObjectiveConfig())
    unmasked = objective(batch, predictions(batch, explainable=6.0), ObjectiveConfig())
    assert masked["photometric"] < unmasked["photometric"]
    assert masked["explainability"] > 100 * unmasked["explainability"]


def test_truth_supervises_without_error(batch):
    terms = objective(batch, predictions(batch), ObjectiveConfig(depth_supervision=1.0, motion_supervision=1.0))
    assert terms["depth"] == pytest.approx(0.0, abs=1e-6)
    assert terms["motion"] == pytest.approx(0.0, abs=1e-5)


def test_snippets_without_truth_are_not_supervised(batch):
    blind = replace(batch, has_depth=torch.tensor([False]), has_motion=torch.tensor([False]))
    terms = objective(blind, predictions(batch), ObjectiveConfig(depth_supervision=1.0, motion_supervision=1.0))
    assert set(terms) == {"photometric", "explainability", "smoothness"}


def test_masks_are_supervised_by_what_moves(batch):
    config = ObjectiveConfig(mask_supervision=1.0)
    moving = replace(batch, moving=torch.ones(1, 1, 32, 64))
    still_error = objective(batch, predictions(batch), config)["mask"]
    assert still_error < 0.05
    assert objective(moving, predictions(batch), config)["mask"] > 3.9
    assert objective(moving, predictions(batch, explainable=-4.0), config)["mask"] == pytest.approx(still_error)


def test_weights_of_zero_leave_terms_out(batch):
    terms = objective(batch, predictions(batch), ObjectiveConfig(photometric=0.0, smoothness=0.0, depth_supervision=1.0))
    assert set(terms) == {"depth"}


def test_descending_the_objective_finds_the_motion(batch):
    """The whole chain is differentiable and points the right way: gradient descent on six numbers lands at the truth."""
    vectors = torch.zeros(1, 2, 6, requires_grad=True)
    optimiser = torch.optim.Adam([vectors], lr=0.01)
    fixed, config = predictions(batch), ObjectiveConfig(scales=1, explainability=0.0)
    for _ in range(120):
        optimiser.zero_grad()
        terms = objective(batch, replace(fixed, source_from_target=transform_from_vector(vectors)), config)
        terms["photometric"].backward()
        optimiser.step()
    truth = fixed.source_from_target[0, :, 0, 3]
    assert vectors.detach()[0, :, 0].tolist() == pytest.approx(truth.tolist(), abs=0.05)
