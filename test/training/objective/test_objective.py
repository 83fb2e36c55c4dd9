from dataclasses import replace

import pytest
import torch

from sfm_odometry.errors import InputError
from sfm_odometry.geometry.projection import invert_transform, transform_from_vector
from training.data.batch import Batch
from training.objective.objective import objective
from training.objective.objective_config import ObjectiveConfig
from training.objective.predictions import Predictions, with_target

K = torch.tensor([[40.0, 0.0, 31.5], [0.0, 40.0, 15.5], [0.0, 0.0, 1.0]])
DEPTH = 8.0


def wall(shift):
    """Renders a fronto-parallel wall at DEPTH from a camera moved right by `shift` pixels."""
    v, u = torch.meshgrid(torch.arange(32.0), torch.arange(64.0), indexing="ij")
    return (
        0.5 + 0.25 * torch.sin(0.5 * (u + shift)) + 0.2 * torch.cos(0.6 * v + 0.3 * (u + shift))
    )[None]


@pytest.fixture
def batch():
    """Three frames of a camera that moves right by two pixels per frame."""
    positions = torch.tensor([-1.0, 0.0, 1.0]) * 2 * DEPTH / 40
    poses = transform_from_vector(torch.stack([positions, *[torch.zeros(3)] * 5], dim=-1))
    return Batch(
        frames=torch.stack([wall(-2), wall(0), wall(2)])[None],
        intrinsics=K[None],
        camera=torch.zeros(1, dtype=torch.int64),
        depth=torch.full((1, 1, 32, 64), DEPTH),
        moving=torch.zeros(1, 1, 32, 64),
        camera_from_frame=poses[None],
        has_depth=torch.tensor([True]),
        has_motion=torch.tensor([True]),
    )


def predictions(batch, depth=DEPTH, motion_factor=1.0, explainable=4.0, all_frames=False):
    poses = batch.camera_from_frame
    motions = invert_transform(poses) @ poses[:, 1:2]
    motions[..., :3, 3] *= motion_factor
    sizes = [(32 >> level, 64 >> level) for level in range(4)]
    logits = [
        torch.stack([torch.zeros(1, 2, *size), torch.full((1, 2, *size), explainable)], dim=2)
        for size in sizes
    ]
    return Predictions(
        [torch.full((1, 3 if all_frames else 1, 1, *size), 1 / depth) for size in sizes],
        motions,
        logits,
    )


@pytest.mark.parametrize(
    "config",
    [
        ObjectiveConfig(),
        ObjectiveConfig(scales=1, ssim_weight=0.85, minimum_over_sources=True),
        ObjectiveConfig(scales=1, ssim_weight=0.85, auto_mask=True, explainability=0.0),
    ],
)
def test_the_truth_has_the_smallest_photometric_error(batch, config):
    truth = objective(batch, predictions(batch), config)["photometric"]
    for wrong in ({"depth": DEPTH * 2}, {"motion_factor": -1.0}, {"motion_factor": 0.2}):
        assert objective(batch, predictions(batch, **wrong), config)["photometric"] > 2 * truth


def test_masks_that_exclude_everything_raise_the_regulariser(batch):
    masked = objective(batch, predictions(batch, explainable=-6.0), ObjectiveConfig())
    unmasked = objective(batch, predictions(batch, explainable=6.0), ObjectiveConfig())
    assert masked["photometric"] < unmasked["photometric"]
    assert masked["explainability"] > 100 * unmasked["explainability"]


def test_supervision_of_the_truth_is_zero(batch):
    terms = objective(
        batch, predictions(batch), ObjectiveConfig(depth_supervision=1.0, motion_supervision=1.0)
    )
    assert terms["depth"] == pytest.approx(0.0, abs=1e-6)
    assert terms["motion"] == pytest.approx(0.0, abs=1e-5)


def test_snippets_without_truth_are_not_supervised(batch):
    blind = replace(batch, has_depth=torch.tensor([False]), has_motion=torch.tensor([False]))
    terms = objective(
        blind, predictions(batch), ObjectiveConfig(depth_supervision=1.0, motion_supervision=1.0)
    )
    assert terms["depth"] == terms["motion"] == 0


