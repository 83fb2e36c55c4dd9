"""Predictions of the networks for an objective."""

import pytest
import torch

from sfm_odometry.errors import InputError
from sfm_odometry.geometry.projection import invert_transform
from sfm_odometry.networks.depth_net import DepthNetConfig
from sfm_odometry.networks.matching_net import MatchingNetConfig
from sfm_odometry.networks.model import Model, ModelConfig
from sfm_odometry.networks.pose_net import PoseNetConfig
from training.objective.objective_config import ObjectiveConfig
from training.objective.predictions import predict, with_target

DEPTH = DepthNetConfig(1, (4, 8, 8), (3, 3, 3), (8, 8, 4), scales=2)
STACKED = PoseNetConfig(
    1,
    3,
    (4, 8, 8, 8, 8),
    pose_widths=(8,),
    mask_widths=(8, 8, 8, 4, 4),
    mask_kernels=(3,) * 5,
    mask_scales=2,
)
MATCHING = MatchingNetConfig(
    frames=5, feature_widths=(4, 8, 8), motion_widths=(8, 8, 8), mask_widths=(8, 8, 4)
)


@pytest.fixture(params=[STACKED, MATCHING], ids=["stacked", "matching"])
def model(request):
    torch.manual_seed(0)
    return Model(ModelConfig(64, 32, depth=DEPTH, pose=request.param)).eval()


def snippets(model, count=2):
    return torch.rand(
        count, model.config.pose.frames, 1, 32, 64, generator=torch.Generator().manual_seed(0)
    )


def test_motions_are_relative_to_the_target(model):
    frames = snippets(model)
    predictions = predict(model, frames, ObjectiveConfig())
    middle = frames.shape[1] // 2
    assert torch.equal(predictions.frame_from_target[:, middle], torch.eye(4).expand(2, 4, 4))
    assert torch.equal(predictions.source_from_target(), model.motion_and_masks(frames)[0])
    chain = predictions.previous_from_current()
    first_from_second = predictions.frame_from_target[:, 0] @ invert_transform(
        predictions.frame_from_target[:, 1]
    )
    assert torch.allclose(chain[:, 0], first_from_second, atol=1e-6)
    assert torch.equal(with_target(predictions.source_from_target()), predictions.frame_from_target)


def test_depth_of_all_frames_includes_the_targets(model):
    frames = snippets(model)
    every = predict(model, frames, ObjectiveConfig(depth_frames="all")).inverse_depth
    target = predict(model, frames, ObjectiveConfig()).inverse_depth
    assert [scale.shape[:2] for scale in every] == [(2, frames.shape[1])] * 2
    assert torch.allclose(every[0][:, frames.shape[1] // 2], target[0][:, 0], atol=1e-6)


def test_motions_of_a_reversed_snippet_are_in_forward_order(model):
    frames = snippets(model)
    config = ObjectiveConfig(forward_backward=1.0)
    forwards = predict(model, frames, config)
    backwards = predict(model, frames.flip(1), config)
    assert torch.allclose(
        forwards.reversed_frame_from_target, backwards.frame_from_target.flip(1), atol=1e-6
    )


def test_predictions_without_a_term_are_not_computed(model):
    predictions = predict(
        model, snippets(model), ObjectiveConfig(photometric=0.0, smoothness=0.0, explainability=0.0)
    )
    assert predictions.inverse_depth == []
    assert predictions.mask_logits == []
    assert predictions.reversed_frame_from_target is None
    assert predictions.two_steps is None


def test_composed_motion_needs_a_network_that_matches_pairs():
    config = ObjectiveConfig(composed_motion=1.0)
    matching, stacked = (
        Model(ModelConfig(64, 32, depth=DEPTH, pose=pose)).eval() for pose in (MATCHING, STACKED)
    )
    assert predict(matching, snippets(matching), config).two_steps.shape == (2, 3, 4, 4)
    with pytest.raises(InputError, match="pair"):
        predict(stacked, snippets(stacked), config)
