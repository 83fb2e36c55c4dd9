from dataclasses import dataclass, field
from typing import Literal

import pytest

from sfm_odometry.config import build_dataclass
from sfm_odometry.errors import InputError


@dataclass(frozen=True)
class Inner:
    widths: tuple[int, ...] = (1, 2)
    pair: tuple[float, float] = (0.5, 1.0)


@dataclass(frozen=True)
class Outer:
    rate: float = 1.0
    steps: int = 3
    mode: Literal["fast", "slow"] = "fast"
    name: str | None = None
    inner: Inner = field(default_factory=Inner)


def test_nested_values_are_converted():
    built = build_dataclass(
        Outer, {"rate": 2, "name": "x", "inner": {"widths": [3, 4, 5], "pair": [1, 2]}}
    )
    assert built == Outer(2.0, name="x", inner=Inner((3, 4, 5), (1.0, 2.0)))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"stpes": 3}, "unknown setting 'stpes': did you mean 'steps'"),
        ({"inner": {"width": [1]}}, "unknown setting 'inner.width': did you mean 'widths'"),
        ({"steps": 2.5}, "'steps' must be int, got 2.5"),
        ({"steps": True}, "'steps' must be int, got True"),
        ({"rate": "fast"}, "'rate' must be a number, got 'fast'"),
        ({"mode": "fsat"}, "must be one of fast, slow, got 'fsat': did you mean 'fast'"),
        ({"inner": {"widths": [1, "2"]}}, r"'inner.widths\[1\]' must be int, got '2'"),
        ({"inner": {"pair": [1]}}, "'inner.pair' must have 2 values"),
        ({"inner": 5}, "inner: expected a mapping"),
    ],
)
def test_wrong_settings_are_named(values, message):
    with pytest.raises(InputError, match=message):
        build_dataclass(Outer, values)


@dataclass(frozen=True)
class Square:
    kind: Literal["square"] = "square"
    side: float = 1.0


@dataclass(frozen=True)
class Circle:
    kind: Literal["circle"] = "circle"
    radius: float = 1.0


@dataclass(frozen=True)
class Drawing:
    shape: Square | Circle = field(default_factory=Square)


def test_a_kind_tells_dataclasses_apart():
    assert build_dataclass(Drawing, {"shape": {"kind": "circle", "radius": 2}}).shape == Circle(
        radius=2.0
    )
    assert build_dataclass(Drawing, {"shape": {"side": 3}}).shape == Square(side=3.0)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        (
            {"kind": "cirle"},
            "'shape.kind' must be one of square, circle, got 'cirle': did you mean 'circle'",
        ),
        ({"kind": "circle", "side": 1.0}, "unknown setting 'shape.side'"),
        (5, "'shape.kind' must be one of"),
    ],
)
def test_a_wrong_kind_is_named(shape, message):
    with pytest.raises(InputError, match=message):
        build_dataclass(Drawing, {"shape": shape})
