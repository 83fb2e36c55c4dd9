"""Models on disk: a safetensors file, the weights as tensors and all else as JSON in its header;
nothing is ever unpickled."""

import contextlib
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from sfm_odometry.config import build_dataclass
from sfm_odometry.errors import CheckpointError, InputError, OutputError
from sfm_odometry.inference.safetensors_file import TensorFile, write_tensors
from sfm_odometry.networks.model import Model, ModelConfig

FORMAT = "sfm_odometry"
VERSION = "1"
DEFAULT_MODEL = Path(__file__).resolve().parents[1] / "models" / "default.safetensors"
POSE_CONVENTION = "source_from_target, optical frames, translation then Euler angles, R = Rx Ry Rz"
MAX_PARAMETERS = 500_000_000


def save_model(path: Path, model: Model, provenance: dict[str, Any], half: bool = False) -> None:
    """Write `model` with its configuration and `provenance` (how it was trained), atomically;
    OutputError names the file.

    half: store float16, half the size; weights are float32 again after loading.
    """
    dtype = torch.float16 if half else torch.float32
    tensors = {
        name: _converted(tensor.detach().cpu(), dtype)
        for name, tensor in model.state_dict().items()
    }
    metadata = {
        "format": FORMAT,
        "version": VERSION,
        "pose_convention": POSE_CONVENTION,
        "config": json.dumps(asdict(model.config)),
        "provenance": json.dumps(provenance),
    }
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_tensors(temporary, tensors, metadata)
        os.replace(temporary, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise OutputError(f"{path}: model cannot be written: {error}") from error


def load_model(path: Path | None = None, device: torch.device | str = "cpu") -> Model:
    """The model of the file (default: the one in the package) on `device`, float32, in evaluation
    mode.

    Names, shapes and size are checked before memory is taken. Raises CheckpointError that names the
    file and what is wrong.
    """
    file = TensorFile(Path(path) if path is not None else DEFAULT_MODEL)
    with torch.device("meta"):
        model = Model(_read_config(file))
    _check_shapes(file, {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()})
    tensors = {name: _converted(file.read(name).to(device), torch.float32) for name in file.shapes}
    for name, tensor in tensors.items():
        if not torch.isfinite(tensor).all():
            raise CheckpointError(f"{file.path}: tensor '{name}' holds values that are not finite")
    model.load_state_dict(tensors, assign=True)
    return model.eval().requires_grad_(False)


def _converted(tensor: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """A tensor of real numbers in `dtype`; counts, as of the batches that batch normalisation
    has seen, as they are."""
    return tensor.to(dtype) if tensor.is_floating_point() else tensor


def read_provenance(path: Path) -> dict[str, Any]:
    """How the model of the file was trained, as its trainer wrote it."""
    return json.loads(TensorFile(path).metadata.get("provenance", "{}"))


def _read_config(file: TensorFile) -> ModelConfig:
    metadata = file.metadata
    if metadata.get("format") != FORMAT or metadata.get("version") != VERSION:
        found = f"format '{metadata.get('format')}' version '{metadata.get('version')}'"
        raise CheckpointError(
            f"{file.path}: not a model of this package: found {found}, expected '{FORMAT}' version '{VERSION}'"
        )
    try:
        return build_dataclass(ModelConfig, json.loads(metadata["config"]))
    except (KeyError, json.JSONDecodeError, InputError) as error:
        raise CheckpointError(
            f"{file.path}: the model's configuration cannot be read: {error}"
        ) from error


def _check_shapes(file: TensorFile, expected: dict[str, tuple[int, ...]]) -> None:
    if sum(torch.Size(shape).numel() for shape in expected.values()) > MAX_PARAMETERS:
        raise CheckpointError(
            f"{file.path}: the configuration asks for more than {MAX_PARAMETERS} parameters"
        )
    for name in sorted(set(file.shapes) | set(expected)):
        if file.shapes.get(name) != expected.get(name):
            found, wanted = file.shapes.get(name, "none"), expected.get(name, "none")
            raise CheckpointError(
                f"{file.path}: tensor '{name}' has shape {found}, expected {wanted} by its configuration"
            )
