"""Convolutions that are torch's own, computed another way where torch's CPU kernels waste most of
their time.

Names and shapes of parameters, results and gradients are those of the classes that they derive
from; on other devices so is the way.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

FEW_PIXELS = 256
"""Up to so many pixels of all images of a batch together, a weight's gradient is faster as one
product of matrices."""
LANES = 16
"""Output channels that the kernels compute at once, needed or not."""


class Convolution(nn.Conv2d):
    """nn.Conv2d, zero-padded, with faster gradients where the weights are many and the pixels
    few."""

    def forward(self, input: Tensor) -> Tensor:
        """(B, C, H, W) to (B, O, h, w)."""
        pixels = (
            input.shape[0] * (input.shape[2] // self.stride[0]) * (input.shape[3] // self.stride[1])
        )
        if pixels > FEW_PIXELS or not _learns_on_cpu(input):
            return super().forward(input)
        return _FewPixels.apply(
            *_in_autocast_type(input, self.weight), self.bias, self.stride[0], self.padding[0]
        )


class UpConvolution(nn.ConvTranspose2d):
    """nn.ConvTranspose2d that doubles the size; the gradients are those of the convolution whose
    transpose it is."""

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        """(B, C, H, W) to (B, O, 2 H, 2 W)."""
        if output_size is not None or not _learns_on_cpu(input):
            return super().forward(input, output_size)
        return _Transposed.apply(*_in_autocast_type(input, self.weight), self.bias, self.padding[0])


class Head(nn.Conv2d):
    """nn.Conv2d of stride 1 to few channels, zero-padded: several neighbouring pixels are computed
    as channels of one.

    n pixels of a row, each with a kernel of width k, are one pixel with a kernel of width k + n - 1
    and a stride of n. A single channel without gradients takes half the time of that as one product
    of matrices, each tap of the kernel a row, added up shifted.
    """

    def forward(self, input: Tensor) -> Tensor:
        """(B, C, H, W) to (B, O, H, W)."""
        if input.device.type != "cpu" or torch.onnx.is_in_onnx_export():
            return super().forward(input)
        if self.out_channels == 1 and not torch.is_grad_enabled():
            return self._by_taps(input)
        together = min(max(LANES // self.out_channels, 1), 4)
        if together == 1 or input.shape[-1] % together:
            return super().forward(input)
        assert self.bias is not None
        weight, bias = _in_autocast_type(self.weight, self.bias)
        shifted = torch.cat(
            [F.pad(weight, (shift, together - 1 - shift)) for shift in range(together)]
        )
        shifted = shifted.contiguous(memory_format=torch.channels_last)
        wide = F.conv2d(input, shifted, bias.repeat(together), (1, together), self.padding)
        return (
            wide.permute(0, 2, 3, 1)
            .reshape(*input.shape[:1], *input.shape[2:], self.out_channels)
            .permute(0, 3, 1, 2)
        )

    def _by_taps(self, input: Tensor) -> Tensor:
        assert self.bias is not None and not isinstance(self.padding, str)
        kernel, padding = self.kernel_size, self.padding
        with torch.autocast(
            "cpu", enabled=False
        ):  # half precision would cost more depth here than in all other layers together
            pixels = (
                input.to(self.weight.dtype).permute(0, 2, 3, 1).flatten(1, 2)
            )  # (B, H W, C), a view where the input is channels-last
            # Each pixel is added to those that see it: what the kernel's last tap sees lies behind,
            # so taps and padding are mirrored.
            taps = self.weight[0].flip(1, 2).flatten(1).T @ pixels.transpose(1, 2)
            mirrored = (kernel[0] - 1 - padding[0], kernel[1] - 1 - padding[1])
            return F.fold(taps, input.shape[2:], kernel, padding=mirrored) + self.bias


class _FewPixels(torch.autograd.Function):
    """A convolution whose weights' gradient is a product of matrices."""

    @staticmethod
    def forward(
        ctx: Any, input: Tensor, weight: Tensor, bias: Tensor, stride: int, padding: int
    ) -> Tensor:
        ctx.save_for_backward(input, weight)
        ctx.stride, ctx.padding = stride, padding
        return F.conv2d(input, weight, bias.to(input.dtype), stride, padding)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        input, weight = ctx.saved_tensors
        geometry = ctx.stride, ctx.padding
        of_input = (
            _of_convolution(gradient, input, weight, *geometry, wanted=0)
            if ctx.needs_input_grad[0]
            else None
        )
        return (
            of_input,
            _of_weight(gradient, input, weight, *geometry),
            _rows(gradient).sum(0),
            None,
            None,
        )


class _Transposed(torch.autograd.Function):
    """A transposed convolution of stride 2; its gradients by way of the convolution from its
    output's size to its input's."""

    @staticmethod
    def forward(ctx: Any, input: Tensor, weight: Tensor, bias: Tensor, padding: int) -> Tensor:
        ctx.save_for_backward(input, weight)
        ctx.padding = padding
        return F.conv_transpose2d(input, weight, bias.to(input.dtype), 2, padding, output_padding=1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        input, weight = ctx.saved_tensors
        of_input = (
            F.conv2d(gradient, weight, None, 2, ctx.padding) if ctx.needs_input_grad[0] else None
        )
        return (
            of_input,
            _of_weight(input, gradient, weight, 2, ctx.padding),
            _rows(gradient).sum(0),
            None,
        )


def _of_weight(
    of_output: Tensor, input: Tensor, weight: Tensor, stride: int, padding: int
) -> Tensor:
    """The weight's gradient of a convolution; with few pixels the product of the output's
    gradient with the patches of the input."""
    rows = _rows(of_output)
    if len(rows) > FEW_PIXELS:
        return _of_convolution(of_output, input, weight, stride, padding, wanted=1)
    outputs, inputs, *kernel = weight.shape
    return (
        (rows.T @ _patches(input, kernel, stride, padding))
        .view(outputs, *kernel, inputs)
        .permute(0, 3, 1, 2)
    )


def _of_convolution(
    of_output: Tensor, input: Tensor, weight: Tensor, stride: int, padding: int, wanted: int
) -> Tensor:
    """Gradient of the input (0) or the weight (1) of a convolution, as torch computes it."""
    mask = [index == wanted for index in range(3)]
    strides, paddings = [stride, stride], [padding, padding]
    return torch.ops.aten.convolution_backward(
        of_output, input, weight, None, strides, paddings, [1, 1], False, [0, 0], 1, mask
    )[wanted]


def _rows(image: Tensor) -> Tensor:
    """The pixels of images (B, C, H, W): (B H W, C)."""
    return image.permute(0, 2, 3, 1).flatten(0, 2)


def _patches(image: Tensor, kernel: list[int], stride: int, padding: int) -> Tensor:
    """What each output pixel sees of an image (B, C, H, W): (B h w, kh kw C)."""
    padded = F.pad(image.permute(0, 2, 3, 1), (0, 0, padding, padding, padding, padding))
    windows = padded.unfold(1, kernel[0], stride).unfold(
        2, kernel[1], stride
    )  # (B, h, w, C, kh, kw)
    return windows.permute(0, 1, 2, 4, 5, 3).flatten(3).flatten(0, 2)


def _learns_on_cpu(input: Tensor) -> bool:
    return input.device.type == "cpu" and torch.is_grad_enabled()


def _in_autocast_type(*tensors: Tensor) -> tuple[Tensor, ...]:
    """Tensors in the type that autocast would give them."""
    device = tensors[0].device.type
    if not torch.is_autocast_enabled(device):
        return tensors
    return tuple(tensor.to(torch.get_autocast_dtype(device)) for tensor in tensors)
