"""Columns of the trajectory files that people have: which hold time, position and rotation."""

import itertools
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from sfm_odometry.io.trajectory_text import TextTable

NANOSECONDS = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
"""Nanoseconds in each unit of time."""
UNIT_NAMES = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}
DATES_S = (9.4e8, 4.1e9)
"""Seconds since 1970 of the years 2000 to 2100."""
USUAL_STEP_S = 0.05
"""Time between two poses of a usual trajectory."""
DATE_BONUS = 3.0
"""Decades of the step that a unit is worth in which the stamps are dates of our time."""
SECONDS_BONUS = 1.0
FRACTION_BONUS = 3.0
"""The same for seconds with whole numbers, and with digits after the point."""
MAX_FRAME_NUMBER = 10**8
"""Whole numbers below it, before a matrix, count frames; others are times."""
MATRIX_COLUMNS = {12: 0, 13: 1, 16: 0, 17: 1}
"""Columns before the matrix, by the number of columns."""
WXYZ = (3, 0, 1, 2)
"""Places in x y z w of the numbers of a quaternion that is written w x y z."""
POSITION_NAMES = (r"(.*_)?(position|translation|pos)_?", r"[pt]_(\w+_)?", "[pt]?")
ROTATION_NAMES = (r"(.*_)?(orientation|rotation|quaternion|quat|rot)_?", r"q_?(\w+_)?")
"""Names of columns without their axis."""
EUROC_NAME = re.compile(r"state_groundtruth|mav0|vicon\d|euroc|vins|^vio.*\.csv$|/vio[^/]*\.csv$")


@dataclass(frozen=True)
class Layout:
    """Columns of a table of poses.

    time: column of the time or frame number, two of seconds and nanoseconds, or none.
    matrix: first column of a 3x4 or 4x4 matrix, row by row, or None.
    position: columns of x, y, z; rotation: columns of the quaternion's x, y, z, w.
    guess: why, where the columns could mean something else, otherwise nothing.
    """

    time: tuple[int, ...] = ()
    matrix: int | None = None
    position: tuple[int, ...] = ()
    rotation: tuple[int, ...] = ()
    guess: str = ""


def layout_of(table: TextTable) -> Layout | None:
    """Layout of a table by the names of its columns, otherwise by their number; None: unknown."""
    named = _named_layout(table.names)
    if named is not None:
        return named
    columns = table.columns
    if columns in (12, 13) or (columns in (16, 17) and _is_matrix(table)):
        first = MATRIX_COLUMNS[columns]
        return Layout(tuple(range(first)), matrix=first)
    if columns == 7:
        return _quaternion_layout((), 0, False, "as TUM without stamps")
    if columns == 8:
        return _eight_columns(table)
    if columns == 11:
        return _quaternion_layout((0,), 1, True, "as VINS")
    if columns == 17 or (columns == 16 and _has_quaternion(table, 4)):
        return _quaternion_layout((0,), 1, True, "as EuRoC's ground truth")
    if columns == 16:
        return Layout(matrix=0)
    if columns > 8 and _has_quaternion(table, 4):
        return _quaternion_layout((0,), 1, False, "as in TUM; columns behind are left out")
    return None


def _quaternion_layout(time: tuple[int, ...], first: int, w_first: bool, guess: str = "") -> Layout:
    """Layout of a position from column `first` on, and of a quaternion behind it."""
    rotation = range(first + 3, first + 7)
    order = (1, 2, 3, 0) if w_first else (0, 1, 2, 3)
    words = f"position, quaternion {'w x y z' if w_first else 'x y z w'}, {guess}" if guess else ""
    return Layout(
        time, None, tuple(range(first, first + 3)), tuple(rotation[i] for i in order), words
    )


def _eight_columns(table: TextTable) -> Layout:
    """TUM's x y z w, or EuRoC's and VINS's w x y z, by the file's name, commas and the unit."""
    if EUROC_NAME.search(str(table.path).lower()):
        return _quaternion_layout((0,), 1, True, "as in EuRoC, by the file's name")
    in_nanoseconds = time_unit([row[0] for row in table.rows], table.time_unit)[0] == "ns"
    if table.has_commas and in_nanoseconds:
        return _quaternion_layout(
            (0,), 1, True, "as in EuRoC and VINS, by nanoseconds and commas without names"
        )
    guess = "as in TUM, for want of names of the columns"
    return _quaternion_layout((0,), 1, False, guess if table.has_commas else "")


