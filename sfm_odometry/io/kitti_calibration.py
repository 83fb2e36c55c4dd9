"""Calibration and time files of KITTI."""

import itertools
import re
from datetime import datetime
from pathlib import Path

import numpy as np

from sfm_odometry.errors import CalibrationError, InputError
from sfm_odometry.geometry.camera import Intrinsics, check_plausible
from sfm_odometry.io.text import parse_numbers, read_number_rows, read_text


def read_calibration(path: Path, camera: int, width: int, height: int) -> Intrinsics:
    """Reads the intrinsics of `camera` (0..3) for images of `width` x `height`.

    The file is KITTI's calib.txt (P0..P3), KITTI raw's calib_cam_to_cam.txt (P_rect_00..03, whose
    S_rect must agree with the size) or a plain 3x3 matrix as in cam.txt. Raises InputError if it
    cannot be read, and CalibrationError if the camera is not in it or its matrix is none.
    """
    # Split the lines `name: numbers`.
    text = read_text(path)
    entries = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    if not entries:
        return _plain_calibration(path, width, height)
    entries = {name.strip(): value for name, value in entries.items()}
    # Select the camera's matrix.
    name = (
        f"P_rect_{camera:02d}"
        if any(key.startswith("P_rect_") for key in entries)
        else f"P{camera}"
    )
    if name not in entries:
        present = [key for key in entries if re.fullmatch(r"P\d|P_rect_\d\d", key)]
        raise CalibrationError(
            f"{path}: no {name} for camera {camera} in it, {_present_or_expected(present)}"
        )
    _check_rectified_size(path, entries, camera, width, height)
    return _intrinsics(
        f"{path}, {name}", parse_numbers(entries[name], f"{path}, {name}"), (3, 4), width, height
    )


def read_times(path: Path) -> np.ndarray:
    """Reads the times of frames in seconds (N,), float64, strictly increasing.

    The file is times.txt, or KITTI raw's timestamps.txt (date and time), whose times are relative
    to its first row. Raises InputError, naming file and line, for anything else.
    """
    rows = _date_rows(path) if ":" in read_text(path) else _second_rows(path)
    if not rows:
        raise InputError(f"{path}: no times in it, expected one for each image")
    for (_, before), (line_number, time) in itertools.pairwise(rows):
        if time <= before:
            raise InputError(
                f"{path}, line {line_number}: time {time:.9g} s after {before:.9g} s, "
                "expected increasing times"
            )
    return np.array([time for _, time in rows])


def _present_or_expected(names: list[str]) -> str:
    return f"only {', '.join(names)}" if names else "expected P0..P3 or P_rect_00..P_rect_03"


def _plain_calibration(path: Path, width: int, height: int) -> Intrinsics:
    numbers = _matrix_numbers(path)
    if len(numbers) == 16:  # ScanNet's 4x4
        numbers = [numbers[4 * row + column] for row in range(3) for column in range(3)]
    if len(numbers) == 4:  # ETH3D's fx fy cx cy
        fx, fy, cx, cy = numbers
        numbers = [fx, 0.0, cx, 0.0, fy, cy, 0.0, 0.0, 1.0]
    if len(numbers) != 9:
        raise CalibrationError(
            f"{path}: {len(numbers)} numbers, "
            "expected lines P0: to P3: or P_rect_0X: of 12, or a 3x3 matrix"
        )
    return _intrinsics(str(path), numbers, (3, 3), width, height)


def _matrix_numbers(path: Path) -> list[float]:
    """Numbers of a matrix as text, also as NumPy, Python or MATLAB print it."""
    numbers = []
    for line_number, line in enumerate(read_text(path).splitlines(), start=1):
        content = re.sub(r"[\[\];]", " ", line.split("#", 1)[0])
        numbers += parse_numbers(content, f"{path}, line {line_number}")
    return numbers


def _intrinsics(
    where: str, numbers: list[float], shape: tuple[int, int], width: int, height: int
) -> Intrinsics:
    if len(numbers) != shape[0] * shape[1]:
        raise CalibrationError(f"{where}: {len(numbers)} numbers, expected {shape[0] * shape[1]}")
    matrix = np.array(numbers).reshape(shape)
    if not np.allclose(matrix[2, :3], [0, 0, 1]):
        raise CalibrationError(
            f"{where}: bottom row starts {matrix[2, :3].tolist()}, "
            "expected 0 0 1 as of a rectified camera"
        )
    try:
        intrinsics = Intrinsics.from_matrix(matrix, width, height)
        check_plausible(intrinsics)
    except CalibrationError as error:
        raise CalibrationError(f"{where}: {error}") from None
    return intrinsics


def _check_rectified_size(
    path: Path, entries: dict[str, str], camera: int, width: int, height: int
) -> None:
    name = f"S_rect_{camera:02d}"
    if name not in entries:
        return
    size = parse_numbers(entries[name], f"{path}, {name}")
    if size != [width, height]:
        found = "x".join(f"{number:g}" for number in size)
        raise CalibrationError(
            f"{path}, {name}: calibrated for images of {found} pixels, "
            f"but these have {width}x{height}"
        )


def _second_rows(path: Path) -> list[tuple[int, float]]:
    rows = read_number_rows(path)
    for line_number, numbers in rows:
        if len(numbers) != 1:
            raise InputError(
                f"{path}, line {line_number}: {len(numbers)} numbers, expected one time in seconds"
            )
    return [(line_number, numbers[0]) for line_number, numbers in rows]


def _date_rows(path: Path) -> list[tuple[int, float]]:
    lines = [
        (line_number, line.strip())
        for line_number, line in enumerate(read_text(path).splitlines(), start=1)
        if line.strip()
    ]
    stamps = [
        (line_number, _nanoseconds(f"{path}, line {line_number}", line))
        for line_number, line in lines
    ]
    return [(line_number, (stamp - stamps[0][1]) * 1e-9) for line_number, stamp in stamps]


def _nanoseconds(where: str, date: str) -> int:
    """Parses a date like 2011-09-26 13:02:25.964389445 into nanoseconds since 1970.

    datetime itself has microseconds only. Raises InputError, starting with `where`.
    """
    whole, _, fraction = date.partition(".")
    try:
        seconds = (
            datetime.strptime(whole, "%Y-%m-%d %H:%M:%S") - datetime(1970, 1, 1)
        ).total_seconds()
        return int(seconds) * 10**9 + int(fraction.ljust(9, "0")[:9])
    except ValueError:
        raise InputError(
            f"{where}: {date[:40]!r}, expected a time like 2011-09-26 13:02:25.964389445"
        ) from None
