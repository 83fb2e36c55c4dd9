"""Models on disk: safetensors for the weights, JSON in its header for everything else; nothing is ever unpickled."""

import contextlib
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from sfm_odometry.config import build_dataclass
from sfm_odometry.errors import CheckpointError, InputError, OutputError
from sfm_odometry.networks.model import Model, ModelConfig

FORMAT = "sfm_odometry"
VERSION = "1"
DEFAULT_MODEL = Path(__file__).parent / "models" / "default.safetensors"
POSE_CONVENTION = "source_from_target, optical frames, translation then Euler angles, R = Rx Ry Rz"
MAX_PARAMETERS = 500_000_000


def save_model(path: Path, model: Model, provenance: dict[str, Any], half: bool = False) -> None:
    """Write `model` with its configuration and `provenance` (how it was trained), atomically; OutputError names the file.

    half: store float16, half the size; weights are float32 again after loading.
    """
    dtype = torch.float16 if half else torch.float32
    tensors = {name: tensor.detach().to("cpu", dtype).contiguous() for name, tensor in model.state_dict().items()}
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
        save_file(tensors, temporary, metadata)
        os.replace(temporary, path)
    except (OSError, SafetensorError) as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise OutputError(f"{path}: model cannot be written: {error}") from error


def load_model(path: Path | None = None, device: torch.device | str = "cpu") -> Model:
    """The model of the file (default: the one in the package) on `device`, float32, in evaluation mode.

    Names, shapes and size are checked before memory is taken. Raises CheckpointError that names the file and what is wrong.
    """
    path = Path(path) if path is not None else DEFAULT_MODEL
    metadata, shapes = _read_header(path)
    config = _read_config(path, metadata)
    with torch.device("meta"):
        model = Model(config)
    _check_shapes(path, shapes, {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()})
    with safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name).to(device, torch.float32) for name in shapes}
    for name, tensor in tensors.items():
        if not torch.isfinite(tensor).all():
            raise CheckpointError(f"{path}: tensor '{name}' holds values that are not finite")
    model.load_state_dict(tensors, assign=True)
    return model.eval().requires_grad_(False)


def read_provenance(path: Path) -> dict[str, Any]:
    """How the model of the file was trained, as its trainer wrote it."""
    return json.loads(_read_header(path)[0].get("provenance", "{}"))


def _read_header(path: Path) -> tuple[dict[str, str], dict[str, tuple[int, ...]]]:
    if not path.is_file():
        raise CheckpointError(f"{path}: no such model file")
    try:
        with safe_open(path, framework="pt") as file:
            return file.metadata() or {}, {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(f"{path}: not a complete safetensors file ({error}); pickled checkpoints are never read") from error


def _read_config(path: Path, metadata: dict[str, str]) -> ModelConfig:
    if metadata.get("format") != FORMAT or metadata.get("version") != VERSION:
        found = f"format '{metadata.get('format')}' version '{metadata.get('version')}'"
        raise CheckpointError(f"{path}: not a model of this package: found {found}, expected '{FORMAT}' version '{VERSION}'")
    try:
        return build_dataclass(ModelConfig, json.loads(metadata["config"]))
    except (KeyError, json.JSONDecodeError, InputError) as error:
        raise CheckpointError(f"{path}: the model's configuration cannot be read: {error}") from error


def _check_shapes(path: Path, found: dict[str, tuple[int, ...]], expected: dict[str, tuple[int, ...]]) -> None:
    if sum(torch.Size(shape).numel() for shape in expected.values()) > MAX_PARAMETERS:
        raise CheckpointError(f"{path}: the configuration asks for more than {MAX_PARAMETERS} parameters")
    for name in sorted(set(found) | set(expected)):
        if found.get(name) != expected.get(name):
            raise CheckpointError(
                f"{path}: tensor '{name}' has shape {found.get(name, 'none')}, expected {expected.get(name, 'none')} by its configuration"
            )
