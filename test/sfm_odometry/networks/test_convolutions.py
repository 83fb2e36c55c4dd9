"""Convolutions with faster gradients against torch's own."""

import pytest
import torch
from torch import nn

from sfm_odometry.networks.convolutions import Convolution, Head, UpConvolution

LAYERS = [
    (Convolution, nn.Conv2d, (6, 5, 3, 2, 1), {}, (2, 6, 7, 10)),
    (Convolution, nn.Conv2d, (6, 5, 5, 1, 2), {}, (2, 6, 4, 9)),
    (Convolution, nn.Conv2d, (3, 4, 3, 1, 1), {}, (2, 3, 40, 40)),
    (UpConvolution, nn.ConvTranspose2d, (6, 5, 3, 2, 1), {"output_padding": 1}, (2, 6, 4, 7)),
    (UpConvolution, nn.ConvTranspose2d, (4, 3, 7, 2, 3), {"output_padding": 1}, (2, 4, 5, 6)),
    (Head, nn.Conv2d, (6, 1, 3, 1, 1), {}, (2, 6, 5, 8)),
    (Head, nn.Conv2d, (6, 8, 7, 1, 3), {}, (2, 6, 5, 10)),
    (Head, nn.Conv2d, (6, 2, 5, 1, 2), {}, (2, 6, 5, 9)),
]


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(("kind", "original", "arguments", "more", "shape"), LAYERS)
def test_values_and_gradients_are_those_of_torch(
    kind, original, arguments, more, shape, memory_format
):
    torch.manual_seed(0)
    theirs = original(*arguments, **more).double()
    ours = kind(*arguments, **more).double().to(memory_format=memory_format)
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(shape, dtype=torch.float64).contiguous(memory_format=memory_format)
    results = []
    for layer in (ours, theirs):
        leaf = x.clone().requires_grad_()
        output = layer(leaf)
        weights = torch.linspace(-1, 1, output.numel(), dtype=torch.float64).view(output.shape)
        (output * weights).sum().backward()
        with torch.no_grad():
            assert torch.allclose(layer(x), output)
        results.append((output, leaf.grad, layer.weight.grad, layer.bias.grad))
    for mine, other in zip(*results, strict=True):
        assert mine.shape == other.shape
        assert torch.allclose(mine, other, atol=1e-12)


@pytest.mark.parametrize(("kind", "original", "arguments", "more", "shape"), LAYERS)
def test_mixed_precision_is_as_precise(kind, original, arguments, more, shape):
    torch.manual_seed(0)
    layer = kind(*arguments, **more)
    exact = original(*arguments, **more)
    exact.load_state_dict(layer.state_dict())
    x = torch.randn(shape)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = layer(x)
    assert output.dtype == torch.bfloat16
    assert (output.float() - exact(x)).norm() < 0.01 * exact(x).norm()
    output.float().square().sum().backward()
    exact(x).square().sum().backward()
    for mine, other in ((layer.weight.grad, exact.weight.grad), (layer.bias.grad, exact.bias.grad)):
        assert mine.dtype == torch.float32
        assert (mine - other).norm() < 0.02 * other.norm()


def test_an_input_without_gradient_gets_none():
    for kind, _, arguments, more, shape in LAYERS:
        layer = kind(*arguments, **more)
        layer(torch.rand(shape)).sum().backward()
        assert layer.weight.grad is not None
