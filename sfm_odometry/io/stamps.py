"""Stamps of images: from their file names, or from a list of times.

Recorders count time in different units: seconds (TUM), nanoseconds (EuRoC, ORB-SLAM),
microseconds or milliseconds, since 1970 or since the start. The unit is found from the values and
their usual step; frame numbers may have any step.
"""

import itertools
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import numpy as np

from sfm_odometry.errors import InputError
from sfm_odometry.io.text import read_text

NOMINAL_RATE_HZ = 10.0
"""Frame rate assumed where files are numbered and have no times: KITTI's."""
UNITS = {10**9: "seconds", 10**6: "milliseconds", 10**3: "microseconds", 1: "nanoseconds"}
"""Names of the units of time by their nanoseconds."""
ERA_NS = (946_684_800 * 10**9, 4_102_444_800 * 10**9)
"""Times since 1970 that a clock shows: those of the years 2000 to 2100."""
MAX_STEP_NS = 1000 * 10**9
"""Largest usual step of a list of times since 1970; a unit with a larger one is the wrong one."""
MIN_STEP_OF_SECONDS_NS = 10**6
"""Smallest usual step of names that are seconds; names with a smaller one are numbers with a point
in them, such as drive1.0001."""
MIN_STEPS = {1: 2_000_000, 10**3: 2_000, 10**6: 5}
"""Smallest usual step, by unit, of times that do not count from 1970: 2 ms; 5 ms in milliseconds.
Seconds have smaller ones: frames that are 5 s apart cannot be tracked."""
MAX_MISSING_SHARE = 0.5
"""Share of images that may lack a row in a list of times; they are left out."""
CLOCK_PATTERN = re.compile(r"(\d{4}-\d{2}-\d{2})[ T](\d{2}:\d{2}:\d{2})(?:\.(\d+))?Z?")
NUMBER_PATTERN = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")
HEADER_PATTERN = re.compile("time|stamp|sec|date", re.IGNORECASE)
NAME_PATTERN = re.compile(r".*\.[A-Za-z]{3,4}")
SECONDS_PATTERNS = (
    re.compile(r"()(\d+)\.(\d+)"),
    re.compile(r"(.*?)(?<!\d)(\d{9,10})[._-](\d{1,9})"),
)
"""Prefix, seconds and fraction of names: 12.345678, 1305031102.175304, left1403636579-763555584."""
DATE_IN_NAME = re.compile(
    r".*?(?<!\d)(20\d\d)[-_.]?(\d\d)[-_.]?(\d\d)[-_ T.]+"
    r"(\d\d)[-_.:hH]?(\d\d)[-_.:mM]?(\d\d)(?:[-_.,sS]?(\d{1,9}))?(?!\d)\D*"
)
"""Date, time of day and fraction of a second in names of photos: IMG_20240131_120000_123."""


@dataclass
class StampedFiles:
    """Files in the order of their stamps."""

    paths: list[Path]
    stamps_ns: list[int]
    notes: list[str] = field(default_factory=list)
    """What a user should know: unit, repeated times, files that were left out."""


# --- Names


def stamp_by_names(paths: Sequence[Path], rate_hz: float = NOMINAL_RATE_HZ) -> StampedFiles:
    """Order images by their names, and take their stamps from these.

    A name holds a time in seconds with a decimal point (TUM: 1305031102.175304.png), a whole
    number of milliseconds, microseconds or nanoseconds (EuRoC), or a frame number: frames are then
    1 / rate_hz apart, whatever step the numbers have. Images without a number are left out. Raises
    InputError where no name has a number, and for two images with the same one.
    """
    # Leave out names without a number, and those of another kind than most.
    notes = []
    numbered = [path for path in paths if re.search(r"\d", path.stem)]
    if not numbered:
        raise InputError(
            f"{paths[0]}: no frame number in the name, expected one like 000123{paths[0].suffix}"
        )
    notes += [
        f"{path.name}: no frame number in the name, left out"
        for path in paths
        if path not in numbered
    ]
    keys = _name_keys(numbered)
    usual = Counter(is_time for is_time, _ in keys.values()).most_common(1)[0][0]
    for path in [path for path in numbered if keys[path][0] is not usual]:
        kinds = ("a frame number", "a time")
        notes.append(f"{path.name}: {kinds[not usual]} among names with {kinds[usual]}, left out")
        del keys[path]
    # Order by number, and give each a stamp.
    ordered = sorted(keys, key=lambda path: (keys[path][1], path.name))
    values = [keys[path][1] for path in ordered]
    for first, second in itertools.pairwise(ordered):
        if keys[first][1] == keys[second][1]:
            raise InputError(
                f"{second}: has the same frame number as {first.name}, expected one image for each"
            )
    stamps_ns, note = (values, "") if usual else _stamps_of_numbers(values, rate_hz)
    return StampedFiles(ordered, stamps_ns, notes + [note] * bool(note))


