"""CUDA graphs: what a part launches on a GPU is recorded once, then launched as one, without the
interpreter between the kernels."""

import torch
from torch import Tensor

from sfm_odometry.backends.backend import Compute
from sfm_odometry.errors import InputError
from sfm_odometry.networks.stage import Stage

WARM_UPS = 3
"""Runs before the recording: libraries allocate what they work in, and constants are made, at
the first."""


class CudaGraph:
    """The networks' own kernels on a CUDA device, recorded; results are eager's."""

    def __init__(self, device: torch.device) -> None:
        if device.type != "cuda":
            raise InputError(f"backend cudagraph is for CUDA devices, got device '{device}'")
        self._device = device

    def prepare(self, part: Stage, examples: tuple[Tensor, ...]) -> Compute:
        """A recording of the part. Raises InputError where it cannot be recorded."""
        # A recording that fails leaves its own stream as the current one: this puts the old one
        # back.
        old_stream = torch.cuda.stream(torch.cuda.current_stream(self._device))
        try:
            with torch.cuda.device(self._device), old_stream, torch.inference_mode():
                return _Recording(part, examples)
        except RuntimeError as error:
            first_line = str(error).strip().partition("\n")[0]
            raise InputError(
                f"backend cudagraph cannot record the networks on device '{self._device}': {first_line}"
            ) from error


class _Recording:
    """A part's kernels; every launch reads and writes the memory of the recording, so one thread
    at a time may call it."""

    def __init__(self, part: Stage, examples: tuple[Tensor, ...]) -> None:
        self._part = part  # the kernels read its weights: they must stay where they are
        self._inputs = tuple(example.clone() for example in examples)
        _warm_up(part, self._inputs)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(
            self._graph, capture_error_mode="thread_local"
        ):  # other threads may use the device meanwhile
            self._outputs = part(*self._inputs)

    @torch.inference_mode()
    def __call__(self, *inputs: Tensor) -> Tensor | tuple[Tensor, ...]:
        for own, new in zip(self._inputs, inputs, strict=True):
            own.copy_(new)
        self._graph.replay()
        # Copies: a window keeps what was computed of its frames while the graph computes the next.
        return (
            self._outputs.clone()
            if isinstance(self._outputs, Tensor)
            else tuple(output.clone() for output in self._outputs)
        )


def _warm_up(part: Stage, inputs: tuple[Tensor, ...]) -> None:
    """Runs on a stream of their own, as recordings ask for."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(WARM_UPS):
            part(*inputs)
    torch.cuda.current_stream().wait_stream(stream)
