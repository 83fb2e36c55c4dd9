"""Arguments of the launch files: what they may be, and one line on those that cannot be.

Imports neither the launch system nor rclpy.
"""

import difflib
import itertools
import math
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tf_transformations

from sfm_odometry.errors import InputError

PACKAGE = "sfm_odometry"
LAUNCH_SYSTEMS_OWN = frozenset(
    {"launch-prefix", "launch-prefix-filter", "sigterm_timeout", "sigkill_timeout", "emulate_tty"}
)
"""Arguments that the launch system itself reads in any launch file."""
MIN_SIMILARITY = 0.5
"""Similarity of two names, 0 to 1, from which one is offered for the other."""
MIN_SIMILARITY_INCLUDED = 0.8
"""The same for names that may belong to a launch file which includes ours."""
MAX_ANGLE_RAD = 2.0 * math.pi
"""Largest angle of a mount; larger ones are degrees."""
OPTICAL_RPY = (-math.pi / 2.0, 0.0, -math.pi / 2.0)
"""Roll, pitch and yaw of an optical frame (x right, y down, z forward) in the camera's body frame
(x forward, y left, z up), radians, as REP 103 has them."""
DEVICES = r"auto|cpu|cuda(:\d+)?"
_TOPIC = r"~?/?[A-Za-z_][A-Za-z0-9_]*(/[A-Za-z_][A-Za-z0-9_]*)*"
_NAMESPACE = r"/|/?[A-Za-z_][A-Za-z0-9_]*(/[A-Za-z_][A-Za-z0-9_]*)*"
_FRAME = r"[^/\s][^\s]*"


@dataclass(frozen=True)
class Argument:
    """Argument of a launch file. An empty default allows the empty text, which means unset."""

    default: str
    description: str
    check: Callable[[str], str] = lambda text: ""
    """Returns what was expected where the text cannot be used; empty where it can."""


def one_of(*choices: str) -> Callable[[str], str]:
    """Returns the check for one of some words."""
    expected = f"{', '.join(choices[:-1])} or {choices[-1]}"
    return lambda text: "" if text in choices else expected


def is_bool(text: str) -> str:
    """Check for true or false."""
    return "" if text.lower() in ("true", "false") else "true or false"


def number(low: float, high: float, unit: str = "") -> Callable[[str], str]:
    """Returns the check for a finite number from `low` to `high`."""
    unit = f" {unit}" if unit else ""
    limits = f"from {low:g} to {high:g}" if math.isfinite(high) else f"of at least {low:g}"
    return lambda text: "" if low <= _float(text) <= high else f"a number{unit} {limits}"


def positive(unit: str = "") -> Callable[[str], str]:
    """Returns the check for a finite number greater than zero."""
    unit = f" {unit}" if unit else ""
    return lambda text: "" if 0.0 < _float(text) < math.inf else f"a number{unit} greater than zero"


def is_file(text: str) -> str:
    """Check for a file that exists."""
    return "" if Path(text).is_file() else "a file, and there is none of that name"


def is_place(text: str) -> str:
    """Check for a file or folder that exists."""
    return "" if Path(text).exists() else "a file or folder, and there is none of that name"


def is_topic(text: str) -> str:
    """Check for the name of a topic."""
    return "" if re.fullmatch(_TOPIC, text) else "the name of a topic, such as /camera/image_raw"


def is_namespace(text: str) -> str:
    """Check for a namespace."""
    return "" if re.fullmatch(_NAMESPACE, text) else "a namespace, such as front"


def is_frame(text: str) -> str:
    """Check for the name of a frame."""
    return "" if re.fullmatch(_FRAME, text) else "a frame's name without a leading slash"


def is_device(text: str) -> str:
    """Check for a device of torch."""
    return "" if re.fullmatch(DEVICES, text) else "auto, cpu, cuda or cuda:N"


