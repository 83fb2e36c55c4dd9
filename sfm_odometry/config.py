"""Typed configuration: nested dataclasses built from plain dictionaries.

Unknown keys and wrong values are refused by name.
"""

import difflib
import types
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from sfm_odometry.errors import InputError

T = TypeVar("T")


def build_dataclass(kind: type[T], values: dict[str, Any], where: str = "") -> T:
    """Build the dataclass `kind` from nested dictionaries; missing keys take their defaults.

    Raises InputError that names the key (dotted), the value and what was expected, with the nearest
    valid name for an unknown key.
    """
    if not isinstance(values, dict):
        raise InputError(
            f"{where or kind.__name__}: expected a mapping of settings, got {values!r}"
        )
    hints = get_type_hints(kind)
    known = {field.name: field for field in fields(kind)}  # type: ignore[arg-type]
    for key in values:
        if key not in known:
            raise InputError(
                f"unknown setting '{_dotted(where, str(key))}'{_suggestion(str(key), list(known))}"
            )
    arguments = {
        key: convert(value, hints[key], _dotted(where, key)) for key, value in values.items()
    }
    for name, field in known.items():
        if name not in values and field.default is MISSING and field.default_factory is MISSING:
            raise InputError(f"setting '{_dotted(where, name)}' is missing")
    return kind(**arguments)


def convert(value: Any, kind: Any, where: str) -> Any:
    """Convert `value` to the annotated type `kind`.

    Raises InputError, which names the setting, the value and the type.
    """
    origin = get_origin(kind)
    if is_dataclass(kind):
        return build_dataclass(kind, value, where)  # type: ignore[arg-type]
    if origin in (Union, types.UnionType):
        return _convert_union(value, kind, where)
    if origin is Literal:
        return _one_of(value, get_args(kind), where)
    if origin is tuple and isinstance(value, list | tuple):
        return _convert_tuple(value, get_args(kind), where)
    if kind is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if kind in (int, bool, str) and type(value) is kind:
        return value
    raise InputError(f"setting '{where}' must be {_name(kind)}, got {value!r}")


def _convert_union(value: Any, kind: Any, where: str) -> Any:
    """Convert to an optional value, or to one of several dataclasses, selected by its `kind`.

    The first dataclass is taken where no `kind` is given.
    """
    if value is None and type(None) in get_args(kind):
        return None
    options = [option for option in get_args(kind) if option is not type(None)]
    if len(options) == 1:
        return convert(value, options[0], where)
    by_kind = {get_args(get_type_hints(option)["kind"])[0]: option for option in options}
    chosen = value.get("kind", next(iter(by_kind))) if isinstance(value, dict) else None
    return convert(value, by_kind[_one_of(chosen, tuple(by_kind), _dotted(where, "kind"))], where)


def _convert_tuple(values: Any, kinds: tuple[Any, ...], where: str) -> tuple[Any, ...]:
    if len(kinds) == 2 and kinds[1] is Ellipsis:
        kinds = (kinds[0],) * len(values)
    if len(kinds) != len(values):
        raise InputError(f"setting '{where}' must have {len(kinds)} values, got {list(values)!r}")
    return tuple(
        convert(value, kind, f"{where}[{index}]")
        for index, (value, kind) in enumerate(zip(values, kinds, strict=True))
    )


def _one_of(value: Any, choices: tuple[Any, ...], where: str) -> Any:
    if value not in choices:
        raise InputError(
            f"setting '{where}' must be one of {', '.join(map(str, choices))}, "
            f"got {value!r}{_suggestion(str(value), choices)}"
        )
    return value


def _suggestion(word: str, choices: Any) -> str:
    nearest = difflib.get_close_matches(word, [str(choice) for choice in choices], n=1)
    return f": did you mean '{nearest[0]}'?" if nearest else ""


def _dotted(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key


def _name(kind: Any) -> str:
    return "a number" if kind is float else getattr(kind, "__name__", str(kind))
