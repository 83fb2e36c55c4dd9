"""Score variants of the odometry on drives.

    python -m training.accuracy --drives FOLDER[:FIRST-LAST] ... --out FOLDER

Writes results.json, table.md, a picture of each drive and one of the covariances. Results are kept
in the output folder and computed again only when the model, the drive, the variant or the code
changes.
"""

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from sfm_odometry.cli import run_cli
from sfm_odometry.errors import InputError
from sfm_odometry.inference.checkpoint import DEFAULT_MODEL
from sfm_odometry.io.text import write_text
from training.accuracy.depth import pooled_row_means, score_row_baseline
from training.accuracy.drives import DriveChoice, EvaluatedDrive, open_drive, parse_choices
from training.accuracy.figures import colours_of, draw_calibration, draw_drive
from training.accuracy.jobs import DEPTH, Job, ResultCache, model_sha256, run_jobs
from training.accuracy.report import markdown, mean_scores
from training.accuracy.scores import truth_curves
from training.accuracy.variants import CLASSICAL, NAMES, variant_params
from training.evaluate.commands.shared import as_json_text
from training.evaluate.odometry import driven_distances

CACHE_FOLDER = "kept"

JobResults = Mapping[tuple[str, str], Mapping[str, Any]]
"""Results by names of drive and variant."""

OPTIONS: dict[str, dict[str, Any]] = {
    "--drives": {
        "nargs": "+",
        "required": True,
        "metavar": "FOLDER[:FIRST-LAST]",
        "help": "sequence folders (KITTI's layout, rendered drives), each perhaps with frames: "
        "sequences/03:440-519",
    },
    "--poses": {
        "type": Path,
        "help": "folder of true poses, <sequence>.txt; default: poses.txt of each, or ../../poses",
    },
    "--model": {"type": Path, "help": "a .safetensors model; default: the packaged one"},
    "--variants": {
        "nargs": "+",
        "choices": NAMES,
        "default": list(NAMES),
        "help": f"default: {' '.join(NAMES)}",
    },
    "--depth-every": {
        "type": int,
        "default": 5,
        "metavar": "K",
        "help": "depth of every K-th frame, where truth exists (default: 5)",
    },
    "--workers": {
        "type": int,
        "default": 1,
        "help": "processes, one thread each; speed is only measured well with 1 (default)",
    },
    "--out": {
        "type": Path,
        "required": True,
        "help": "folder for results.json, table.md and pictures",
    },
}
"""Command-line options and their settings for argparse."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    arguments = _parser().parse_args(argv)
    return run_cli(lambda: command(arguments))


def command(arguments: argparse.Namespace) -> None:
    """Score the variants on the drives, and write and print the results."""
    # Check the input before the long work.
    if arguments.depth_every < 1 or arguments.workers < 1:
        raise InputError(
            f"--depth-every {arguments.depth_every}, --workers {arguments.workers}: "
            "expected 1 or more"
        )
    choices = parse_choices(arguments.drives, arguments.poses)
    drives = {choice.name: open_drive(choice) for choice in choices}
    variants = list(dict.fromkeys(arguments.variants))

    # Score every variant on every drive.
    jobs = _jobs(arguments, choices, drives, variants)
    cache = ResultCache(arguments.out / CACHE_FOLDER)
    by_job = run_jobs(jobs, cache, arguments.workers, _progress(len(jobs)))
    results = {(job.drive.name, job.variant): result for job, result in by_job.items()}

    # Write the results.
    summary = {
        name: summarise(drive, variants, results, arguments.depth_every)
        for name, drive in drives.items()
    }
    _write(arguments.out, summary, provenance(arguments.model, variants))
    draw(arguments.out, drives, variants, results)
    print(markdown(summary))


def provenance(model: Path | None, variants: Sequence[str]) -> dict[str, Any]:
    """Provenance of the results: the model's name and hash, and the parameters of each variant."""
    params = {
        variant: {} if variant == CLASSICAL else asdict(variant_params(variant))
        for variant in variants
    }
    return {
        "model": (model or DEFAULT_MODEL).name,
        "model_sha256": model_sha256(model),
        "variants": params,
    }


