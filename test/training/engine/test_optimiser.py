"""Steps of the optimiser, against torch's own Adam."""

import copy
from dataclasses import replace

import pytest
import torch
from torch import nn

from training.config import TrainConfig
from training.engine.optimiser import Optimiser, learning_rate

CONFIG = TrainConfig(learning_rate=0.01, steps=10, schedule="cosine")


def layers(memory_format):
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.ReLU(), nn.ConvTranspose2d(8, 2, 3), nn.Conv2d(2, 1, 1)
    ).to(memory_format=memory_format)


def loss_of(net, step):
    return (
        net(torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(step))).square().mean()
    )


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("clip", [0.0, 0.05])
def test_steps_equal_torchs_adam_for_any_memory_format(memory_format, clip):
    ours = layers(memory_format)
    theirs = layers(torch.contiguous_format)
    config = replace(CONFIG, gradient_clip=clip)
    optimiser = Optimiser(ours.parameters(), [], config)
    adam = torch.optim.Adam(theirs.parameters())
    for step in range(4):
        optimiser.step(loss_of(ours, step), step)
        adam.param_groups[0]["lr"] = learning_rate(config, step)
        adam.zero_grad()
        loss_of(theirs, step).backward()
        if clip:
            nn.utils.clip_grad_norm_(theirs.parameters(), clip)
        adam.step()
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.allclose(mine, other, atol=1e-6)


def test_cameras_have_their_own_learning_rate():
    network = nn.Parameter(torch.zeros(1))
    camera = nn.Parameter(torch.zeros(1))
    optimiser = Optimiser([network], [camera], replace(CONFIG, intrinsics_rate=0.1))
    optimiser.step((network + camera).sum(), 0)
    assert float(network.detach()) == pytest.approx(-0.01, rel=1e-3)
    assert float(camera.detach()) == pytest.approx(-0.001, rel=1e-3)


def test_a_parameter_without_gradient_is_unchanged():
    used = nn.Parameter(torch.ones(2))
    unused = nn.Parameter(torch.ones(2))
    optimiser = Optimiser([used, unused], [], CONFIG)
    optimiser.step(used.sum() + unused.sum(), 0)
    before = unused.detach().clone()
    optimiser.step(used.sum(), 1)
    assert torch.equal(unused, before)


def test_a_state_is_restored_with_weights_in_channels_last_order():
    net = layers(torch.channels_last)
    optimiser = Optimiser(net.parameters(), [], CONFIG)
    optimiser.step(loss_of(net, 0), 0)
    again = layers(torch.channels_last)
    again.load_state_dict(net.state_dict())
    resumed = Optimiser(again.parameters(), [], CONFIG)
    resumed.load_state_dict(copy.deepcopy(optimiser.state_dict()))
    for step in (1, 2):
        optimiser.step(loss_of(net, step), step)
        resumed.step(loss_of(again, step), step)
    for mine, other in zip(net.parameters(), again.parameters(), strict=True):
        assert torch.equal(mine, other)
