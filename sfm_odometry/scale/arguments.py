"""Command-line options of the metric scale."""

import argparse
from pathlib import Path
from typing import Any, NamedTuple

from sfm_odometry.errors import InputError
from sfm_odometry.io.text import read_number_rows
from sfm_odometry.scale import SCALE_HOLDS, SCALE_MODES

_REQUIRED_OPTIONS = {
    "fixed": "scale",
    "camera_height": "camera_height",
    "odometry": "speeds",
    "twist": "speeds",
}
"""Required option of each mode."""


class Speed(NamedTuple):
    """Speed of the camera at a time."""

    stamp_ns: int
    speed_mps: float


def add_scale_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the metric scale: the mode, and one option for each source."""
    parser.add_argument(
        "--scale-mode",
        choices=SCALE_MODES,
        help="where metres come from; default: by which of the next three options is given, "
        "else none",
    )
    parser.add_argument(
        "--scale", type=float, metavar="F", help="fixed: metres in the model's unit of length"
    )
    parser.add_argument(
        "--camera-height",
        type=float,
        metavar="M",
        help="camera_height: metres from the ground to the camera",
    )
    parser.add_argument(
        "--scale-hold",
        choices=SCALE_HOLDS,
        default="auto",
        help="auto: keep a scale that is not measured constant by the height over the ground "
        "(default); off: do not",
    )
    parser.add_argument(
        "--speeds",
        type=Path,
        metavar="FILE",
        help="odometry, twist: a row of time in seconds and speed in m/s each, "
        "on the clock of the images",
    )


def scale_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """Odometry parameters of the scale; raises InputError for options that do not fit together."""
    # Find the mode from the options.
    present = [
        name
        for name in ("scale", "camera_height", "speeds")
        if getattr(arguments, name) is not None
    ]
    if len(present) > 1:
        raise InputError(
            f"{' and '.join(map(_option, present))} exclude each other: the scale has one source"
        )
    mode = arguments.scale_mode or next(
        (mode for mode, required in _REQUIRED_OPTIONS.items() if required in present), "none"
    )
    # Check that the mode has its option, and no other.
    required = _REQUIRED_OPTIONS.get(mode)
    if present != ([required] if required else []):
        wanted = _option(required) if required else "no option"
        got = _option(*present) if present else "none"
        raise InputError(f"--scale-mode {mode} takes {wanted}, got {got}")
    # Collect the parameters.
    options: dict[str, Any] = {"scale_mode": mode}
    if arguments.scale_hold != "auto":
        options["scale_hold"] = arguments.scale_hold
    if mode == "fixed":
        options["scale_value"] = arguments.scale
    if mode == "camera_height":
        options["scale_camera_height"] = arguments.camera_height
    return options


def read_speeds(path: Path) -> list[Speed]:
    """Reads a file of rows of time (s) and speed (m/s), ordered by time.

    Raises InputError naming the line.
    """
    speeds: list[Speed] = []
    for line, row in read_number_rows(path):
        if len(row) != 2:
            raise InputError(
                f"{path}, line {line}: {len(row)} numbers, "
                "expected 2: time in seconds and speed in m/s"
            )
        if speeds and round(row[0] * 1e9) <= speeds[-1].stamp_ns:
            raise InputError(
                f"{path}, line {line}: time {row[0]:g} s, "
                f"expected one after {speeds[-1].stamp_ns / 1e9:g} s"
            )
        speeds.append(Speed(round(row[0] * 1e9), row[1]))
    if not speeds:
        raise InputError(f"{path}: no row, expected time in seconds and speed in m/s")
    return speeds


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")
