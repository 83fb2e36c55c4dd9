"""`table`: published scores and one's own, as Markdown, JSON and a figure."""

import argparse
import json
from pathlib import Path

from sfm_odometry.io.text import write_text
from training.evaluate.table import build_tables, markdown, read_result


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser("table", help="published scores beside your own results")
    results = (
        "JSON of the other commands; the file's name says whose it is, and of which sequence: "
        "mine_09_snippets.json"
    )
    parser.add_argument("results", type=Path, nargs="*", metavar="RESULT.json", help=results)
    markdown_help = "write the tables as Markdown (default: on stdout)"
    parser.add_argument("--markdown", type=Path, metavar="FILE", help=markdown_help)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the tables as JSON")
    plot = "draw your results among the published"
    parser.add_argument("--plot", type=Path, metavar="FILE.png", help=plot)
    parser.set_defaults(command=command)


def command(arguments: argparse.Namespace) -> None:
    """Build the tables and write them in the requested formats."""
    tables = build_tables([read_result(path) for path in arguments.results])
    if arguments.plot is not None:
        # Matplotlib takes a second to import.
        from training.evaluate.table_picture import draw_tables

        draw_tables(arguments.plot, tables)
    if arguments.json is not None:
        write_text(arguments.json, json.dumps(tables, indent=2, ensure_ascii=False) + "\n")
    if arguments.markdown is not None:
        write_text(arguments.markdown, markdown(tables))
    if arguments.markdown is None and arguments.json is None:
        print(markdown(tables), end="")