def test_masks_are_supervised_by_moving_objects(batch):
    config = ObjectiveConfig(mask_supervision=1.0)
    moving = replace(batch, moving=torch.ones(1, 1, 32, 64))
    still_error = objective(batch, predictions(batch), config)["mask"]
    assert still_error < 0.05
    assert objective(moving, predictions(batch), config)["mask"] > 3.9
    assert objective(moving, predictions(batch, explainable=-4.0), config)["mask"] == pytest.approx(
        still_error
    )


def test_weights_of_zero_leave_terms_out(batch):
    terms = objective(
        batch,
        predictions(batch),
        ObjectiveConfig(photometric=0.0, smoothness=0.0, depth_supervision=1.0),
    )
    assert set(terms) == {"depth"}


def test_descending_the_objective_finds_the_motion(batch):
    """Gradient descent through the whole chain ends at the true motion."""
    vectors = torch.zeros(1, 2, 6, requires_grad=True)
    optimiser = torch.optim.Adam([vectors], lr=0.01)
    fixed = predictions(batch)
    config = ObjectiveConfig(scales=1, explainability=0.0)
    for _ in range(120):
        optimiser.zero_grad()
        terms = objective(
            batch,
            replace(fixed, frame_from_target=with_target(transform_from_vector(vectors))),
            config,
        )
        terms["photometric"].backward()
        optimiser.step()
    truth = fixed.source_from_target()[0, :, 0, 3]
    assert vectors.detach()[0, :, 0].tolist() == pytest.approx(truth.tolist(), abs=0.05)


VID2DEPTH = ObjectiveConfig(
    pairs="adjacent",
    depth_frames="all",
    ssim_weight=0.15,
    explainability=0.0,
    smoothness=0.05,
    smoothness_kind="edge_aware",
    alignment_3d=0.1,
)


def test_adjacent_pairs_have_the_smallest_error_at_the_truth(batch):
    # The stripes of this wall are too fine for coarser images.
    config = replace(VID2DEPTH, scales=1)
    truth = objective(batch, predictions(batch, all_frames=True), config)
    for wrong in ({"depth": DEPTH * 2}, {"motion_factor": -1.0}):
        other = objective(batch, predictions(batch, all_frames=True, **wrong), config)
        assert other["photometric"] > 2 * truth["photometric"]
    assert set(truth) == {"photometric", "smoothness", "alignment_3d"}


def test_different_point_clouds_raise_the_alignment_loss(batch):
    """The distance of the wall differs between the views, though the camera moves sideways."""
    truth = predictions(batch, all_frames=True)
    growing = torch.tensor([1.0, 1.1, 1.2]).view(1, 3, 1, 1, 1)
    wrong = replace(truth, inverse_depth=[maps * growing for maps in truth.inverse_depth])
    # At the finest scale the motion is two whole pixels; coarser clouds are sampled in between.
    config = replace(VID2DEPTH, scales=1)
    assert objective(batch, truth, config)["alignment_3d"] < 1e-4
    assert objective(batch, wrong, config)["alignment_3d"] > 0.01


def test_depths_of_different_scale_are_inconsistent(batch):
    config = ObjectiveConfig(depth_frames="all", geometry_consistency=0.5, scales=1)
    truth = predictions(batch, all_frames=True)
    growing = torch.tensor([1.0, 1.0, 3.0]).view(1, 3, 1, 1, 1)
    wrong = replace(truth, inverse_depth=[maps * growing for maps in truth.inverse_depth])
    assert objective(batch, truth, config)["geometry"] == pytest.approx(0.0, abs=1e-6)
    # One of two sources is three times as near: |1 - 1/3| / (1 + 1/3) = 1/2, averaged over both.
    assert objective(batch, wrong, config)["geometry"].item() == pytest.approx(
        0.5 * 0.5 / 2, abs=0.01
    )


