"""Depth and motion networks."""

from dataclasses import replace
from itertools import pairwise

import pytest
import torch

from sfm_odometry.errors import InputError
from sfm_odometry.geometry.projection import invert_transform, transform_from_vector
from sfm_odometry.networks.depth_net import DepthNet, DepthNetConfig
from sfm_odometry.networks.matching_net import MatchingNet, MatchingNetConfig, SoftMatch
from sfm_odometry.networks.model import Model, ModelConfig
from sfm_odometry.networks.motion_network import chain_to_star, star_to_chain
from sfm_odometry.networks.pose_net import PoseNet, PoseNetConfig

SMALL_DEPTH = DepthNetConfig(1, (4, 8, 8, 8), (3, 3, 3, 3), (8, 8, 8, 4))
SMALL_POSE = PoseNetConfig(
    1,
    5,
    (4, 8, 8, 8, 8),
    pose_widths=(8, 8),
    mask_widths=(8, 8, 8, 4, 4),
    mask_kernels=(3, 3, 3, 3, 3),
)
MATCHING = MatchingNetConfig(
    feature_widths=(4, 8, 8), motion_widths=(8, 8, 8), mask_widths=(8, 8, 4)
)


def parameters(module):
    return sum(parameter.numel() for parameter in module.parameters())


def test_the_papers_networks_have_the_papers_size():
    assert parameters(DepthNet(DepthNetConfig())) == 31_596_900
    assert parameters(PoseNet(PoseNetConfig())) == 2_660_232


@pytest.mark.parametrize("network", [DepthNet(SMALL_DEPTH), PoseNet(SMALL_POSE)])
def test_the_papers_networks_are_initialised_as_in_the_papers_code(network):
    """Glorot's uniform distribution, zero biases.

    It is bounded by sqrt(6 / (fan in + fan out)), and nearly reaches the bound.
    """
    for layer in (layer for layer in network.modules() if hasattr(layer, "kernel_size")):
        outputs, inputs, height, width = layer.weight.shape
        bound = (6 / ((inputs + outputs) * height * width)) ** 0.5
        assert 0.7 * bound < layer.weight.abs().max() <= bound
        assert not layer.bias.any()


@pytest.mark.parametrize("start", [0.1, 0.5, 5.0])
def test_inverse_depth_starts_at_the_given_value(start):
    """On an image of zeros the coarsest output depends on its head's bias only.

    Finer stages also take the coarser prediction.
    """
    network = DepthNet(DepthNetConfig())
    network.set_inverse_depth_start(start)
    coarsest = network(torch.zeros(1, 3, 64, 96))[-1]
    torch.testing.assert_close(coarsest, torch.full_like(coarsest, start))
    assert len({head.bias.item() for head in network.heads}) == 1


@pytest.mark.parametrize("start", [-1.0, 0.01, 10.01, 12.0])
def test_an_inverse_depth_outside_the_sigmoid_is_refused(start):
    with pytest.raises(InputError, match=f"must lie between 0.01 and 10.01, got {start:g}"):
        DepthNet(SMALL_DEPTH).set_inverse_depth_start(start)


NORMALISED = ModelConfig(
    32, 32, depth=replace(SMALL_DEPTH, batch_norm=True), pose=replace(SMALL_POSE, batch_norm=True)
)


def test_batch_normalisation_is_in_every_layer_but_the_outputs():
    model = Model(NORMALISED)
    for network, outputs in ((model.depth_net, 4), (model.pose_net, 5)):
        layers = [layer for layer in network.modules() if hasattr(layer, "kernel_size")]
        normalisations = [
            layer for layer in network.modules() if isinstance(layer, torch.nn.BatchNorm2d)
        ]
        # Outputs: one head for each scale, and the motion.
        assert len(layers) == len(normalisations) + outputs


