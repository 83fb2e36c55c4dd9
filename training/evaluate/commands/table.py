"""`table`: published scores beside one's own, as Markdown, JSON and a picture."""

import argparse
import json
from pathlib import Path

from sfm_odometry.io.text import write_text
from training.evaluate.table import build_tables, markdown, read_result


def add_to(commands: argparse._SubParsersAction) -> None:
    """Add the command."""
    parser = commands.add_parser("table", help="published scores beside your own results")
    named = "JSON of the other commands; the file's name says whose it is, and of which sequence: mine_09_snippets.json"
    parser.add_argument("results", type=Path, nargs="*", metavar="RESULT.json", help=named)
    parser.add_argument(
        "--markdown",
        type=Path,
        metavar="FILE",
        help="write the tables as Markdown (default: on stdout)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the tables as JSON")
    parser.add_argument(
        "--plot", type=Path, metavar="FILE.png", help="draw your results among the published"
    )
    parser.set_defaults(command=command)


def command(arguments: argparse.Namespace) -> None:
    """Build the tables and write them in every form asked for."""
    tables = build_tables([read_result(path) for path in arguments.results])
    if arguments.plot is not None:
        from training.evaluate.table_picture import (
            draw_tables,
        )  # matplotlib takes a second to import

        draw_tables(arguments.plot, tables)
    if arguments.json is not None:
        write_text(arguments.json, json.dumps(tables, indent=2, ensure_ascii=False) + "\n")
    if arguments.markdown is not None:
        write_text(arguments.markdown, markdown(tables))
    if arguments.markdown is None and arguments.json is None:
        print(markdown(tables), end="")
