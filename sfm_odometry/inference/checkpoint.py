"""Model files: safetensors, with the weights as tensors and all else as JSON in the header.

Nothing is ever unpickled.
"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from sfm_odometry.config import build_dataclass
from sfm_odometry.errors import CheckpointError, InputError, OutputError
from sfm_odometry.inference.safetensors_file import TensorFile, write_tensors
from sfm_odometry.io.atomic import atomic_write
from sfm_odometry.networks.model import Model, ModelConfig

FORMAT = "sfm_odometry"
VERSION = "1"
DEFAULT_MODEL = Path(__file__).resolve().parents[1] / "models" / "default.safetensors"
POSE_CONVENTION = "source_from_target, optical frames, translation then Euler angles, R = Rx Ry Rz"
MAX_PARAMETERS = 500_000_000


def save_model(path: Path, model: Model, provenance: dict[str, Any], half: bool = False) -> None:
    """Writes `model` with its configuration and `provenance`, the record of its training.

    half: store float16, half the size; weights are float32 again after loading. The file is written
    atomically; raises OutputError naming it.
    """
    dtype = torch.float16 if half else torch.float32
    tensors = {
        name: _convert(tensor.detach().cpu(), dtype) for name, tensor in model.state_dict().items()
    }
    metadata = {
        "format": FORMAT,
        "version": VERSION,
        "pose_convention": POSE_CONVENTION,
        "config": json.dumps(asdict(model.config)),
        "provenance": json.dumps(provenance),
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as temporary:
            write_tensors(temporary, tensors, metadata)
    except OSError as error:
        raise OutputError(f"{path}: model cannot be written: {error}") from error


def load_model(path: Path | None = None, device: torch.device | str = "cpu") -> Model:
    """Loads a model (default: the packaged one) on `device`, float32, in evaluation mode.

    Names, shapes and size are checked before memory is allocated. Raises CheckpointError with the
    name of the file.
    """
    file = TensorFile(Path(path) if path is not None else DEFAULT_MODEL)
    with torch.device("meta"):
        model = Model(_read_config(file))
    _check_shapes(file, {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()})
    tensors = {name: _convert(file.read(name).to(device), torch.float32) for name in file.shapes}
    for name, tensor in tensors.items():
        if not torch.isfinite(tensor).all():
            raise CheckpointError(f"{file.path}: tensor '{name}' holds values that are not finite")
    model.load_state_dict(tensors, assign=True)
    return model.eval().requires_grad_(False)


def _convert(tensor: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Converts a floating-point tensor to `dtype`.

    Integers are unchanged, such as the number of batches of batch normalisation.
    """
    return tensor.to(dtype) if tensor.is_floating_point() else tensor


def read_provenance(path: Path) -> dict[str, Any]:
    """Reads the record of a model's training, as its trainer wrote it."""
    return json.loads(TensorFile(path).metadata.get("provenance", "{}"))


def _read_config(file: TensorFile) -> ModelConfig:
    metadata = file.metadata
    if metadata.get("format") != FORMAT or metadata.get("version") != VERSION:
        found = f"format '{metadata.get('format')}' version '{metadata.get('version')}'"
        raise CheckpointError(
            f"{file.path}: not a model of this package: found {found}, "
            f"expected '{FORMAT}' version '{VERSION}'"
        )
    try:
        return build_dataclass(ModelConfig, json.loads(metadata["config"]))
    except (KeyError, json.JSONDecodeError, InputError) as error:
        raise CheckpointError(
            f"{file.path}: the model's configuration cannot be read: {error}"
        ) from error


def _check_shapes(file: TensorFile, expected: dict[str, tuple[int, ...]]) -> None:
    """Raises CheckpointError for other tensors than expected, and for too many parameters."""
    if sum(torch.Size(shape).numel() for shape in expected.values()) > MAX_PARAMETERS:
        raise CheckpointError(
            f"{file.path}: the configuration asks for more than {MAX_PARAMETERS} parameters"
        )
    for name in sorted(set(file.shapes) | set(expected)):
        if file.shapes.get(name) != expected.get(name):
            raise CheckpointError(
                f"{file.path}: tensor '{name}' has shape {file.shapes.get(name, 'none')}, "
                f"expected {expected.get(name, 'none')} by its configuration"
            )