def test_batch_statistics_are_used_in_training_only():
    """Training uses and records the statistics of the batch; evaluation uses the recorded ones."""
    model = Model(NORMALISED)
    images = torch.rand(3, 1, 32, 32)
    before = model.depth_net.encoder[0][0][1].running_mean.clone()
    whole_batch = model.inverse_depth(images)[0]
    assert not torch.equal(model.depth_net.encoder[0][0][1].running_mean, before)
    assert not torch.allclose(model.inverse_depth(images[:2])[0], whole_batch[:2])
    model.eval()
    assert torch.allclose(
        model.inverse_depth(images[:2])[0], model.inverse_depth(images)[0][:2], atol=1e-6
    )


@pytest.mark.parametrize("size", [(128, 416), (127, 401), (64, 97)])
def test_depth_of_any_image_size(size):
    predictions = DepthNet(SMALL_DEPTH)(torch.rand(2, 1, *size))
    assert tuple(predictions[0].shape[-2:]) == size
    assert len(predictions) == 4
    for coarser, finer in zip(predictions[1:], predictions, strict=False):
        assert coarser.shape[-1] == (finer.shape[-1] + 1) // 2


def test_a_decoder_with_a_stage_fewer_ends_at_half_size():
    predictions = DepthNet(DepthNetConfig(1, (4, 8, 8, 8), (3, 3, 3, 3), (8, 8, 4), scales=2))(
        torch.rand(1, 1, 64, 96)
    )
    assert [tuple(prediction.shape[-2:]) for prediction in predictions] == [(32, 48), (16, 24)]


def test_inverse_depth_stays_within_its_limits():
    config = DepthNetConfig(
        1, (4, 8), (3, 3), (8, 4), scales=2, inverse_depth_gain=2.0, inverse_depth_offset=0.5
    )
    for prediction in DepthNet(config)(torch.randn(1, 1, 32, 32) * 100):
        assert ((prediction >= 0.5) & (prediction <= 2.5)).all()


@pytest.mark.parametrize("frames", [3, 5])
def test_motion_is_rigid_and_there_is_one_mask_a_source(frames):
    net = PoseNet(PoseNetConfig(**{**SMALL_POSE.__dict__, "frames": frames}))
    motions, logits = net(torch.rand(2, frames, 1, 64, 96))
    assert motions.shape == (2, frames - 1, 4, 4)
    rotation = motions[..., :3, :3]
    assert torch.allclose(
        rotation @ rotation.transpose(-1, -2), torch.eye(3).expand_as(rotation), atol=1e-5
    )
    assert [tuple(scale.shape) for scale in logits] == [
        (2, frames - 1, 2, 64 >> level, 96 >> level) for level in range(4)
    ]


@pytest.mark.parametrize("pose", [SMALL_POSE, MATCHING])
def test_results_do_not_depend_on_the_batch(pose):
    torch.manual_seed(0)
    model = Model(ModelConfig(64, 32, depth=SMALL_DEPTH, pose=pose)).eval()
    frames = torch.rand(3, 5, 1, 32, 64)
    assert torch.allclose(
        model.inverse_depth(frames[:, 2])[0][1:2], model.inverse_depth(frames[1:2, 2])[0], atol=1e-5
    )
    assert torch.allclose(
        model.motion_and_masks(frames)[0][1:2], model.motion_and_masks(frames[1:2])[0], atol=1e-5
    )


def test_matching_finds_the_shift_of_a_texture():
    """With distinct descriptors of all cells the flow is the shift in cells."""
    net = MatchingNet(MATCHING)
    with torch.no_grad():
        net.log_sharpness.fill_(5.0)
    earlier = torch.randn(1, 8, 6, 12)
    queries = earlier.roll((1, 2), dims=(2, 3))[..., ::2, ::2]
    flow, confidence = net.match(queries, earlier)
    inside = flow[0, :, 1:, 1:]
    assert torch.allclose(inside[0], torch.full_like(inside[0], -2.0), atol=0.02)
    assert torch.allclose(inside[1], torch.full_like(inside[1], -1.0), atol=0.02)
    assert confidence[..., 1:, 1:].min() > 0.95


