"""Trains variants of a recipe on the same data and writes a table of their validation scores.

`python -m training.ablation --config config/ablation/switches.yaml --data D [D ...] --out DIR
[key=value ...]`. The configuration names the variants: each is a recipe and the settings in which
it differs. Finished variants are kept, an interrupted one is resumed.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from sfm_odometry.cli import run_cli
from sfm_odometry.errors import InputError, OutputError
from training import train
from training.config import split_settings

COLUMNS = {
    "abs_rel": "depth AbsRel",
    "a1": "depth a1",
    "ate_sfmlearner": "5-frame ATE",
    "rotation_deg": "rotation, deg",
    "mask_auc": "mask AUC",
}
"""Title of each score's column in the table."""


@dataclass(frozen=True)
class Variant:
    """Run of an ablation: a recipe and its changed settings."""

    name: str
    recipe: Path
    settings: tuple[str, ...]
    """Settings `key=value`, in the order in which they apply."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code."""
    arguments = _parser().parse_args(argv)
    return run_cli(lambda: command(arguments))


def command(arguments: argparse.Namespace) -> None:
    """Trains the unfinished variants one after the other, and writes the table after each."""
    folders, settings = split_settings(arguments.data)
    variants = read_variants(arguments.config)
    results: dict[str, Mapping[str, Any]] = {}
    for variant in variants:
        folder = arguments.out / variant.name
        print(f"--- {variant.name}: {' '.join(variant.settings) or 'as it is'}", flush=True)
        _train(variant, folders, folder, [*settings, *arguments.overrides])
        results[variant.name] = final_scores(folder)
        _write(arguments.out / "results.json", json.dumps(results, indent=1))
        _write(arguments.out / "table.md", markdown(results))
    print(f"{arguments.out / 'table.md'}:\n{markdown(results)}")


def read_variants(path: Path) -> list[Variant]:
    """Reads the variants of a YAML file.

    {variants: {name: {recipe: FILE, settings: [key=value, ...]}}, common: [key=value, ...]}.
    Paths of recipes are relative to the file. Raises InputError with the missing or unknown entry.
    """
    # Read the file.
    try:
        content = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise InputError(
            f"{path}: cannot be read as YAML: {' '.join(str(error).split())}"
        ) from error
    # Check its entries.
    if (
        not isinstance(content, dict)
        or set(content) - {"common", "variants"}
        or not isinstance(content.get("variants"), dict)
    ):
        raise InputError(
            f"{path}: expected 'variants', a mapping of names, "
            "and perhaps 'common', a list of settings"
        )
    return [
        _variant(path, name, entry, content.get("common", []))
        for name, entry in content["variants"].items()
    ]


def _variant(path: Path, name: str, entry: Any, common: list[str]) -> Variant:
    """Parses an entry of `variants`; raises InputError."""
    if not isinstance(entry, dict) or "recipe" not in entry or set(entry) - {"recipe", "settings"}:
        raise InputError(
            f"{path}: variant '{name}' needs 'recipe', a file beside it, "
            "and perhaps 'settings', a list of key=value"
        )
    return Variant(name, path.parent / entry["recipe"], (*common, *entry.get("settings", [])))


def _train(variant: Variant, data: Sequence[Path], folder: Path, overrides: Sequence[str]) -> None:
    """Starts or resumes a run; raises SystemExit with its exit code where it fails."""
    arguments = ["--config", str(variant.recipe), "--data", *map(str, data), "--out", str(folder)]
    exit_code = train.main([*arguments, "--resume", *variant.settings, *overrides])
    if exit_code:
        raise SystemExit(exit_code)


def final_scores(folder: Path) -> dict[str, float]:
    """Reads the scores of a run's last validation, with its step.

    Raises InputError where the run was not validated.
    """
    entries = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    scores = [entry for entry in entries if "validation" in entry]
    if not scores:
        raise InputError(
            f"{folder}: was never validated, "
            "expected validation_scenes or validation_fraction to hold scenes back"
        )
    return {"step": scores[-1]["step"], **scores[-1]["validation"]}


def markdown(results: Mapping[str, Mapping[str, Any]]) -> str:
    """Returns a Markdown table with one row per variant."""
    lines = [
        f"| | steps | {' | '.join(COLUMNS.values())} |",
        f"| --- |{' --- |' * (len(COLUMNS) + 1)}",
    ]
    for name, scores in results.items():
        cells = [f"{scores[key]:.4f}" if key in scores else "" for key in COLUMNS]
        lines.append(f"| {name} | {scores['step']} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _write(path: Path, text: str) -> None:
    """Writes a text file; raises OutputError."""
    try:
        path.write_text(text)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from error


def _parser() -> argparse.ArgumentParser:
    """Creates the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m training.ablation",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--config", type=Path, required=True, help="the variants, as config/ablation/switches.yaml"
    )
    parser.add_argument(
        "--data", type=Path, nargs="+", required=True, help="folders written by training.prepare"
    )
    parser.add_argument(
        "--out", type=Path, required=True, help="a folder for all runs and the table"
    )
    parser.add_argument(
        "overrides", nargs="*", metavar="key=value", help="settings for all variants"
    )
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
