"""OpenVINO on the processor: `pip install openvino`, or the extra of that name."""

import io

import torch
from torch import Tensor

from sfm_odometry.backends.backend import Compute
from sfm_odometry.backends.onnx_graph import named_arrays, to_onnx
from sfm_odometry.errors import InputError
from sfm_odometry.networks.stage import Stage


class OpenVino:
    """One compiled model for each stage, on as many threads as torch has.

    Stages that allow it are computed in the processor's own half precision.
    """

    def __init__(self, device: torch.device) -> None:
        if device.type != "cpu":
            raise InputError(f"backend openvino computes on the processor, got device '{device}'")
        try:
            import openvino  # optional, and a second to import
        except ImportError as error:
            raise InputError(
                f"backend openvino needs the package of that name: pip install openvino ({error})"
            ) from error
        self._core = openvino.Core()

    def prepare(self, stage: Stage, examples: tuple[Tensor, ...]) -> Compute:
        """Returns an inference request of the stage's ONNX graph."""
        settings = {
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": "1",
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        }
        if not stage.allows_half:  # else OpenVINO takes bfloat16 where the processor has it
            settings["INFERENCE_PRECISION_HINT"] = "f32"
        graph = self._core.read_model(io.BytesIO(to_onnx(stage, examples)))
        used = {entry.any_name for entry in graph.inputs}
        request = self._core.compile_model(graph, "CPU", settings).create_infer_request()

        def compute(*inputs: Tensor) -> Tensor | list[Tensor]:
            results = request.infer(named_arrays(inputs, used))
            # Copies: the request writes into the same memory next time.
            outputs = [torch.from_numpy(value.copy()) for value in results.values()]
            return outputs[0] if len(outputs) == 1 else outputs

        return compute