def _name_keys(paths: Sequence[Path]) -> dict[Path, tuple[bool, int]]:
    """(True, stamp in nanoseconds) or (False, number) of each image's name."""
    keys = {}
    groups: dict[str, list[Path]] = {}
    for path in paths:
        groups.setdefault(re.sub(r"\d+", "0", path.stem), []).append(path)
    for group in groups.values():
        seconds = _seconds_of_names([path.stem for path in group])
        numbers = _numbers_of_names([path.stem for path in group]) if seconds is None else seconds
        for path, value in zip(group, numbers, strict=True):
            keys[path] = (seconds is not None, value)
    return keys


def _seconds_of_names(stems: Sequence[str]) -> list[int] | None:
    """Stamps in nanoseconds of names that are seconds and a fraction; None for other names."""
    dates = _dates_of_names(stems)
    if dates is not None:
        return dates
    for pattern in SECONDS_PATTERNS:
        matches = [pattern.fullmatch(stem) for stem in stems]
        if not all(matches):
            continue
        parts = [match.group(2, 3) for match in matches if match]
        # Fractions of different lengths after a dash are whole nanoseconds: 12-5, 12-100000005.
        is_decimal = "." in stems[0] or len({len(fraction) for _, fraction in parts}) == 1
        values = [
            Decimal(f"{whole}.{fraction if is_decimal else fraction.zfill(9)}")
            for whole, fraction in parts
        ]
        ordered = sorted(values)
        unit = _unit_since_1970(ordered) or 10**9
        if len(values) == 1 or _usual_step(ordered) * unit >= MIN_STEP_OF_SECONDS_NS:
            return [round(value * unit) for value in values]
    return None


