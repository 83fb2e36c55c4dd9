"""Tables of published scores and one's own, as Markdown and JSON."""

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
"""Titles by kind of result."""
SEQUENCE_SCORES = {
    "snippets": {"mean": "ate_sfmlearner_mean", "std": "ate_sfmlearner_std"},
    "odometry": {"t_err": "t_err_percent", "r_err": "r_err_deg_per_100m"},
}
"""Scores of a sequence by kind: name in the table, and key in the JSON of a command."""
KEY_OF_KIND = {
    "make3d": "log10",
    "depth": "a1",
    "snippets": "ate_sfmlearner_mean",
    "odometry": "t_err_percent",
}
"""Score by which a result's kind is recognised, in the order in which they are tried."""
KIND_WORD = re.compile(r"(depth|eigen|make3d|snippets|odometry)", re.IGNORECASE)
SEQUENCE = re.compile(r"\d\d")

Row = dict[str, Any]
Tables = dict[str, list[Row]]


@dataclass(frozen=True)
class Result:
    """Scores of one method from one JSON of `python -m training.evaluate`."""

    name: str
    """Name of the method."""
    kind: str
    """A key of TITLES."""
    sequence: str | None
    """Number of the sequence, for kinds that have one."""
    scores: Mapping[str, Any]


def read_result(path: Path) -> Result:
    """Read a result; its keys give the kind, its file name the method and the sequence.

    <name>_09_snippets.json is sequence 09 of <name>. The keys "name" and "sequence", where the user
    added them, take precedence. Raises InputError naming the file.
    """
    # Read the scores.
    try:
        scores = json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise InputError(f"{path}, line {error.lineno}: no JSON ({error.msg})") from None
    if not isinstance(scores, dict) or (kind := _kind(scores)) is None:
        raise InputError(
            f"{path}: no scores in it, expected the JSON of training.evaluate "
            "depth, eigen, make3d, snippets or odometry"
        )
    # Take the file name apart.
    words = [
        word for word in re.split(r"[_\-. ]+", path.stem) if word and not KIND_WORD.fullmatch(word)
    ]
    sequence = _sequence(path, scores, words) if kind in SEQUENCE_SCORES else None
    name = scores.get("name") or " ".join(word for word in words if word != sequence) or path.stem
    return Result(str(name), kind, sequence, scores)


def build_tables(results: Iterable[Result], published: Path = PUBLISHED) -> Tables:
    """Build the rows of each kind, the published first.

    A row has the keys method, source, note, yours, and the scores; those of sequences as
    {"09": {"mean": ...}, ...}.
    """
    tables: Tables = {kind: [] for kind in TITLES}
    for kind, rows in yaml.safe_load(read_text(published)).items():
        tables[kind] = [{"note": "", **row, "yours": False} for row in rows]
    for result in results:
        _add(tables[result.kind], result)
    return {kind: rows for kind, rows in tables.items() if rows}


def markdown(tables: Tables) -> str:
    """Markdown with one table for each kind; own rows in bold at the end, unknown scores as -."""
    return "\n".join(
        f"## {TITLES[kind]}\n\n{_markdown_table(kind, rows)}" for kind, rows in tables.items()
    )


def sequences_of(rows: Sequence[Row]) -> list[str]:
    """Sequences for which the rows have scores, and always 09 and 10."""
    return sorted({*SEQUENCES, *(key for row in rows for key in row if SEQUENCE.fullmatch(key))})


def _kind(scores: Mapping[str, Any]) -> str | None:
    """Kind of a result by its keys; None where it is none."""
    return next((kind for kind, key in KEY_OF_KIND.items() if key in scores), None)


def _sequence(path: Path, scores: Mapping[str, Any], words: Sequence[str]) -> str:
    """Number of a result's sequence by its keys or the words of its file name."""
    from_name = next((word for word in words if SEQUENCE.fullmatch(word)), "")
    sequence = str(scores.get("sequence") or from_name)
    if not sequence:
        raise InputError(
            f"{path}: of which sequence? expected its number in the name, like {path.stem}_09.json"
        )
    return sequence


def _add(rows: list[Row], result: Result) -> None:
    """Add a result to the rows of its kind; sequences of one method share a row."""
    if result.sequence is None:
        columns = DEPTH if result.kind == "depth" else MAKE3D
        scores = {key: result.scores.get(key) for key in columns}
        rows.append(_own_row(result.name, _protocol(result), scores))
        return
    scores = {name: result.scores.get(key) for name, key in SEQUENCE_SCORES[result.kind].items()}
    own_row = next((row for row in rows if row["yours"] and row["method"] == result.name), None)
    if own_row is None:
        rows.append(_own_row(result.name, "", {result.sequence: scores}))
    elif result.sequence in own_row:
        raise InputError(
            f"two results of {result.name!r} on sequence {result.sequence}, expected one"
        )
    else:
        own_row[result.sequence] = scores


def _own_row(name: str, note: str, scores: Mapping[str, Any]) -> Row:
    return {"method": name, "source": "yours", "note": note, **scores, "yours": True}


def _protocol(result: Result) -> str:
    """Protocol of a result, to be read before comparing it with the published rows."""
    scores = result.scores
    other_images = result.kind == "depth" and "ground_truth" not in scores
    words = [
        f"{scores.get('images')} images" + (" of your own, not Eigen's" if other_images else "")
    ]
    if result.kind == "depth" and not other_images:
        words += [f"{scores['ground_truth']} truth", f"{scores.get('crop')} crop"]
    if "cap_m" in scores:
        words.append(f"cap {scores['cap_m']:g} m")
    return ", ".join(words)


def _markdown_table(kind: str, rows: Sequence[Row]) -> str:
    """Markdown table of one kind."""
    columns = (
        sequences_of(rows)
        if kind in SEQUENCE_SCORES
        else list(DEPTH if kind == "depth" else MAKE3D)
    )
    lines = [
        _line(["method", "source", "note", *columns]),
        _line(["---", "---", "---", *["---:"] * len(columns)]),
    ]
    for row in rows:
        scores = [_cell(kind, row.get(column), row["yours"]) for column in columns]
        cells = map(_escaped, [row["method"], row["source"], row["note"], *scores])
        lines.append(_line(f"**{cell}**" if row["yours"] and cell else cell for cell in cells))
    return "\n".join(lines) + "\n"


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _escaped(cell: str) -> str:
    return cell.replace("|", "\\|").replace("\n", " ")


def _cell(kind: str, value: Any, yours: bool) -> str:
    """Cell of a score; published snippet errors have the three or four digits of their source."""
    if kind == "snippets" and value:
        digits = [_number(value[key], 4) for key in ("mean", "std") if value.get(key) is not None]
        return " ± ".join(text if yours else text.removesuffix("0") for text in digits) or "-"
    if kind == "odometry" and value:
        return f"{_number(value.get('t_err'), 2)} / {_number(value.get('r_err'), 2)}"
    return "-" if not value and value != 0 else _number(value, 3)


def _number(value: Any, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