def _is_matrix(table: TextTable) -> bool:
    """Whether the last four columns are 0 0 0 1 in all rows, as in a 4x4 matrix."""
    return all(
        [float(word) if _is_float(word) else math.nan for word in row[-4:]] == [0, 0, 0, 1]
        for row in table.rows
    )


def _has_quaternion(table: TextTable, first: int) -> bool:
    """Whether four columns are of length 1 in the first row, or 0 as of a pose that is missing."""
    words = table.rows[0][first : first + 4]
    if not all(map(_is_float, words)):
        return False
    length = math.hypot(*map(float, words))
    return abs(length - 1) < 0.02 or length == 0


def _is_float(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _named_layout(names: Sequence[str]) -> Layout | None:
    """Layout by names such as p_RS_R_x and q_RS_w, tx and qx, or pose.pose.position.x."""
    position = [_find(names, *(form + axis for form in POSITION_NAMES)) for axis in "xyz"]
    rotation = [_find(names, *(form + axis for form in ROTATION_NAMES)) for axis in "xyzw"]
    places = [place for place in (*position, *rotation) if place is not None]
    if len(places) < 7:
        return None
    seconds = _find(names, r"(.*stamp_)?s(ec|ecs|econds)?")
    nanoseconds = _find(names, r"(.*stamp_)?n(ano)?s(ec|ecs|econds)?")
    if seconds is not None and nanoseconds is not None:
        return Layout((seconds, nanoseconds), None, tuple(places[:3]), tuple(places[3:]))
    stamp = _find(names, r"(.*_)?header_stamp", ".*stamp.*", ".*time.*", "ts?")
    found = [place for place in (stamp, seconds, nanoseconds) if place is not None]
    return Layout(tuple(found[:1]), None, tuple(places[:3]), tuple(places[3:]))


def _find(names: Sequence[str], *patterns: str) -> int | None:
    """Index of the first name that matches a pattern; earlier patterns are preferred."""
    for pattern in patterns:
        for index, name in enumerate(names):
            if re.fullmatch(pattern, name):
                return index
    return None


def is_frame_numbers(words: Sequence[str], names: Sequence[str]) -> bool:
    """Whether the words before matrices count frames: whole, not negative and not too large."""
    if names and re.search("time|stamp", names[0]):
        return False
    values = [Decimal(word) for word in words]
    return all(0 <= value < MAX_FRAME_NUMBER and value == int(value) for value in values)


def stamps_in_ns(words: Sequence[str], unit: str) -> list[int]:
    """Stamps in nanoseconds, exactly, of words in a unit."""
    return [round(Decimal(word) * NANOSECONDS[unit]) for word in words]


def time_unit(words: Sequence[str], told: str = "") -> tuple[str, bool]:
    """Unit of the stamps of a trajectory, and whether it is a guess.

    told: unit in the head of the file. Otherwise it is the one in which the stamps are dates of
    our time and the usual step is near `USUAL_STEP_S`, each as far as it goes: the stamps may
    count from any moment. Digits after the point, and steps of one, speak for seconds.
    """
    if told:
        return told.replace("sec", "s"), False
    values = [Decimal(word) for word in words if math.isfinite(float(word))]
    if not values:
        return "s", False
    steps = sorted(abs(b - a) for a, b in itertools.pairwise(values) if a != b)
    step = float(steps[len(steps) // 2]) if steps else None
    bonus = SECONDS_BONUS if all(value == int(value) for value in values) else FRACTION_BONUS
    middle = float(sorted(values)[len(values) // 2])

    def is_date(unit: str) -> bool:
        return DATES_S[0] <= middle * NANOSECONDS[unit] / 1e9 <= DATES_S[1]

    def cost(unit: str) -> float:
        factor = NANOSECONDS[unit] / 1e9
        decades = abs(math.log10(step * factor / USUAL_STEP_S)) if step else 0.0
        return decades - DATE_BONUS * is_date(unit) - bonus * (unit == "s")

    best = min(NANOSECONDS, key=cost)
    return best, best != "s" and not is_date(best)
