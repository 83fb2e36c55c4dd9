"""Whether a state belongs to the run that wants to go on from it."""

import dataclasses
import json
from typing import Any

import torch

from sfm_odometry.backends.processor import describe_device
from sfm_odometry.config import build_dataclass
from sfm_odometry.errors import InputError
from training.config import TrainConfig
from training.engine.differences import differences
from training.engine.distributed import Processes
from training.engine.precision import resolve_precision
from training.engine.run_data import RunData

FIXED = ("model.", "learn_intrinsics", "learned cameras")
"""Settings that decide which weights there are: with others a state cannot be gone on from."""


def choose_precision(
    config: TrainConfig, device: torch.device, processes: Processes, state: dict[str, Any] | None
) -> TrainConfig:
    """The configuration with `precision: auto` settled: as the run began, or measured where it
    is new or has come to another device."""
    if config.precision != "auto":
        return config
    if state is not None and state["identity"].get("device") == describe_device(device):
        return dataclasses.replace(config, precision=state["identity"]["config"]["precision"])
    config = resolve_precision(config, device)
    all_faster = not processes.any(config.precision == "float32")
    return config if all_faster else dataclasses.replace(config, precision="float32")


def identity_of_run(
    config: TrainConfig, data: RunData, processes: int, device: torch.device
) -> dict[str, Any]:
    """What a state says of the run that it is of, as JSON has it: settings, data, device, and in
    how many processes it learns."""
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
    """What has changed since the state was written, in words; InputError where that is not for a
    resumed run to change.

    More steps are the usual reason to resume, and not worth a word. Other settings, data or
    processes make another run of it from here on. Settings that are newer than the state had their
    defaults in it.
    """
    complete = {**now, **before, "config": _with_defaults(before["config"])}
    changes = {
        name.removeprefix("config."): values for name, values in differences(complete, now).items()
    }
    for name, (old, new) in changes.items():
        if name.startswith(FIXED):
            raise InputError(
                f"setting '{name}' is {new}, but the run was begun with {old}; a resumed run keeps it"
            )
    return [
        f"{name} is {new}, it was {old}" for name, (old, new) in changes.items() if name != "steps"
    ]


def _with_defaults(config: dict[str, Any]) -> dict[str, Any]:
    """The settings of a state, with the defaults of those that it does not know; as they are
    where this version does not know one."""
    try:
        return json.loads(json.dumps(dataclasses.asdict(build_dataclass(TrainConfig, config))))
    except InputError:
        return config