def is_mount(text: str) -> str:
    """Check for a mount: six numbers, the last three of them angles in radians."""
    numbers = [_float(word) for word in text.split()]
    if len(numbers) != 6 or not all(math.isfinite(value) for value in numbers):
        return "six numbers: x y z in metres, roll pitch yaw in radians"
    if max(map(abs, numbers[3:])) > MAX_ANGLE_RAD:
        return "angles in radians, and these are degrees: one degree is 0.01745"
    return ""


def read_arguments(
    context: Any,
    arguments: Mapping[str, Argument],
    launch_file: Path,
    command: Sequence[str],
    warn: Callable[[str], object],
) -> dict[str, str]:
    """Returns the values of a launch file's arguments, by name.

    context: of the launch system. command: of the process. warn: called with one line for each
    name that is probably misspelt in a launch file which includes this one. Raises InputError for
    a value that cannot be used, and for an unknown argument on the command line.
    """
    if is_launched_itself(launch_file, command):
        refuse_unknown(_names(context.argv), arguments)
    else:
        warn_of_misspelt(context.launch_configurations, arguments, warn)
    values = {name: str(context.launch_configurations[name]) for name in arguments}
    check_values(values, arguments)
    return values


def is_launched_itself(launch_file: Path, command: Sequence[str]) -> bool:
    """Whether `ros2 launch` was given this file, and not one that includes it.

    The arguments on the command line are then those of this file.
    """
    for before, word in itertools.pairwise(command):
        if Path(word).name == launch_file.name and (
            before == PACKAGE or (Path(word).is_file() and Path(word).samefile(launch_file))
        ):
            return True
    return False


def refuse_unknown(names: Iterable[str], known: Collection[str]) -> None:
    """Raise InputError for the first name that is not known, with the nearest that is."""
    for name in names:
        if name not in known and name not in LAUNCH_SYSTEMS_OWN:
            near = nearest(name, known, MIN_SIMILARITY)
            hint = f"did you mean {near}?" if near else f"expected one of {', '.join(known)}"
            raise InputError(f"{name}: there is no such argument, {hint}")


def warn_of_misspelt(
    names: Iterable[str], known: Collection[str], warn: Callable[[str], object]
) -> None:
    """Warn of names that are nearly known ones; others belong to the launch file that includes."""
    for name in names:
        near = nearest(name, known, MIN_SIMILARITY_INCLUDED)
        if name not in known and near:
            warn(f"{name}: there is no such argument here; did you mean {near}?")


def nearest(name: str, known: Collection[str], similarity: float) -> str:
    """Returns the known name that is most like the given one; empty where none is."""
    found = difflib.get_close_matches(name, known, n=1, cutoff=similarity)
    return found[0] if found else ""


def check_values(values: Mapping[str, str], arguments: Mapping[str, Argument]) -> None:
    """Raise InputError for the first value that cannot be used, with what was expected."""
    for name, argument in arguments.items():
        text = values[name]
        if not text and not argument.default:
            continue
        if expected := argument.check(text):
            raise InputError(f"{name}: got '{text}', expected {expected}")


def parse_mount(text: str) -> tuple[list[float], list[float]]:
    """Returns x, y, z and roll, pitch, yaw of a mount."""
    numbers = [float(word) for word in text.split()]
    return numbers[:3], numbers[3:]


def base_from_optical(mount: str) -> list[float]:
    """Returns x, y, z, qx, qy, qz, qw of the optical frame in the base's, of a mount.

    mount: that of the camera's body frame, which looks along x.
    """
    xyz, rpy = parse_mount(mount)
    quaternion = tf_transformations.quaternion_multiply(
        tf_transformations.quaternion_from_euler(*rpy),
        tf_transformations.quaternion_from_euler(*OPTICAL_RPY),
    )
    return [*xyz, *map(float, quaternion)]


def as_bool(text: str) -> bool:
    """Convert a checked argument to a bool."""
    return text.lower() == "true"


def _names(argv: Iterable[str]) -> list[str]:
    """Returns the names of arguments name:=value."""
    return [word.partition(":=")[0] for word in argv if ":=" in word]


def _float(text: str) -> float:
    """Convert to a number; NaN, which no limit holds, for anything else."""
    try:
        return float(text)
    except ValueError:
        return math.nan
