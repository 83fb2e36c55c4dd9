"""ONNX Runtime on the processor: `pip install onnxruntime`, or the extra of that name."""

import torch
from torch import Tensor

from sfm_odometry.backends.backend import Compute
from sfm_odometry.backends.onnx_graph import named_arrays, to_onnx
from sfm_odometry.errors import InputError
from sfm_odometry.networks.stage import Stage


class OnnxRuntime:
    """One session for each stage, on as many threads as torch has."""

    def __init__(self, device: torch.device) -> None:
        if device.type != "cpu":
            raise InputError(
                f"backend onnxruntime computes on the processor, got device '{device}'"
            )
        try:
            import onnxruntime  # optional, and a second to import
        except ImportError as error:
            raise InputError(
                "backend onnxruntime needs the package of that name: "
                f"pip install onnxruntime ({error})"
            ) from error
        self._runtime = onnxruntime

    def prepare(self, stage: Stage, examples: tuple[Tensor, ...]) -> Compute:
        """Returns a session of the stage's ONNX graph."""
        options = self._runtime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.inter_op_num_threads = 1
        options.log_severity_level = 3  # errors only
        session = self._runtime.InferenceSession(
            to_onnx(stage, examples), options, providers=["CPUExecutionProvider"]
        )
        used = {entry.name for entry in session.get_inputs()}

        def compute(*inputs: Tensor) -> Tensor | list[Tensor]:
            outputs = [
                torch.from_numpy(value) for value in session.run(None, named_arrays(inputs, used))
            ]
            return outputs[0] if len(outputs) == 1 else outputs

        return compute
