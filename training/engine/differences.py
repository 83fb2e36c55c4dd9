"""Differences between two configurations, by the names of their settings."""

import dataclasses
from typing import Any


def differences(before: Any, after: Any) -> dict[str, tuple[Any, Any]]:
    """Returns the dotted names of the settings that differ, with both values.

    before, after: dataclasses, or results of `dataclasses.asdict`.
    """
    first = _flattened(before)
    second = _flattened(after)
    names = dict.fromkeys([*first, *second])
    return {
        name: (first.get(name), second.get(name))
        for name in names
        if first.get(name) != second.get(name)
    }


def _flattened(config: Any) -> dict[str, Any]:
    """Returns the settings of all groups by their dotted names."""
    values = config if isinstance(config, dict) else dataclasses.asdict(config)
    result: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            result.update(
                {f"{name}.{inner}": setting for inner, setting in _flattened(value).items()}
            )
        else:
            result[name] = value
    return result
