"""Export of networks to ONNX, the exchange format that other runtimes read."""

import importlib.util
import inspect
import io
import warnings
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from sfm_odometry.errors import InputError

OPSET = 17


def to_onnx(
    module: nn.Module,
    examples: tuple[Tensor, ...],
    inputs: Sequence[str] = (),
    outputs: Sequence[str] = (),
) -> bytes:
    """Returns the module as an ONNX model for inputs of the shapes of `examples`.

    inputs, outputs: names of the inputs and outputs. Inputs that the results do not depend on are
    not in the model. Raises InputError where the package onnx is missing.
    """
    if importlib.util.find_spec("onnx") is None:
        raise InputError(
            "torch writes ONNX with the package onnx, which is not installed: pip install onnx"
        )
    file = io.BytesIO()
    # The exporter by tracing: the newer one needs two packages more and does not exist before
    # torch 2.5, nor does the option to choose.
    options = (
        {"dynamo": False} if "dynamo" in inspect.signature(torch.onnx.export).parameters else {}
    )
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # sizes are meant to become constants
        names = {
            "input_names": list(inputs) or _input_names(examples),
            "output_names": list(outputs) or None,
        }
        torch.onnx.export(module, examples, file, opset_version=OPSET, **names, **options)  # type: ignore[arg-type]
    return file.getvalue()


def named_arrays(inputs: tuple[Tensor, ...], used: set[str]) -> dict[str, np.ndarray]:
    """Returns the inputs as arrays by their default names, restricted to the `used` names."""
    named = zip(_input_names(inputs), inputs, strict=True)
    return {name: np.ascontiguousarray(value.numpy()) for name, value in named if name in used}


def _input_names(inputs: tuple[Tensor, ...]) -> list[str]:
    return [f"input_{index}" for index in range(len(inputs))]
