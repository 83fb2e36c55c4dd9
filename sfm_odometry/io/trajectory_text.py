"""Rows of words in a trajectory file, whatever separates them, and the names of its columns."""

import re
from dataclasses import dataclass
from pathlib import Path

from sfm_odometry.errors import InputError
from sfm_odometry.io.text import read_text

COMMENT = re.compile(r"#|%|//")
BLOCK_ROWS = 4
"""Lines of a 4x4 matrix that is written as a block."""


@dataclass(frozen=True)
class TextTable:
    """N rows of equally many words.

    names: those of the columns by the head of the file, in lower case without units and with
    `_` for other characters; empty where the head has no such list.
    time_unit: unit in brackets behind the name of the first column (`timestamp [ns]`), or nothing.
    """

    path: Path
    lines: list[int]
    rows: list[list[str]]
    names: tuple[str, ...] = ()
    time_unit: str = ""
    has_commas: bool = False
    notes: tuple[str, ...] = ()

    @property
    def columns(self) -> int:
        """Number of columns."""
        return len(self.rows[0])


def read_table(path: Path) -> TextTable:
    """Reads the rows of a file; separators are blanks, tabs, commas and semicolons.

    Comments begin with #, % or //. Lines of words before the first row are the head. Matrices in
    blocks of four lines become rows of 16, and 17 after a line of frame numbers (Redwood's .log).
    A last row that was cut off is left out, with a note. Raises InputError, naming file and line,
    for a file without rows and for changing numbers of columns.
    """
    # Separate the head from the rows.
    text = read_text(path)
    heads, lines, rows, has_commas = _head_and_rows(text)
    if not rows:
        words = [head for head, is_comment in heads if not is_comment]
        if words:
            line = 1 + text[: text.index(words[0])].count("\n")
            first = _split(words[0])[0]
            raise InputError(f"{path}, line {line}: {first[:40]!r} is not a number")
        return TextTable(path, [], [])
    # Join blocks, and check the number of columns.
    lines, rows = _joined_blocks(lines, rows)
    notes = []
    if len(rows) > 1 and len(rows[-1]) < len(rows[0]) and not text.endswith("\n"):
        notes.append(f"{path}, line {lines[-1]}: the last row is cut off and left out")
        lines, rows = lines[:-1], rows[:-1]
    for line, row in zip(lines, rows, strict=True):
        if len(row) != len(rows[0]):
            raise InputError(
                f"{path}, line {line}: {len(row)} numbers, "
                f"expected {len(rows[0])} as in line {lines[0]}"
            )
    # Take the last head that names the columns.
    names, unit = next(
        (found for head, _ in heads[::-1] if (found := _names(head, len(rows[0])))[0]), ((), "")
    )
    return TextTable(path, lines, rows, names, unit, has_commas, tuple(notes))


def _head_and_rows(
    text: str,
) -> tuple[list[tuple[str, bool]], list[int], list[list[str]], bool]:
    """Lines of the head, each with whether it is a comment; line numbers, rows, commas or not."""
    heads: list[tuple[str, bool]] = []
    lines: list[int] = []
    rows: list[list[str]] = []
    has_commas = False
    for line_number, line in enumerate(text.splitlines(), start=1):
        found = COMMENT.search(line)
        content = (line[: found.start()] if found else line).strip()
        if not content:
            if found and not rows:
                heads.append((line[found.end() :].strip(" #%/\t"), True))
            continue
        words = _split(content)
        if not rows and not any(_is_number(word) for word in words):
            heads.append((content, False))
            continue
        has_commas = has_commas or "," in content
        lines.append(line_number)
        rows.append(words)
    return heads, lines, rows, has_commas


def _split(content: str) -> list[str]:
    """Words of a line, without quotes; a separator at its end adds none.

    Between semicolons a comma is a decimal point.
    """
    content = content.replace('"', " ")
    if ";" in content:
        content = content.replace(",", ".")
    return [word for word in re.split(r"[\s,;]+", content) if word]


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _joined_blocks(lines: list[int], rows: list[list[str]]) -> tuple[list[int], list[list[str]]]:
    """Joins four lines of four numbers to one row; other tables are returned as they are."""
    with_head = len(rows[0]) == 3
    period = BLOCK_ROWS + with_head
    if len(rows) % period or any(
        len(row) != (3 if with_head and index % period == 0 else BLOCK_ROWS)
        for index, row in enumerate(rows)
    ):
        return lines, rows
    blocks = [rows[start : start + period] for start in range(0, len(rows), period)]
    if any(
        [float(w) if _is_number(w) else 0 for w in block[-1]] != [0, 0, 0, 1] for block in blocks
    ):
        return lines, rows
    return lines[::period], [
        [
            *(block[0][:1] if with_head else []),
            *(word for row in block[-BLOCK_ROWS:] for word in row),
        ]
        for block in blocks
    ]


def _names(head: str, columns: int) -> tuple[tuple[str, ...], str]:
    """Names of the columns and unit of the first one, if the head has one name for each."""
    without_units = re.sub(r"\[[^\]]*\]|\([^)]*\)", "", head)
    separator = "[,;]" if re.search("[,;]", without_units) else r"\s+"
    words = [word.strip() for word in re.split(separator, without_units.strip(" ,;"))]
    if len(words) != columns or any(not word for word in words):
        return (), ""
    unit = re.search(r"[\[(]\s*(ns|us|ms|s|sec|nsec|usec|msec)\s*[\])]", re.split("[,;]", head)[0])
    names = tuple(re.sub(r"[^a-z0-9]+", "_", word.lower()).strip("_") for word in words)
    return names, unit[1] if unit else ""