def _dates_of_names(stems: Sequence[str]) -> list[int] | None:
    """Stamps in nanoseconds of names that are dates and times; None for other and equal ones.

    The seconds vary: 2024_01_31-12_00_00-000017 is frame 17 of a drive.
    """
    stamps_ns = []
    for stem in stems:
        match = DATE_IN_NAME.fullmatch(stem)
        if match is None:
            return None
        try:
            moment = datetime.strptime("".join(match.groups()[:6]), "%Y%m%d%H%M%S")
        except ValueError:
            return None
        seconds = round((moment - datetime(1970, 1, 1)).total_seconds())
        stamps_ns.append(seconds * 10**9 + int((match[7] or "").ljust(9, "0")))
    # Photos of whole seconds, of which some are of the same one, are better counted.
    varies = len({stamp_ns // 10**9 for stamp_ns in stamps_ns}) > 1
    return stamps_ns if varies and len(set(stamps_ns)) == len(stamps_ns) else None


def _numbers_of_names(stems: Sequence[str]) -> list[int]:
    """The number of each name: the only one that varies, or else the longest that always grows.

    Names of equal form, such as cam0_000123. Where no number grows in the order of all of them
    (12_00_01_500), the names are counted in that order.
    """
    rows = [tuple(map(int, re.findall(r"\d+", stem))) for stem in stems]
    columns = list(zip(*sorted(set(rows)), strict=True))
    varying = [index for index, column in enumerate(columns) if len(set(column)) > 1]
    growing = [
        index
        for index in varying
        if all(before < after for before, after in itertools.pairwise(columns[index]))
    ]
    if len(varying) < 2 or growing:
        index = max(growing or varying or [len(columns) - 1], key=lambda each: columns[each][-1])
        return [row[index] for row in rows]
    ranks = {row: rank for rank, row in enumerate(sorted(set(rows)))}
    return [ranks[row] for row in rows]


def _stamps_of_numbers(numbers: Sequence[int], rate_hz: float) -> tuple[list[int], str]:
    """Stamps of increasing numbers, which are times or frame numbers, and a note on them."""
    values = [Decimal(number) for number in numbers]
    unit = _unit_since_1970(values) or _unit_by_step(values, (1, 10**3))
    if unit is not None:
        return [number * unit for number in numbers], f"names read as times in {UNITS[unit]}"
    step = _usual_step(values) or Decimal(1)
    stamps_ns = [round(number * 10**9 / (Decimal(rate_hz) * step)) for number in values]
    note = f"frame numbers in steps of {step}, taken as {rate_hz:g} frames a second"
    return stamps_ns, note if step != 1 else ""


# --- Lists of times


@dataclass(frozen=True)
class _Row:
    line: int
    value: Decimal
    """Time in the list's unit."""
    words: tuple[str, ...]
    """The other columns."""


def stamp_by_list(paths: Sequence[Path], times: Path) -> StampedFiles:
    """Give images, ordered by name, the stamps of a list of times.

    Rows are a time, or a time and a file name in either order (TUM's rgb.txt and associations,
    EuRoC's data.csv), separated by blanks, commas or semicolons; times are seconds, milliseconds,
    microseconds or nanoseconds, or KITTI raw's date and time, which count from the first. Rows
    belong to the images by name, else one by one. Images without a row are left out where most
    have one. Raises InputError, naming file and line, for anything else.
    """
    rows, notes = _read_rows(times)
    unit, note = _unit_of_list(times, rows)
    notes += [note] if note else []
    stamps_ns = {row.line: round(row.value * unit) for row in rows}
    # Match by name, where enough rows have the name of an image.
    by_name = {Path(word).name: row for row in rows for word in row.words}
    by_name |= {Path(word).stem: row for row in rows for word in row.words}
    matched = [(path, by_name.get(path.name) or by_name.get(path.stem)) for path in paths]
    found = [(path, row) for path, row in matched if row is not None]
    if len(found) < len(paths) and len(rows) == len(paths):
        found = list(zip(paths, rows, strict=True))
    elif len(found) < len(paths) < len(rows) and (by_number := _rows_by_number(paths, rows)):
        found = by_number
        notes.append(f"{times}: {len(rows)} times for {len(paths)} images, taken by frame number")
    elif len(found) == 0 or len(found) < (1 - MAX_MISSING_SHARE) * len(paths):
        raise InputError(
            f"{times}: {len(rows)} times for {len(paths)} images, expected one for each"
        )
    elif len(found) == len(paths) or not any(row.words for row in rows):
        found.sort(key=lambda pair: stamps_ns[pair[1].line])
    if len(found) < len(paths):
        missing = next(path.name for path, row in matched if row is None)
        count = len(paths) - len(found)
        notes.append(f"{times}: no time of {missing}; {count} images without one left out")
        found.sort(key=lambda pair: stamps_ns[pair[1].line])
    lines = [(row.line, stamps_ns[row.line]) for _, row in found]
    notes += _check_increasing(times, lines)
    return StampedFiles([path for path, _ in found], [stamp for _, stamp in lines], notes)


def _rows_by_number(paths: Sequence[Path], rows: Sequence[_Row]) -> list[tuple[Path, _Row]]:
    """Rows of images that are some of a sequence: 000007.png has the eighth; empty if unlikely."""
    if any(row.words for row in rows) or not all(path.stem.isdigit() for path in paths):
        return []
    numbers = [int(path.stem) for path in paths]
    return [(path, rows[int(path.stem)]) for path in paths] if max(numbers) < len(rows) else []


def read_stamps(path: Path) -> tuple[list[int], list[str]]:
    """Read a list of times alone: stamps in nanoseconds, and notes. Raises InputError."""
    rows, notes = _read_rows(path)
    unit, note = _unit_of_list(path, rows)
    stamps = [(row.line, round(row.value * unit)) for row in rows]
    repeats = _check_increasing(path, stamps)
    return [stamp_ns for _, stamp_ns in stamps], notes + ([note] if note else []) + repeats


def seconds_text(stamp_ns: int) -> str:
    """A stamp in seconds with all its digits, at least one after the point."""
    whole, fraction = divmod(abs(stamp_ns), 10**9)
    digits = f"{fraction:09d}".rstrip("0") or "0"
    return f"{'-' if stamp_ns < 0 else ''}{whole}.{digits}"


def _check_increasing(path: Path, rows: Sequence[tuple[int, int]]) -> list[str]:
    """Notes on repeated times; raises InputError for a time before the one of the row before."""
    repeated = []
    for (_, before), (line, stamp_ns) in itertools.pairwise(rows):
        if stamp_ns < before:
            raise InputError(
                f"{path}, line {line}: time {seconds_text(stamp_ns)} s after "
                f"{seconds_text(before)} s, expected increasing times"
            )
        if stamp_ns == before:
            repeated.append(line)
    if not repeated:
        return []
    return [f"{path}: {len(repeated)} repeated times, the first in line {repeated[0]}"]


def _read_rows(path: Path) -> tuple[list[_Row], list[str]]:
    """Rows of a list of times; a first line of column names is passed over."""
    rows = []
    first_clock_ns: int | None = None
    for line, text in enumerate(read_text(path).splitlines(), start=1):
        content = text.split("#", 1)[0].strip()
        if not content:
            continue
        clock = CLOCK_PATTERN.match(content)
        if clock:
            clock_ns = _clock_ns(f"{path}, line {line}", *clock.groups())
            first_clock_ns = clock_ns if first_clock_ns is None else first_clock_ns
            # In seconds from the first, as the rows of KITTI raw's drives have always been.
            value = Decimal(clock_ns - first_clock_ns).scaleb(-9)
            words = tuple(re.split(r"[\s,;]+", content[clock.end() :].strip(" ,;\t")))
            rows.append(_Row(line, value, tuple(filter(None, words))))
            continue
        row = _row(f"{path}, line {line}", line, content, is_first=not rows)
        rows += [row] if row is not None else []
    if not rows:
        raise InputError(f"{path}: no times in it, expected one for each image")
    return _two_numbers(rows), []


def _two_numbers(rows: list[_Row]) -> list[_Row]:
    """Rows of two whole numbers as what they are; other rows are returned as they are.

    They are a frame's number and its time, seconds and nanoseconds (ROS), or seconds with a
    decimal comma.
    """
    if not all(len(row.words) == 1 and row.words[0].isdigit() for row in rows):
        return rows
    first = [row.value for row in rows]
    second = [row.words[0] for row in rows]
    is_repeated = len(set(first)) < len(first)
    if {b - a for a, b in itertools.pairwise(first)} == {1} and first[0] < ERA_NS[0] // 10**9:
        # Unless the other column counts too: then the first one is taken, as ever.
        steps = {int(b) - int(a) for a, b in itertools.pairwise(second)}
        is_time = steps != {1} and min(steps) > 0
        values = [Decimal(word) for word in second] if is_time else first
    elif is_repeated and len(set(map(len, second))) == 1:
        values = [Decimal(f"{row.value}.{row.words[0]}") for row in rows]
    elif is_repeated and all(len(word) <= 9 for word in second):
        values = [row.value + Decimal(row.words[0]).scaleb(-9) for row in rows]
    else:
        return rows
    return [replace(row, value=value) for row, value in zip(rows, values, strict=True)]


def _row(where: str, line: int, content: str, is_first: bool) -> _Row | None:
    """A row of a time and other columns; None for a header. Raises InputError, naming the line."""
    words = [word.strip("\"'") for word in re.split(r"[\s,;]+", content) if word]
    is_number = [NUMBER_PATTERN.fullmatch(word) is not None for word in words]
    if not any(is_number):
        if is_first and (len(words) > 1 or HEADER_PATTERN.search(words[0])):
            return None
        raise InputError(f"{where}: {words[0][:40]!r} is not a time")
    # The time comes first, but after a file name or a frame's number (number time exposure).
    is_numbered = len(words) > 1 and is_number[:2] == [True, True] and words[0].isdigit()
    index = 1 if is_numbered and not words[1].isdigit() else is_number.index(True)
    others = tuple(words[:index] + words[index + 1 :])
    if not is_numbered and len(others) > 0 and not any(map(NAME_PATTERN.fullmatch, others)):
        raise InputError(f"{where}: {len(words)} columns, expected a time and a file name")
    return _Row(line, Decimal(words[index]), others)


def _clock_ns(where: str, date: str, time: str, fraction: str | None) -> int:
    """Nanoseconds since 1970 of a date and time; datetime itself has only microseconds."""
    try:
        moment = datetime.strptime(f"{date} {time}", "%Y-%m-%d %H:%M:%S")
    except ValueError:
        raise InputError(f"{where}: '{date} {time}' is no date and time") from None
    seconds = round((moment - datetime(1970, 1, 1)).total_seconds())
    return seconds * 10**9 + int((fraction or "").ljust(9, "0")[:9])


# --- Units


def _unit_of_list(path: Path, rows: Sequence[_Row]) -> tuple[int, str]:
    """Nanoseconds in one unit of a list of times, and a note where it is not seconds."""
    values = [row.value for row in rows]
    unit = _unit_since_1970(values) or _unit_by_step(values, tuple(MIN_STEPS)) or 10**9
    return unit, f"{path}: read as times in {UNITS[unit]}" if unit != 10**9 else ""


def _unit_since_1970(values: Sequence[Decimal]) -> int | None:
    """Nanoseconds in the unit in which all values are times of this century; None if in none."""
    step = _usual_step(values)
    for unit in UNITS:
        in_era = ERA_NS[0] <= min(values) * unit and max(values) * unit <= ERA_NS[1]
        if in_era and step * unit <= MAX_STEP_NS:
            return unit
    return None


def _unit_by_step(values: Sequence[Decimal], units: Sequence[int]) -> int | None:
    """Nanoseconds in the unit in which the usual step is that of a camera; None if in none."""
    step = _usual_step(values)
    return next((unit for unit in units if step >= MIN_STEPS[unit]), None)


def _usual_step(values: Sequence[Decimal]) -> Decimal:
    """Median difference of neighbouring values; 0 for a single one."""
    steps = sorted(after - before for before, after in itertools.pairwise(values))
    return steps[int(np.ceil(len(steps) / 2)) - 1] if steps else Decimal(0)
