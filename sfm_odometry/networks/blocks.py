"""Layers and initialisations that the networks have in common."""

from torch import Tensor, nn

from sfm_odometry.networks.convolutions import Convolution, UpConvolution


def conv(
    inputs: int, outputs: int, kernel: int = 3, stride: int = 1, batch_norm: bool = False
) -> nn.Sequential:
    """Convolution, optional batch normalisation, ReLU.

    The output has ceil(size / stride) rows and columns.
    """
    return _activated(Convolution(inputs, outputs, kernel, stride, padding=kernel // 2), batch_norm)


def upconv(inputs: int, outputs: int, kernel: int = 3, batch_norm: bool = False) -> nn.Sequential:
    """Transposed convolution of stride 2, optional batch normalisation, ReLU.

    The output has twice the rows and columns.
    """
    return _activated(
        UpConvolution(inputs, outputs, kernel, stride=2, padding=kernel // 2, output_padding=1),
        batch_norm,
    )


def _activated(layer: Convolution | UpConvolution, batch_norm: bool) -> nn.Sequential:
    """Layer, optional batch normalisation (Ioffe and Szegedy 2015), ReLU."""
    normalisation = [nn.BatchNorm2d(layer.out_channels)] if batch_norm else []
    return nn.Sequential(layer, *normalisation, nn.ReLU(inplace=True))


def match_size(x: Tensor, reference: Tensor) -> Tensor:
    """Crops `x` to the rows and columns of `reference`, one fewer where a size was odd."""
    return x[..., : reference.shape[-2], : reference.shape[-1]]


def init_xavier(module: nn.Module) -> None:
    """Glorot's uniform initialisation, zero biases, as in the papers' code and its ports.

    The start of inverse depth is set by the biases of its heads: see
    :meth:`DepthNet.set_inverse_depth_start`.
    """
    for layer in _convolutions(module):
        nn.init.xavier_uniform_(layer.weight)


def init_he(module: nn.Module) -> None:
    """He's initialisation, zero biases.

    Without normalisation layers it keeps the signal's size from layer to layer.
    """
    for layer in _convolutions(module):
        fan = (
            layer.weight[0].numel()
            if isinstance(layer, nn.Conv2d)
            else layer.weight[:, 0].numel() / 4
        )
        nn.init.normal_(layer.weight, std=(2.0 / fan) ** 0.5)


def _convolutions(module: nn.Module) -> list[nn.Conv2d | nn.ConvTranspose2d]:
    """Returns all convolutions of a network, with their biases set to zero.

    Those on the meta device, whose weights are still to be loaded, are left out: to draw numbers
    for nothing, torch would import its compiler, 90 MiB.
    """
    layers = [
        layer
        for layer in module.modules()
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d) and not layer.weight.is_meta
    ]
    for layer in layers:
        assert layer.bias is not None
        nn.init.zeros_(layer.bias)
    return layers
