"""Results of drives and variants as JSON and as a Markdown table."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

COLUMNS = {
    "ate_5_frames_m": ("5-frame ATE, m", 4),
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
NO_CONTEST = ("metres_per_unit", "anees", "anees_translation", "anees_rotation", "ms_a_frame")
"""Where lower is not better, or only on an idle machine."""
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
    """By variant, each score's mean over the drives that have it, NaN where none has."""
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
    """A table of the odometry with one row a drive and variant, the best of each drive in bold,
    and one of depth where there is any."""
    lines = [_row(["drive", "", *(title for title, _ in COLUMNS.values())]), _rule(2, len(COLUMNS))]
    for name, drive in drives.items():
        lines += _rows(
            f"{name}, {drive['frames']} frames, {drive['length_m']:.0f} m", drive["variants"]
        )
    if len(drives) > 1:
        lines += _rows(f"{MEAN} of {len(drives)}", mean_scores(drives))
    return "\n".join(lines) + "\n" + _depth_table(drives)


def _rows(title: str, variants: Mapping[str, Scores]) -> list[str]:
    best = {
        name: min((_known(scores.get(name)) for scores in variants.values()), default=math.inf)
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
        and name not in NO_CONTEST
        and _known(scores.get(name)) == best[name] < math.inf
    )


def _depth_table(drives: Drives) -> str:
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
    several = list(several)
    known = {
        name: [_known(scores[name]) for scores in several if name in scores]
        for name in dict.fromkeys(n for s in several for n in s)
    }
    finite = {
        name: [value for value in values if value < math.inf] for name, values in known.items()
    }
    return {
        name: sum(values) / len(values) if values else math.nan for name, values in finite.items()
    }


def _known(value: Any) -> float:
    """A score, infinity where it is not known."""
    return float(value) if isinstance(value, (int, float)) and math.isfinite(value) else math.inf


def _cell(value: Any, digits: int, bold: bool = False) -> str:
    text = "" if _known(value) == math.inf else f"{value:.{digits}f}"
    return f"**{text}**" if bold else text


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _rule(words: int, numbers: int) -> str:
    return _row([*["---"] * words, *["---:"] * numbers])
