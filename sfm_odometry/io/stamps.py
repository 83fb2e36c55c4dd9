"""Stamps of images: from their file names, or from a list of times.

Recorders count time in different units. Seconds since 1970 have 10 digits before the point; EuRoC
and ORB-SLAM write nanoseconds (19 digits), others microseconds or milliseconds.
"""

import itertools
import re
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import numpy as np

from sfm_odometry.errors import InputError
from sfm_odometry.io.text import read_text

NOMINAL_RATE_HZ = 10.0
"""Frame rate assumed where files are numbered and have no times: KITTI's."""
UNITS = ((10**17, 1, "nanoseconds"), (10**14, 10**3, "microseconds"), (10**11, 10**6, "ms"))
"""Minimum value, nanoseconds in one, and name of the units of whole numbers of time."""
CLOCK_PATTERN = re.compile(r"(\d{4}-\d{2}-\d{2})[ T](\d{2}:\d{2}:\d{2})(?:\.(\d+))?")


def stamps_of_names(paths: Sequence[Path]) -> list[int]:
    """Stamps in nanoseconds from the names of images, in the order of the paths.

    A name is a time in seconds with a decimal point (TUM: 1305031102.175304.png), a whole number
    of milliseconds, microseconds or nanoseconds since 1970 (EuRoC), or a frame number: frames are
    then `NOMINAL_RATE_HZ` apart, whatever step the numbers have. Raises InputError for a name
    without a number.
    """
    keys = [name_key(path) for path in paths]
    if all(is_time for is_time, _ in keys):
        return [value for _, value in keys]
    if any(is_time for is_time, _ in keys):
        odd = next(path for path, (is_time, _) in zip(paths, keys, strict=True) if not is_time)
        raise InputError(f"{odd}: a frame number among names that are times")
    numbers = [value for _, value in keys]
    step = usual_step(numbers)
    period_ns = round(1e9 / NOMINAL_RATE_HZ)
    return [number * period_ns // step for number in numbers]


def usual_step(numbers: Sequence[int]) -> int:
    """Median difference of neighbouring frame numbers, at least 1."""
    differences = [after - before for before, after in itertools.pairwise(numbers)]
    return max(int(np.median(differences)), 1) if differences else 1


def name_key(path: Path) -> tuple[bool, int]:
    """(True, stamp in nanoseconds) or (False, frame number) of an image's name.

    Raises InputError where there is no number in the name.
    """
    stem = Path(path).stem
    seconds = re.fullmatch(r"\D*(\d{1,10})\.(\d{1,9})", stem)
    if seconds:
        return True, int(seconds[1]) * 10**9 + int(seconds[2].ljust(9, "0"))
    found = re.findall(r"\d+", stem)
    if not found:
        suffix = Path(path).suffix
        raise InputError(f"{path}: no frame number in the name, expected one like 000123{suffix}")
    # The longest number is the frame's: cam0_000123, frame-000001.color, 1403636579763555584.
    number = max(found[::-1], key=len)
    value = int(number)
    for minimum, nanoseconds, _ in UNITS:
        if value >= minimum:
            return True, value * nanoseconds
    return False, value


def read_stamps(path: Path, names: Sequence[str]) -> list[int]:
    """Stamps in nanoseconds of images with these file names, from a list of times.

    Rows are a time, or a time and a file name (TUM's rgb.txt, EuRoC's data.csv), separated by
    blanks or commas; times are seconds, or whole milliseconds, microseconds or nanoseconds, or
    KITTI raw's date and time. Rows without a name belong to the images one by one. Raises
    InputError, naming file and line, for anything else, for an image without a row, and for times
    that do not increase.
    """
    rows = _rows(path)
    if not rows:
        raise InputError(f"{path}: no times in it, expected one for each image")
    named = all(name for _, _, name in rows)
    if named:
        by_name = {Path(name).name: (line, stamp_ns) for line, stamp_ns, name in rows}
        missing = [name for name in names if name not in by_name]
        if missing and len(rows) != len(names):
            raise InputError(f"{path}: no row for {missing[0]} (and {len(missing) - 1} more)")
        if not missing:
            return _increasing(path, [by_name[name] for name in names])
    if len(rows) != len(names):
        raise InputError(
            f"{path}: {len(rows)} times for {len(names)} images, expected one for each"
        )
    return _increasing(path, [(line, stamp_ns) for line, stamp_ns, _ in rows])


def _increasing(path: Path, rows: Sequence[tuple[int, int]]) -> list[int]:
    for (_, before), (line, stamp_ns) in itertools.pairwise(rows):
        if stamp_ns <= before:
            raise InputError(
                f"{path}, line {line}: time {seconds_text(stamp_ns)} s after "
                f"{seconds_text(before)} s, expected increasing times"
            )
    return [stamp_ns for _, stamp_ns in rows]


def seconds_text(stamp_ns: int) -> str:
    """A stamp in seconds with all its digits, at least one after the point."""
    whole, fraction = divmod(abs(stamp_ns), 10**9)
    digits = f"{fraction:09d}".rstrip("0") or "0"
    return f"{'-' if stamp_ns < 0 else ''}{whole}.{digits}"


def _rows(path: Path) -> list[tuple[int, int, str]]:
    """(line number, stamp in nanoseconds, file name or nothing) of each row."""
    rows = []
    for line_number, line in enumerate(read_text(path).splitlines(), start=1):
        content = line.split("#", 1)[0].strip()
        if not content:
            continue
        where = f"{path}, line {line_number}"
        clock = CLOCK_PATTERN.fullmatch(content)
        if clock:
            rows.append((line_number, _clock_ns(where, *clock.groups()), ""))
            continue
        time, *rest = re.split(r"[\s,;]+", content)
        if len(rest) > 1:
            raise InputError(f"{where}: {len(rest) + 1} columns, expected a time and a file name")
        rows.append((line_number, parse_stamp(time, where), rest[0] if rest else ""))
    return rows


def parse_stamp(text: str, where: str) -> int:
    """Nanoseconds of a time in seconds, or in whole milli-, micro- or nanoseconds.

    Decimal digits are kept exactly. Raises InputError, starting with `where`, for another text.
    """
    match = re.fullmatch(r"([-+]?)(\d+)(?:\.(\d*))?(?:[eE]([-+]?\d+))?", text)
    if match is None:
        raise InputError(f"{where}: {text[:40]!r} is not a time")
    sign, whole, fraction, exponent = match.groups()
    # Shift the decimal point by the exponent: float64 has too few digits for nanoseconds.
    digits = whole + (fraction or "")
    point = len(whole) + int(exponent or 0)
    digits = digits.ljust(point, "0")
    digits, point = ("0" * -point + digits, 0) if point < 0 else (digits, point)
    value, rest = int(digits[:point] or 0), digits[point:]
    factor = next((factor for minimum, factor, _ in UNITS if value >= minimum), 10**9)
    stamp_ns = value * factor + round(int(rest or 0) * factor / 10 ** len(rest))
    return -stamp_ns if sign == "-" else stamp_ns


def _clock_ns(where: str, date: str, time: str, fraction: str | None) -> int:
    """Nanoseconds since 1970 of a date and time; datetime itself has only microseconds."""
    try:
        moment = datetime.strptime(f"{date} {time}", "%Y-%m-%d %H:%M:%S")
    except ValueError:
        raise InputError(f"{where}: '{date} {time}' is no date and time") from None
    seconds = round((moment - datetime(1970, 1, 1)).total_seconds())
    return seconds * 10**9 + int((fraction or "").ljust(9, "0")[:9])
