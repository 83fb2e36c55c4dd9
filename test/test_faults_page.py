"""The page of faults names tests that are there, and states and counters that the page of the
status explains."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "faults.md"
SPAN = re.compile(r"`([^`\n]+)`")
STATE_OR_COUNTER = re.compile(
    r"(?:waiting|refused|dropped|frames)_\w+|gaps|clock_jumps|camera_changes|losses|resets|inference_errors"
)


def rows() -> list[list[str]]:
    """The cells of the tables' rows, without their headings."""
    lines = [
        line.strip("|").split("|")
        for line in PAGE.read_text().splitlines()
        if line.startswith("| ")
    ]
    return [
        [cell.strip() for cell in cells]
        for cells in lines
        if cells[0].strip() not in ("fault", "---")
    ]


def names_of_tests() -> set[str]:
    trees = (ast.parse(path.read_text()) for path in (ROOT / "test").rglob("test_*.py"))
    return {
        node.name for tree in trees for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)
    }


def test_every_fault_names_tests_that_are_there() -> None:
    there = names_of_tests()
    for fault, _does, _says, tests in rows():
        named = SPAN.findall(tests)
        assert named and set(named) <= there, (fault, set(named) - there)


def test_states_and_counters_are_those_of_the_status() -> None:
    explained = set(SPAN.findall((ROOT / "docs" / "diagnostics.md").read_text()))
    named = {
        span for row in rows() for span in SPAN.findall(row[2]) if STATE_OR_COUNTER.fullmatch(span)
    }
    assert len(named) > 15
    assert named <= explained


def test_the_table_has_all_rows_that_were_promised() -> None:
    assert len(rows()) >= 35
    assert all(len(row) == 4 and row[0] and row[1] for row in rows())
