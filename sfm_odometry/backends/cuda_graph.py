"""Backend of CUDA graphs: the kernels of a stage are recorded once and launched as one.

Between the kernels the interpreter is not needed.
"""

import torch
from torch import Tensor

from sfm_odometry.backends.backend import Compute
from sfm_odometry.errors import InputError
from sfm_odometry.networks.stage import Stage

WARM_UPS = 3
"""Runs before the recording: libraries allocate their workspaces, and constants are made, at
the first."""


class CudaGraph:
    """Recordings of the networks' own kernels on a CUDA device; the results are eager's."""

    def __init__(self, device: torch.device) -> None:
        if device.type != "cuda":
            raise InputError(f"backend cudagraph is for CUDA devices, got device '{device}'")
        self._device = device

    def prepare(self, stage: Stage, examples: tuple[Tensor, ...]) -> Compute:
        """Returns a recording of the stage; raises InputError when it cannot be recorded."""
        # A recording that fails leaves its own stream as the current one: this restores the old
        # one.
        old_stream = torch.cuda.stream(torch.cuda.current_stream(self._device))
        try:
            with torch.cuda.device(self._device), old_stream, torch.inference_mode():
                return _Recording(stage, examples)
        except RuntimeError as error:
            first_line = str(error).strip().partition("\n")[0]
            raise InputError(
                f"backend cudagraph cannot record the networks on device '{self._device}': "
                f"{first_line}"
            ) from error


class _Recording:
    """The recorded kernels of a stage.

    Every launch reads and writes the memory of the recording: one thread at a time may call it.
    """

    def __init__(self, stage: Stage, examples: tuple[Tensor, ...]) -> None:
        self._stage = stage  # keeps its weights in place: the kernels read them
        self._inputs = tuple(example.clone() for example in examples)
        _warm_up(stage, self._inputs)
        self._graph = torch.cuda.CUDAGraph()
        # Thread-local errors: other threads may use the device meanwhile.
        with torch.cuda.graph(self._graph, capture_error_mode="thread_local"):
            self._outputs = stage(*self._inputs)

    @torch.inference_mode()
    def __call__(self, *inputs: Tensor) -> Tensor | tuple[Tensor, ...]:
        for recorded, value in zip(self._inputs, inputs, strict=True):
            recorded.copy_(value)
        self._graph.replay()
        # Copies: a window keeps the results of its frames while the graph computes the next.
        return (
            self._outputs.clone()
            if isinstance(self._outputs, Tensor)
            else tuple(output.clone() for output in self._outputs)
        )


def _warm_up(stage: Stage, inputs: tuple[Tensor, ...]) -> None:
    """Runs the stage on a separate stream, as recordings require."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(WARM_UPS):
            stage(*inputs)
    torch.cuda.current_stream().wait_stream(stream)