def test_gradients_through_the_matches_are_those_of_finite_differences():
    net = MatchingNet(MATCHING).double()
    queries, earlier = (
        torch.randn(2, 4, *size, dtype=torch.float64, requires_grad=True)
        for size in ((2, 3), (4, 6))
    )
    assert torch.autograd.gradcheck(
        lambda logits: SoftMatch.apply(logits, 4),
        (torch.randn(2, 3, 12).double().requires_grad_(),),
    )
    flow, confidence = net.match(queries, earlier)
    (flow.sum() + confidence.sum()).backward()
    assert queries.grad is not None and net.log_sharpness.grad is not None


@pytest.mark.parametrize("frames", [3, 5])
def test_the_matching_network_gives_motions_and_masks_of_the_same_shapes(frames):
    net = MatchingNet(MatchingNetConfig(**{**MATCHING.__dict__, "frames": frames}))
    motions, logits = net(torch.rand(2, frames, 1, 64, 96))
    assert motions.shape == (2, frames - 1, 4, 4)
    assert [tuple(scale.shape) for scale in logits] == [
        (2, frames - 1, 2, 64 >> level, 96 >> level) for level in (1, 2, 3)
    ]


def test_the_motion_of_a_pair_does_not_depend_on_its_position_in_the_window():
    torch.manual_seed(0)
    net = MatchingNet(MATCHING).eval()
    frames = torch.rand(1, 6, 1, 64, 96)
    first, second = (net.vectors(net.encode(frames[:, start : start + 5])) for start in (0, 1))
    assert torch.allclose(first[:, 1:], second[:, :-1], atol=1e-6)


def test_a_motion_over_two_frames_is_that_of_the_pair_side_by_side():
    torch.manual_seed(0)
    net = MatchingNet(MATCHING).eval()
    frames = torch.rand(2, 5, 1, 64, 96)
    two_steps = net.two_steps(frames)
    assert two_steps.shape == (2, 3, 4, 4)
    for first in range(3):
        side_by_side = frames[:, [first, first + 2, 0, 1, 2]]
        assert torch.allclose(
            two_steps[:, first], star_to_chain(net(side_by_side)[0])[:, 0], atol=1e-5
        )
    with pytest.raises(InputError, match="PoseNet"):
        PoseNet(SMALL_POSE).two_steps(frames)


@pytest.mark.parametrize("size", [(127, 401), (50, 97)])
@pytest.mark.parametrize("pose", [SMALL_POSE, MATCHING])
def test_motion_and_masks_of_any_image_size(pose, size):
    model = Model(ModelConfig(depth=SMALL_DEPTH, pose=pose)).eval()
    motions, logits = model.motion_and_masks(torch.rand(1, 5, 1, *size))
    assert motions.isfinite().all()
    assert all(
        coarser.shape[-1] < finer.shape[-1] <= size[1] + 15 for finer, coarser in pairwise(logits)
    )


@pytest.mark.parametrize("kind", [MatchingNet, PoseNet])
@torch.inference_mode()
def test_a_sliding_window_gives_the_same_as_each_window_alone(kind):
    torch.manual_seed(0)
    net = kind(MATCHING if kind is MatchingNet else SMALL_POSE).eval()
    frames = [torch.rand(1, 1, 64, 96) for _ in range(7)]
    caches = [{} for _ in frames]
    stages = net.stages()
    for start in range(3):
        window = slice(start, start + 5)
        vectors, mask = net.slide(stages, frames[window], caches[window], with_mask=True)
        features = net.encode(torch.stack(frames[window], dim=1))
        assert torch.allclose(vectors, net.vectors(features), atol=1e-5)
        assert torch.allclose(
            mask,
            torch.softmax(net.mask_logits(features)[0], dim=2)[:, :, 1].mean(1, keepdim=True),
            atol=1e-5,
        )
        assert net.slide(stages, frames[window], caches[window], with_mask=False)[1] is None


