"""Layers that both networks are made of."""

from torch import Tensor, nn

from sfm_odometry.networks.convolutions import Convolution, UpConvolution


def conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    """Convolution and ReLU; the output has ceil(size / stride) rows and columns."""
    return nn.Sequential(Convolution(inputs, outputs, kernel, stride, padding=kernel // 2), nn.ReLU(inplace=True))


def upconv(inputs: int, outputs: int, kernel: int = 3) -> nn.Sequential:
    """Transposed convolution of stride 2 and ReLU; the output has twice the rows and columns."""
    transposed = UpConvolution(inputs, outputs, kernel, stride=2, padding=kernel // 2, output_padding=1)
    return nn.Sequential(transposed, nn.ReLU(inplace=True))


def match_size(x: Tensor, reference: Tensor) -> Tensor:
    """Crop `x` to the rows and columns of `reference`, one fewer where a size was odd."""
    return x[..., : reference.shape[-2], : reference.shape[-1]]


def init_xavier(module: nn.Module) -> None:
    """Glorot's uniform initialisation, zero biases, as the papers' code and its ports start from.

    Predictions move away from their start more slowly than with He's: inverse depth does not run into the end of its sigmoid, where its
    gradient vanishes, before the motions have grown to their size.
    """
    for layer in _convolutions(module):
        nn.init.xavier_uniform_(layer.weight)


def init_he(module: nn.Module) -> None:
    """He's initialisation, zero biases: without normalisation layers it keeps the signal's size from layer to layer."""
    for layer in _convolutions(module):
        fan = layer.weight[0].numel() if isinstance(layer, nn.Conv2d) else layer.weight[:, 0].numel() / 4
        nn.init.normal_(layer.weight, std=(2.0 / fan) ** 0.5)


def _convolutions(module: nn.Module) -> list[nn.Conv2d | nn.ConvTranspose2d]:
    """All convolutions of a network, with their biases set to zero; none of one without memory, whose weights are to be loaded.

    To draw numbers for nothing, torch would import its compiler: 90 MiB.
    """
    layers = [layer for layer in module.modules() if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d) and not layer.weight.is_meta]
    for layer in layers:
        assert layer.bias is not None
        nn.init.zeros_(layer.bias)
    return layers
