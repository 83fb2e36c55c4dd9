"""Where two configurations differ, by the names that the user writes."""

import dataclasses
from typing import Any


def differences(before: Any, after: Any) -> dict[str, tuple[Any, Any]]:
    """Dotted names of the settings that differ, with both values; each side is a dataclass or
    what `dataclasses.asdict` made of one."""
    first, second = _flat(before), _flat(after)
    names = dict.fromkeys([*first, *second])
    return {
        name: (first.get(name), second.get(name))
        for name in names
        if first.get(name) != second.get(name)
    }


def _flat(config: Any) -> dict[str, Any]:
    values = config if isinstance(config, dict) else dataclasses.asdict(config)
    result: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            result.update({f"{name}.{inner}": found for inner, found in _flat(value).items()})
        else:
            result[name] = value
    return result
