"""torch's convolutions, computed differently where torch's CPU kernels waste most of their time.

Names and shapes of parameters, results and gradients are those of the base classes; on other
devices the computation is theirs, too.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

MAX_PIXELS_FOR_MATMUL = 256
"""Pixels of all images of a batch together up to which a weight's gradient is faster as one matrix
product."""
KERNEL_CHANNELS = 16
"""Output channels that torch's kernels compute at once, needed or not."""
MAX_GROUPED_PIXELS = 4
"""Neighbouring pixels that a head computes as channels of one."""
INPUT = 0
WEIGHT = 1
"""Indices of the gradients that torch's convolution_backward returns."""


class Convolution(nn.Conv2d):
    """nn.Conv2d, zero-padded, with faster gradients for many weights and few pixels."""

    def forward(self, input: Tensor) -> Tensor:
        """Maps (B, C, H, W) to (B, O, h, w)."""
        pixels = (
            input.shape[0] * (input.shape[2] // self.stride[0]) * (input.shape[3] // self.stride[1])
        )
        if pixels > MAX_PIXELS_FOR_MATMUL or not _learns_on_cpu(input):
            return super().forward(input)
        return _FewPixelConvolution.apply(
            *_in_autocast_type(input, self.weight), self.bias, self.stride[0], self.padding[0]
        )


class UpConvolution(nn.ConvTranspose2d):
    """nn.ConvTranspose2d that doubles the size.

    Its gradients are computed by the convolution whose transpose it is.
    """

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        """Maps (B, C, H, W) to (B, O, 2 H, 2 W)."""
        if output_size is not None or not _learns_on_cpu(input):
            return super().forward(input, output_size)
        return _TransposedConvolution.apply(
            *_in_autocast_type(input, self.weight), self.bias, self.padding[0]
        )


class Head(nn.Conv2d):
    """nn.Conv2d of stride 1 to few channels, zero-padded, with grouped pixels.

    Several neighbouring pixels are computed as channels of one: n pixels of a row, each with a
    kernel of width k, are one pixel with a kernel of width k + n - 1 and a stride of n. A single
    channel without gradients takes half the time of that as one matrix product, each tap of the
    kernel a row, added up shifted.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Maps (B, C, H, W) to (B, O, H, W)."""
        # Choose between torch's own, the matrix product and grouped pixels.
        if input.device.type != "cpu" or torch.onnx.is_in_onnx_export():
            return super().forward(input)
        if self.out_channels == 1 and not torch.is_grad_enabled():
            return self._by_taps(input)
        group = min(max(KERNEL_CHANNELS // self.out_channels, 1), MAX_GROUPED_PIXELS)
        if group == 1 or input.shape[-1] % group:
            return super().forward(input)
        # Convolve with one shifted kernel for each pixel of a group.
        assert self.bias is not None
        weight, bias = _in_autocast_type(self.weight, self.bias)
        shifted = torch.cat([F.pad(weight, (shift, group - 1 - shift)) for shift in range(group)])
        shifted = shifted.contiguous(memory_format=torch.channels_last)
        wide = F.conv2d(input, shifted, bias.repeat(group), (1, group), self.padding)
        # Ungroup the pixels.
        return (
            wide.permute(0, 2, 3, 1)
            .reshape(*input.shape[:1], *input.shape[2:], self.out_channels)
            .permute(0, 3, 1, 2)
        )

    def _by_taps(self, input: Tensor) -> Tensor:
        assert self.bias is not None and not isinstance(self.padding, str)
        kernel = self.kernel_size
        padding = self.padding
        # Half precision would cost more depth here than in all other layers together.
        with torch.autocast("cpu", enabled=False):
            # (B, H W, C), a view where the input is channels-last.
            pixels = input.to(self.weight.dtype).permute(0, 2, 3, 1).flatten(1, 2)
            # Each pixel is added to the outputs that it contributes to. The input of the kernel's
            # last tap lies behind the output, so taps and padding are mirrored.
            taps = self.weight[0].flip(1, 2).flatten(1).T @ pixels.transpose(1, 2)
            mirrored = (kernel[0] - 1 - padding[0], kernel[1] - 1 - padding[1])
            return F.fold(taps, input.shape[2:], kernel, padding=mirrored) + self.bias


class _FewPixelConvolution(torch.autograd.Function):
    """A convolution whose weight gradient is a matrix product."""

    @staticmethod
    def forward(
        ctx: Any, input: Tensor, weight: Tensor, bias: Tensor, stride: int, padding: int
    ) -> Tensor:
        ctx.save_for_backward(input, weight)
        ctx.stride = stride
        ctx.padding = padding
        return F.conv2d(input, weight, bias.to(input.dtype), stride, padding)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor | None, ...]:
        input, weight = ctx.saved_tensors
        geometry = (ctx.stride, ctx.padding)
        grad_input = (
            _torch_gradient(grad_output, input, weight, *geometry, index=INPUT)
            if ctx.needs_input_grad[0]
            else None
        )
        return (
            grad_input,
            _weight_gradient(grad_output, input, weight, *geometry),
            _rows(grad_output).sum(0),
            None,
            None,
        )


class _TransposedConvolution(torch.autograd.Function):
    """A transposed convolution of stride 2.

    Its gradients are computed by the convolution from its output's size to its input's.
    """

    @staticmethod
    def forward(ctx: Any, input: Tensor, weight: Tensor, bias: Tensor, padding: int) -> Tensor:
        ctx.save_for_backward(input, weight)
        ctx.padding = padding
        return F.conv_transpose2d(input, weight, bias.to(input.dtype), 2, padding, output_padding=1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor | None, ...]:
        input, weight = ctx.saved_tensors
        grad_input = (
            F.conv2d(grad_output, weight, None, 2, ctx.padding) if ctx.needs_input_grad[0] else None
        )
        return (
            grad_input,
            _weight_gradient(input, grad_output, weight, 2, ctx.padding),
            _rows(grad_output).sum(0),
            None,
        )


def _weight_gradient(
    grad_output: Tensor, input: Tensor, weight: Tensor, stride: int, padding: int
) -> Tensor:
    """Returns the gradient of a convolution's weight (O, C, kh, kw).

    With few pixels it is the product of the output's gradient with the patches of the input.
    """
    rows = _rows(grad_output)
    if len(rows) > MAX_PIXELS_FOR_MATMUL:
        return _torch_gradient(grad_output, input, weight, stride, padding, index=WEIGHT)
    outputs, inputs, *kernel = weight.shape
    return (
        (rows.T @ _patches(input, kernel, stride, padding))
        .view(outputs, *kernel, inputs)
        .permute(0, 3, 1, 2)
    )


def _torch_gradient(
    grad_output: Tensor, input: Tensor, weight: Tensor, stride: int, padding: int, index: int
) -> Tensor:
    """Returns torch's gradient of a convolution's input (index 0) or weight (index 1)."""
    mask = [position == index for position in range(3)]
    strides = [stride, stride]
    paddings = [padding, padding]
    return torch.ops.aten.convolution_backward(
        grad_output,
        input,
        weight,
        bias_sizes=None,
        stride=strides,
        padding=paddings,
        dilation=[1, 1],
        transposed=False,
        output_padding=[0, 0],
        groups=1,
        output_mask=mask,
    )[index]


def _rows(image: Tensor) -> Tensor:
    """Returns the pixels of images (B, C, H, W) as rows (B H W, C)."""
    return image.permute(0, 2, 3, 1).flatten(0, 2)


def _patches(image: Tensor, kernel: list[int], stride: int, padding: int) -> Tensor:
    """Returns the input patch of each output pixel of images (B, C, H, W): (B h w, kh kw C)."""
    padded = F.pad(image.permute(0, 2, 3, 1), (0, 0, padding, padding, padding, padding))
    # (B, h, w, C, kh, kw)
    windows = padded.unfold(1, kernel[0], stride).unfold(2, kernel[1], stride)
    return windows.permute(0, 1, 2, 4, 5, 3).flatten(3).flatten(0, 2)


def _learns_on_cpu(input: Tensor) -> bool:
    return input.device.type == "cpu" and torch.is_grad_enabled()


def _in_autocast_type(*tensors: Tensor) -> tuple[Tensor, ...]:
    """Returns the tensors in the type that autocast would give them."""
    device = tensors[0].device.type
    if not torch.is_autocast_enabled(device):
        return tensors
    return tuple(tensor.to(torch.get_autocast_dtype(device)) for tensor in tensors)