def test_full_size_compares_every_scale_with_the_full_images(batch):
    config = ObjectiveConfig(full_size=True, explainability=0.0)
    pyramid = objective(batch, predictions(batch), ObjectiveConfig(explainability=0.0))[
        "photometric"
    ]
    one = objective(batch, predictions(batch), ObjectiveConfig(scales=1, explainability=0.0))[
        "photometric"
    ]
    assert objective(batch, predictions(batch), config)["photometric"].item() == pytest.approx(
        4 * one.item(), rel=1e-4
    )
    assert pyramid != pytest.approx(4 * one.item(), rel=0.05)


def test_the_minimum_over_sources_ignores_a_spoilt_source(batch):
    spoilt = replace(
        batch, frames=torch.cat([torch.rand(1, 1, 1, 32, 64), batch.frames[:, 1:]], dim=1)
    )
    every, best = (
        ObjectiveConfig(scales=1, explainability=0.0, minimum_over_sources=minimum)
        for minimum in (False, True)
    )
    assert objective(spoilt, predictions(batch), every)["photometric"] > 0.1
    assert objective(spoilt, predictions(batch), best)["photometric"] < 0.02


def test_motion_consistency_is_zero_for_consistent_motions(batch):
    config = ObjectiveConfig(
        forward_backward=1.0,
        composed_motion=1.0,
        photometric=0.0,
        smoothness=0.0,
        explainability=0.0,
    )
    truth = predictions(batch)
    two_steps = (invert_transform(batch.camera_from_frame[:, 0]) @ batch.camera_from_frame[:, 2])[
        :, None
    ]
    agreeing = replace(
        truth, reversed_frame_from_target=truth.frame_from_target, two_steps=two_steps
    )
    terms = objective(batch, agreeing, config)
    assert terms["forward_backward"] == pytest.approx(0.0, abs=1e-6)
    assert terms["composed_motion"] == pytest.approx(0.0, abs=1e-6)
    step = 2 * DEPTH / 40
    mirrored = invert_transform(truth.frame_from_target)
    standing = torch.eye(4).expand_as(two_steps)
    contradicting = replace(agreeing, reversed_frame_from_target=mirrored, two_steps=standing)
    terms = objective(batch, contradicting, config)
    assert terms["forward_backward"].item() == pytest.approx(2 * step, rel=1e-4)
    assert terms["composed_motion"].item() == pytest.approx(2 * step, rel=1e-4)


@pytest.mark.parametrize(
    "config",
    [
        ObjectiveConfig(),
        VID2DEPTH,
        ObjectiveConfig(full_size=True, minimum_over_sources=True, auto_mask=True),
    ],
)
def test_terms_are_means_over_snippets(batch, config):
    """Data-parallel training is exact because of this."""
    first = predictions(batch, depth=7.0, all_frames=config.depth_frames == "all")
    second = predictions(
        batch, depth=9.0, motion_factor=0.5, all_frames=config.depth_frames == "all"
    )
    both_batches = Batch(
        *(torch.cat([getattr(batch, name)] * 2) for name in Batch.__dataclass_fields__)
    )
    both = Predictions(
        [torch.cat(pair) for pair in zip(first.inverse_depth, second.inverse_depth, strict=True)],
        torch.cat([first.frame_from_target, second.frame_from_target]),
        [torch.cat(pair) for pair in zip(first.mask_logits, second.mask_logits, strict=True)],
    )
    together = objective(both_batches, both, config)
    alone = [objective(batch, each, config) for each in (first, second)]
    for name, value in together.items():
        assert value.item() == pytest.approx(
            sum(terms[name].item() for terms in alone) / 2, rel=1e-4
        ), name


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"alignment_3d": 0.1}, "alignment_3d"),
        ({"geometry_consistency": 0.1}, "geometry_consistency"),
        ({"pairs": "adjacent", "explainability": 0.0}, "depth_frames"),
        ({"pairs": "adjacent", "depth_frames": "all"}, "explainability"),
        ({"scales": 0}, "scales"),
        ({"ssim_weight": 1.5}, "ssim_weight"),
    ],
)
def test_contradicting_settings_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        ObjectiveConfig(**settings)
