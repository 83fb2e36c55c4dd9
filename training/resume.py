"""Whether a state belongs to the run that wants to go on from it."""

import dataclasses
import json
from typing import Any

from sfm_odometry.errors import InputError
from training.config import TrainConfig
from training.differences import differences
from training.run_data import RunData

FIXED = ("model.", "learn_intrinsics", "learned cameras")
"""Settings that decide which weights there are: with others a state cannot be gone on from."""


def identity_of_run(config: TrainConfig, data: RunData, processes: int) -> dict[str, Any]:
    """What a state says of the run that it is of, as JSON has it: settings, data, and in how many processes it learns."""
    identity = {
        "config": dataclasses.asdict(config),
        "learned cameras": [camera.name for camera in data.cameras if not camera.known] if config.learn_intrinsics else [],
        "snippets": len(data.training),
        "processes": processes,
    }
    return json.loads(json.dumps(identity))


def check_resumable(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """What has changed since the state was written, in words; InputError where that is not for a resumed run to change.

    More steps are the usual reason to resume, and not worth a word. Other settings, data or processes make another run of it from here on.
    """
    changes = {name.removeprefix("config."): values for name, values in differences(before, now).items()}
    for name, (old, new) in changes.items():
        if name.startswith(FIXED):
            raise InputError(f"setting '{name}' is {new}, but the run was begun with {old}; a resumed run keeps it")
    return [f"{name} is {new}, it was {old}" for name, (old, new) in changes.items() if name != "steps"]