def summarise(
    drive: EvaluatedDrive, variants: Sequence[str], results: JobResults, depth_every: int
) -> dict[str, Any]:
    """Entry of results.json for one drive."""
    scores = {variant: results[drive.name, variant]["scores"] for variant in variants}
    length_m = float(driven_distances(drive.true_poses)[-1])
    summary = {"frames": len(drive.image_paths), "length_m": length_m, "variants": scores}
    if drive.depth_paths is None:
        return summary
    # The row baseline is made of the other drives. Where there is no other, it is made of this
    # drive's own truth, which only makes the baseline better.
    by_drive = {name: result for (name, variant), result in results.items() if variant == DEPTH}
    others = [
        result["rows"]
        for name, result in by_drive.items()
        if name != drive.name or len(by_drive) == 1
    ]
    rows = pooled_row_means(others, drive.intrinsics.height)
    row_scores = score_row_baseline(drive, rows, depth_every)
    return {**summary, "depth": {**by_drive[drive.name]["scores"], **row_scores}}


def draw(
    out: Path, drives: Mapping[str, EvaluatedDrive], variants: Sequence[str], results: JobResults
) -> None:
    """Draw a figure of each drive, and calibration.png where a variant has covariances."""
    # Paths and errors of each drive.
    colours = colours_of(variants)
    for name, drive in drives.items():
        curves = {variant: results[name, variant]["curves"] for variant in variants}
        length_m = driven_distances(drive.true_poses)[-1]
        title = f"{name}: {len(drive.image_paths)} frames, {length_m:.0f} m"
        draw_drive(out / f"{name}.png", title, truth_curves(drive.true_poses), curves, colours)
    # Normalised errors over all drives.
    nees = {
        variant: {
            part: _pooled(drives, variant, f"nees_{part}", results)
            for part in ("translation", "rotation")
        }
        for variant in variants
    }
    with_covariance = {
        variant: errors for variant, errors in nees.items() if len(errors["translation"])
    }
    if with_covariance:
        draw_calibration(out / "calibration.png", with_covariance, colours)


def _jobs(
    arguments: argparse.Namespace,
    choices: Sequence[DriveChoice],
    drives: Mapping[str, EvaluatedDrive],
    variants: Sequence[str],
) -> list[Job]:
    """Jobs of all variants on all drives, and of the depth where a drive has true depth."""
    return [
        Job(choice, variant, arguments.model, arguments.depth_every)
        for choice in choices
        for variant in [*variants, *([DEPTH] if drives[choice.name].depth_paths else [])]
    ]


def _pooled(
    drives: Mapping[str, EvaluatedDrive], variant: str, curve: str, results: JobResults
) -> np.ndarray:
    """Values of a curve of one variant, over all drives."""
    return np.concatenate([results[name, variant]["curves"][curve] for name in drives])


def _write(out: Path, summary: Mapping[str, Any], origin: Mapping[str, Any]) -> None:
    """Write results.json and table.md."""
    results = {**origin, "drives": summary, "mean": mean_scores(summary)}
    write_text(out / "results.json", json.dumps(json.loads(as_json_text(results)), indent=1) + "\n")
    write_text(out / "table.md", markdown(summary))


def _progress(total: int) -> Callable[[Job, bool], None]:
    """Callback that counts finished jobs on stderr."""
    done = 0

    def show(job: Job, cached: bool) -> None:
        nonlocal done
        done += 1
        print(
            f"{done}/{total} {job.drive.name}, {job.variant}{', kept' if cached else ''}",
            file=sys.stderr,
            flush=True,
        )

    return show


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m training.accuracy",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    for option, settings in OPTIONS.items():
        parser.add_argument(option, **settings)
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
