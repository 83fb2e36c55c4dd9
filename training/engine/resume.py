"""Resuming of a run: comparison of a saved state with the run's configuration and data."""

import dataclasses
import json
from typing import Any

import torch

from sfm_odometry.backends.processor import describe_device
from sfm_odometry.config import build_dataclass
from sfm_odometry.errors import InputError
from training.config import TrainConfig
from training.engine.differences import differences
from training.engine.distributed import ProcessGroup
from training.engine.precision import resolve_precision
from training.engine.run_data import RunData

FIXED = ("model.", "learn_intrinsics", "learned cameras")
"""Prefixes of the settings that determine the set of weights; a resumed run keeps them."""


def choose_precision(
    config: TrainConfig,
    device: torch.device,
    processes: ProcessGroup,
    state: dict[str, Any] | None,
) -> TrainConfig:
    """Returns the configuration with `precision: auto` replaced by a precision.

    A resumed run keeps its own on the same device type; a new run, or one on another device,
    measures.
    """
    if config.precision != "auto":
        return config
    if state is not None and state["identity"].get("device") == describe_device(device):
        return dataclasses.replace(config, precision=state["identity"]["config"]["precision"])
    # All processes must agree: float32 if it is faster in any of them.
    config = resolve_precision(config, device)
    any_float32 = processes.any(config.precision == "float32")
    return dataclasses.replace(config, precision="float32") if any_float32 else config


def identity_of_run(
    config: TrainConfig, data: RunData, processes: int, device: torch.device
) -> dict[str, Any]:
    """Returns the identity of a run, saved with its states, as JSON values.

    It holds the settings, cameras, number of snippets, number of processes and device.
    """
    identity = {
        "config": dataclasses.asdict(config),
        "learned cameras": [camera.name for camera in data.cameras if not camera.known]
        if config.learn_intrinsics
        else [],
        "snippets": len(data.training),
        "processes": processes,
        "device": describe_device(device),
    }
    return json.loads(json.dumps(identity))


def check_resumable(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Describes the changes of the identity since a state was written, one message each.

    More steps are the usual reason to resume and are not reported. Settings that are newer than the
    state count as their defaults. Raises InputError for a change that a resumed run cannot make.
    """
    complete = {**now, **before, "config": _with_defaults(before["config"])}
    changes = {
        name.removeprefix("config."): values for name, values in differences(complete, now).items()
    }
    for name, (old, new) in changes.items():
        if name.startswith(FIXED):
            raise InputError(
                f"setting '{name}' is {new}, but the run was begun with {old}; "
                "a resumed run keeps it"
            )
    return [
        f"{name} is {new}, it was {old}" for name, (old, new) in changes.items() if name != "steps"
    ]


def _with_defaults(config: dict[str, Any]) -> dict[str, Any]:
    """Returns the settings of a state, completed by defaults.

    They are returned unchanged where this version has no setting of one of the names.
    """
    try:
        return json.loads(json.dumps(dataclasses.asdict(build_dataclass(TrainConfig, config))))
    except InputError:
        return config