def test_a_sliding_window_matches_no_pair_twice():
    net = MatchingNet(MATCHING).eval()
    frames = [torch.rand(1, 1, 64, 96) for _ in range(6)]
    caches = [{} for _ in frames]
    stages = net.stages()
    calls = []
    counted = {
        name: lambda *inputs, name=name: calls.append(name) or stages[name](*inputs)
        for name in stages
    }
    net.slide(counted, frames[:5], caches[:5], with_mask=False)
    assert calls == ["frame"] * 5 + ["pair"] * 4
    net.slide(counted, frames[1:], caches[1:], with_mask=True)
    assert calls[9:] == ["frame", "pair", "mask"]


def test_tensors_cached_in_inference_can_be_used_in_training():
    net = MatchingNet(MATCHING)
    frames = torch.rand(1, 5, 1, 48, 80)
    with torch.inference_mode():
        net(frames)
    net(frames)[0].sum().backward()
    assert net.locality.grad is not None


@pytest.mark.parametrize("pose", [SMALL_POSE, MATCHING])
def test_previous_from_current_is_the_chain_of_source_from_target(pose):
    net = Model(ModelConfig(depth=SMALL_DEPTH, pose=pose)).pose_net
    vectors = torch.randn(2, 4, 6, dtype=torch.float64) * 0.3
    assert torch.allclose(
        net.previous_from_current(vectors),
        star_to_chain(net.source_from_target(vectors)),
        atol=1e-12,
    )


def random_poses(frames, seed=0):
    vectors = torch.randn(
        2, frames, 6, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    )
    return transform_from_vector(vectors * 0.3)


@pytest.mark.parametrize("frames", [3, 5])
def test_chain_and_star_agree_with_absolute_poses(frames):
    world_from_frame = random_poses(frames)
    target = frames // 2
    sources = [index for index in range(frames) if index != target]
    star = invert_transform(world_from_frame[:, sources]) @ world_from_frame[:, target : target + 1]
    chain = invert_transform(world_from_frame[:, :-1]) @ world_from_frame[:, 1:]
    assert torch.allclose(chain_to_star(chain), star)
    assert torch.allclose(star_to_chain(star), chain)


def test_both_networks_must_take_the_same_channels():
    with pytest.raises(InputError, match="same image channels"):
        ModelConfig(depth=SMALL_DEPTH)


@pytest.mark.parametrize("motion", ["star", "chain"])
def test_motions_are_float32_under_autocast(motion):
    network = PoseNet(PoseNetConfig(motion=motion, rotation_gain=1.0, translation_gain=1.0))
    vectors = torch.randn(2, 4, 6, generator=torch.Generator().manual_seed(0)) / 10
    with torch.autocast("cpu", torch.bfloat16):
        motions = network.source_from_target(vectors)
    assert torch.equal(motions, network.source_from_target(vectors))
    assert torch.allclose(
        motions[..., :3, :3].transpose(-1, -2) @ motions[..., :3, :3], torch.eye(3), atol=1e-6
    )


@pytest.mark.parametrize(("height", "width"), [(32, 64), (60, 100), (33, 47), (36, 50), (120, 400)])
@pytest.mark.parametrize("config", [SMALL_POSE, MATCHING])
def test_masks_of_any_size_lie_on_the_frame(config, height, width):
    """Each level has half the rows and columns, rounded up, of the one before, as depth has."""
    torch.manual_seed(0)
    net = (PoseNet if config is SMALL_POSE else MatchingNet)(config).eval()
    frames = torch.rand(1, 5, 1, height, width)
    with torch.no_grad():
        depth = DepthNet(SMALL_DEPTH)(frames[:, 2])
        _, logits = net(frames)
        first = next(
            index for index, each in enumerate(depth) if each.shape[-2:] == logits[0].shape[-2:]
        )
        for mask, inverse_depth in zip(logits, depth[first:], strict=False):
            assert mask.shape[-2:] == inverse_depth.shape[-2:]
        # While the window slides, the mask is the same.
        stages = net.stages()
        _, mask = net.slide(stages, list(frames.unbind(1)), [{} for _ in range(5)], with_mask=True)
    explained = torch.softmax(logits[0], dim=2)[:, :, 1].mean(dim=1, keepdim=True)
    torch.testing.assert_close(mask, explained)
