"""Summary of drives and variants: mean scores and Markdown tables."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

COLUMNS = {
    "ate_5_frames_m": ("5-frame ATE, m", 4),
    "ate_5_frames_aligned_m": ("with axes aligned, m", 4),
    "rotation_5_frames_deg": ("rotation at the 5th frame, deg", 3),
    "rotation_1_frame_deg": ("rotation of a frame, deg", 3),
    "ate_7dof_m": ("7-DoF ATE, m", 2),
    "t_err_percent": ("t_err, %", 2),
    "r_err_deg_per_100m": ("r_err, deg/100 m", 2),
    "metres_per_unit": ("metres a unit", 2),
    "anees": ("ANEES", 2),
    "anees_translation": ("of translation", 2),
    "anees_rotation": ("of rotation", 2),
    "ms_a_frame": ("ms a frame", 1),
}
"""Title and decimals of each column, by score."""
UNRANKED_COLUMNS = (
    "metres_per_unit",
    "anees",
    "anees_translation",
    "anees_rotation",
    "ms_a_frame",
)
"""Scores without a best value in bold: lower is not better, or only on an idle machine."""
DEPTH_COLUMNS = {
    "abs_rel": "AbsRel",
    "a1": "a1",
    "rows_abs_rel": "AbsRel of rows",
    "rows_a1": "a1 of rows",
}
MEAN = "mean"

Scores = Mapping[str, Any]
Drives = Mapping[str, Mapping[str, Any]]
"""By drive: "frames", "length_m", "variants" {variant: scores}, and where true depth exists
"depth" {name: score}."""


def mean_scores(drives: Drives) -> dict[str, dict[str, float]]:
    """Mean of each score by variant over the drives that have it; NaN where none has."""
    variants = list(
        dict.fromkeys(variant for drive in drives.values() for variant in drive["variants"])
    )
    return {
        variant: _mean(
            drive["variants"][variant] for drive in drives.values() if variant in drive["variants"]
        )
        for variant in variants
    }


def markdown(drives: Drives) -> str:
    """Markdown tables of the odometry and, where it was scored, of the depth.

    The table of the odometry has one row for each drive and variant, with the best of each drive in
    bold.
    """
    lines = [_row(["drive", "", *(title for title, _ in COLUMNS.values())]), _rule(2, len(COLUMNS))]
    for name, drive in drives.items():
        title = f"{name}, {drive['frames']} frames, {drive['length_m']:.0f} m"
        lines += _variant_rows(title, drive["variants"])
    if len(drives) > 1:
        lines += _variant_rows(f"{MEAN} of {len(drives)}", mean_scores(drives))
    return "\n".join(lines) + "\n" + _depth_table(drives)


def _variant_rows(title: str, variants: Mapping[str, Scores]) -> list[str]:
    """Rows of one drive, titled in the first one."""
    best = {
        name: min((_finite(scores.get(name)) for scores in variants.values()), default=math.inf)
        for name in COLUMNS
    }
    lines = []
    for index, (variant, scores) in enumerate(variants.items()):
        cells = [
            _cell(scores.get(name), digits, _is_best(name, scores, best, variants))
            for name, (_, digits) in COLUMNS.items()
        ]
        lines.append(_row([title if index == 0 else "", variant, *cells]))
    return lines


def _is_best(
    name: str, scores: Scores, best: Mapping[str, float], variants: Mapping[str, Scores]
) -> bool:
    """Whether a score is the lowest of several."""
    return (
        len(variants) > 1
        and name not in UNRANKED_COLUMNS
        and _finite(scores.get(name)) == best[name] < math.inf
    )


def _depth_table(drives: Drives) -> str:
    """Table of the depth scores with one row for each drive; empty where no drive has any."""
    with_depth = {name: drive["depth"] for name, drive in drives.items() if "depth" in drive}
    if not with_depth:
        return ""
    if len(with_depth) > 1:
        with_depth[f"{MEAN} of {len(with_depth)}"] = _mean(with_depth.values())
    lines = [_row(["depth", *DEPTH_COLUMNS.values()]), _rule(1, len(DEPTH_COLUMNS))]
    lines += [
        _row([name, *(_cell(depth.get(column), 3) for column in DEPTH_COLUMNS)])
        for name, depth in with_depth.items()
    ]
    return "\n" + "\n".join(lines) + "\n"


def _mean(several: Iterable[Scores]) -> dict[str, float]:
    """Mean of each score over those that are finite; NaN where none is."""
    several = list(several)
    values = {
        name: [_finite(scores[name]) for scores in several if name in scores]
        for name in dict.fromkeys(name for scores in several for name in scores)
    }
    finite = {
        name: [value for value in numbers if value < math.inf] for name, numbers in values.items()
    }
    return {
        name: sum(numbers) / len(numbers) if numbers else math.nan
        for name, numbers in finite.items()
    }


def _finite(value: Any) -> float:
    """Score as a number; infinity where it is missing or not finite."""
    return float(value) if isinstance(value, (int, float)) and math.isfinite(value) else math.inf


def _cell(value: Any, digits: int, bold: bool = False) -> str:
    """Cell with a rounded number; empty where it is missing or not finite."""
    text = "" if _finite(value) == math.inf else f"{value:.{digits}f}"
    return f"**{text}**" if bold else text


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _rule(text_columns: int, number_columns: int) -> str:
    """Line below the header: text to the left, numbers to the right."""
    return _row([*["---"] * text_columns, *["---:"] * number_columns])
