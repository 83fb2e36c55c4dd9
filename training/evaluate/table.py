"""Published scores beside one's own: rows for Markdown and JSON."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from sfm_odometry.errors import InputError
from sfm_odometry.io.text import read_text

PUBLISHED = Path(__file__).with_name("published.yaml")
DEPTH = ("abs_rel", "sq_rel", "rmse", "rmse_log", "a1", "a2", "a3")
MAKE3D = ("abs_rel", "sq_rel", "rmse", "log10")
SEQUENCES = ("09", "10")
TITLES = {
    "depth": "Depth: KITTI, Eigen split, cap 80 m",
    "make3d": "Depth: Make3D, C1, cap 70 m",
    "snippets": "Pose: KITTI odometry, ATE of 5-frame snippets (m)",
    "odometry": "Pose: KITTI odometry, t_err (%) / r_err (deg per 100 m)",
}
# What the scores of a sequence are called in a command's JSON, by what they are called in the
# table.
OF_SEQUENCE = {
    "snippets": {"mean": "ate_sfmlearner_mean", "std": "ate_sfmlearner_std"},
    "odometry": {"t_err": "t_err_percent", "r_err": "r_err_deg_per_100m"},
}
NAME_OF_KIND = re.compile(r"(depth|eigen|make3d|snippets|odometry)", re.IGNORECASE)

Row = dict[str, Any]
Tables = dict[str, list[Row]]


@dataclass(frozen=True)
class Result:
    """One JSON of `python -m training.evaluate`: whose it is, its kind (a key of TITLES), its
    sequence where it has one, its scores."""

    name: str
    kind: str
    sequence: str | None
    scores: Mapping[str, Any]


def read_result(path: Path) -> Result:
    """A result by its keys; its file name says the rest: <name>_09_snippets.json is sequence 09 of
    <name>.

    The keys "name" and "sequence", where someone added them, come first. Raises InputError naming
    the file.
    """
    try:
        scores = json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise InputError(f"{path}, line {error.lineno}: no JSON ({error.msg})") from None
    if not isinstance(scores, dict) or (kind := _kind(scores)) is None:
        raise InputError(
            f"{path}: no scores in it, expected the JSON of training.evaluate depth, eigen, make3d, snippets or odometry"
        )
    words = [
        word
        for word in re.split(r"[_\-. ]+", path.stem)
        if word and not NAME_OF_KIND.fullmatch(word)
    ]
    sequence = None
    if kind in OF_SEQUENCE:
        sequence = str(
            scores.get("sequence")
            or next((word for word in words if re.fullmatch(r"\d\d", word)), "")
        )
        if not sequence:
            raise InputError(
                f"{path}: of which sequence? expected its number in the name, like {path.stem}_09.json"
            )
    name = scores.get("name") or " ".join(word for word in words if word != sequence) or path.stem
    return Result(str(name), kind, sequence, scores)


def build_tables(results: Iterable[Result], published: Path = PUBLISHED) -> Tables:
    """Rows by kind, the published first: method, source, note, yours, and the scores; sequences
    as {"09": {"mean": ...}, ...}."""
    tables: Tables = {kind: [] for kind in TITLES}
    for kind, rows in yaml.safe_load(read_text(published)).items():
        tables[kind] = [{"note": "", **row, "yours": False} for row in rows]
    for result in results:
        _add(tables[result.kind], result)
    return {kind: rows for kind, rows in tables.items() if rows}


def markdown(tables: Tables) -> str:
    """One table a kind; one's own rows in bold at the end, what is not known as -."""
    return "\n".join(
        f"## {TITLES[kind]}\n\n{_markdown_table(kind, rows)}" for kind, rows in tables.items()
    )


def sequences_of(rows: Sequence[Row]) -> list[str]:
    """The sequences that the rows have scores of, 09 and 10 always."""
    return sorted({*SEQUENCES, *(key for row in rows for key in row if re.fullmatch(r"\d\d", key))})


def _kind(scores: Mapping[str, Any]) -> str | None:
    for kind, key in (
        ("make3d", "log10"),
        ("depth", "a1"),
        ("snippets", "ate_sfmlearner_mean"),
        ("odometry", "t_err_percent"),
    ):
        if key in scores:
            return kind
    return None


def _add(rows: list[Row], result: Result) -> None:
    if result.sequence is None:
        columns = DEPTH if result.kind == "depth" else MAKE3D
        rows.append(
            _own_row(
                result.name, _protocol(result), {key: result.scores.get(key) for key in columns}
            )
        )
        return
    scores = {short: result.scores.get(key) for short, key in OF_SEQUENCE[result.kind].items()}
    same = next((row for row in rows if row["yours"] and row["method"] == result.name), None)
    if same is not None and result.sequence in same:
        raise InputError(
            f"two results of {result.name!r} on sequence {result.sequence}, expected one"
        )
    if same is None:
        rows.append(_own_row(result.name, "", {result.sequence: scores}))
    else:
        same[result.sequence] = scores


def _own_row(name: str, note: str, scores: Mapping[str, Any]) -> Row:
    return {"method": name, "source": "yours", "note": note, **scores, "yours": True}


def _protocol(result: Result) -> str:
    """What a reader must know before comparing with the published rows."""
    scores = result.scores
    of_your_own = result.kind == "depth" and "ground_truth" not in scores
    words = [
        f"{scores.get('images')} images" + (" of your own, not Eigen's" if of_your_own else "")
    ]
    if result.kind == "depth" and not of_your_own:
        words += [f"{scores['ground_truth']} truth", f"{scores.get('crop')} crop"]
    if "cap_m" in scores:
        words.append(f"cap {scores['cap_m']:g} m")
    return ", ".join(words)


def _markdown_table(kind: str, rows: Sequence[Row]) -> str:
    columns = (
        sequences_of(rows) if kind in OF_SEQUENCE else list(DEPTH if kind == "depth" else MAKE3D)
    )
    lines = [
        _line(["method", "source", "note", *columns]),
        _line(["---", "---", "---", *["---:"] * len(columns)]),
    ]
    for row in rows:
        cells = [
            row["method"],
            row["source"],
            row["note"],
            *(_cell(kind, row.get(column), row["yours"]) for column in columns),
        ]
        lines.append(
            _line(
                [f"**{cell}**" if row["yours"] and cell else cell for cell in map(_escaped, cells)]
            )
        )
    return "\n".join(lines) + "\n"


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _escaped(cell: str) -> str:
    return cell.replace("|", "\\|").replace("\n", " ")


def _cell(kind: str, value: Any, yours: bool) -> str:
    """Published snippet errors with the three or four digits that they were printed with."""
    if kind == "snippets" and value:
        digits = [_number(value[key], 4) for key in ("mean", "std") if value.get(key) is not None]
        return " ± ".join(text if yours else text.removesuffix("0") for text in digits) or "-"
    if kind == "odometry" and value:
        return f"{_number(value.get('t_err'), 2)} / {_number(value.get('r_err'), 2)}"
    return "-" if not value and value != 0 else _number(value, 3)


def _number(value: Any, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
