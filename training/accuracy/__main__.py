"""Scores variants of the odometry on drives: `python -m training.accuracy --drives
FOLDER[:FIRST-LAST] ... --out FOLDER`.

Writes results.json, table.md, a picture of each drive and one of the covariances. What was scored
once is kept there and not done again until the model, the drive, the variant or the code changes.
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
from training.accuracy.depth import rows_of_others, score_rows
from training.accuracy.drives import EvaluatedDrive, open_drive, parse_choices
from training.accuracy.jobs import DEPTH, Job, Results, model_sha256, run_jobs
from training.accuracy.pictures import colours_of, draw_calibration, draw_drive
from training.accuracy.report import markdown, mean_scores
from training.accuracy.scores import truth_curves
from training.accuracy.variants import CLASSICAL, NAMES, params_of
from training.evaluate.commands.shared import as_json_text
from training.evaluate.odometry import driven_distances

Found = Mapping[tuple[str, str], Mapping[str, Any]]
"""Results by names of drive and variant."""


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    arguments = _parser().parse_args(argv)
    return run_cli(lambda: command(arguments))


def command(arguments: argparse.Namespace) -> None:
    """Score, then write; what can be checked is checked before the long work."""
    if arguments.depth_every < 1 or arguments.workers < 1:
        raise InputError(
            f"--depth-every {arguments.depth_every}, --workers {arguments.workers}: expected 1 or more"
        )
    choices = parse_choices(arguments.drives, arguments.poses)
    drives = {choice.name: open_drive(choice) for choice in choices}
    variants = list(dict.fromkeys(arguments.variants))
    wanted = {
        choice: [*variants, *([DEPTH] if drives[choice.name].depth_paths else [])]
        for choice in choices
    }
    jobs = [
        Job(choice, variant, arguments.model, arguments.depth_every)
        for choice in choices
        for variant in wanted[choice]
    ]
    results = run_jobs(
        jobs, Results(arguments.out / "kept"), arguments.workers, _progress(len(jobs))
    )
    found = {(job.drive.name, job.variant): result for job, result in results.items()}
    summary = {
        name: summarise(drive, variants, found, arguments.depth_every)
        for name, drive in drives.items()
    }
    _write(arguments.out, summary, provenance(arguments.model, variants))
    draw(arguments.out, drives, variants, found)
    print(markdown(summary))


def provenance(model: Path | None, variants: Sequence[str]) -> dict[str, Any]:
    """What made the results: the model's name and hash, and all parameters of each variant."""
    params = {
        variant: {} if variant == CLASSICAL else asdict(params_of(variant)) for variant in variants
    }
    return {
        "model": (model or DEFAULT_MODEL).name,
        "model_sha256": model_sha256(model),
        "variants": params,
    }


def summarise(
    drive: EvaluatedDrive, variants: Sequence[str], found: Found, every: int
) -> dict[str, Any]:
    """One drive's entry of results.json."""
    scores = {variant: found[drive.name, variant]["scores"] for variant in variants}
    length_m = float(driven_distances(drive.true_poses)[-1])
    summary = {"frames": len(drive.image_paths), "length_m": length_m, "variants": scores}
    if drive.depth_paths is None:
        return summary
    # The baseline learns from the other drives; where there is none it knows this drive's own
    # truth, which only makes it better.
    of_depth = {name: result for (name, variant), result in found.items() if variant == DEPTH}
    others = [
        result["rows"]
        for name, result in of_depth.items()
        if name != drive.name or len(of_depth) == 1
    ]
    rows = score_rows(drive, rows_of_others(others, drive.intrinsics.height), every)
    return {**summary, "depth": {**of_depth[drive.name]["scores"], **rows}}


def draw(
    out: Path, drives: Mapping[str, EvaluatedDrive], variants: Sequence[str], found: Found
) -> None:
    """A picture of each drive, and calibration.png where a variant has covariances."""
    colours = colours_of(variants)
    for name, drive in drives.items():
        curves = {variant: found[name, variant]["curves"] for variant in variants}
        title = f"{name}: {len(drive.image_paths)} frames, {driven_distances(drive.true_poses)[-1]:.0f} m"
        draw_drive(out / f"{name}.png", title, truth_curves(drive.true_poses), curves, colours)
    nees = {
        variant: {
            part: _pooled(drives, variant, f"nees_{part}", found)
            for part in ("translation", "rotation")
        }
        for variant in variants
    }
    sure = {variant: errors for variant, errors in nees.items() if len(errors["translation"])}
    if sure:
        draw_calibration(out / "calibration.png", sure, colours)


def _pooled(
    drives: Mapping[str, EvaluatedDrive], variant: str, curve: str, found: Found
) -> np.ndarray:
    return np.concatenate([found[name, variant]["curves"][curve] for name in drives])


def _write(out: Path, summary: Mapping[str, Any], made_by: Mapping[str, Any]) -> None:
    everything = {**made_by, "drives": summary, "mean": mean_scores(summary)}
    write_text(
        out / "results.json", json.dumps(json.loads(as_json_text(everything)), indent=1) + "\n"
    )
    write_text(out / "table.md", markdown(summary))


def _progress(total: int) -> Callable[[Job, bool], None]:
    done = 0

    def show(job: Job, kept: bool) -> None:
        nonlocal done
        done += 1
        print(
            f"{done}/{total} {job.drive.name}, {job.variant}{', kept' if kept else ''}",
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
    drives = "sequence folders (KITTI's layout, rendered drives), each perhaps with frames: sequences/03:440-519"
    parser.add_argument(
        "--drives", nargs="+", required=True, metavar="FOLDER[:FIRST-LAST]", help=drives
    )
    parser.add_argument(
        "--poses",
        type=Path,
        help="folder of true poses, <sequence>.txt; default: poses.txt of each, or ../../poses",
    )
    parser.add_argument(
        "--model", type=Path, help="a .safetensors model; default: the packaged one"
    )
    parser.add_argument(
        "--variants",
        nargs="+",
        choices=NAMES,
        default=list(NAMES),
        help=f"default: {' '.join(NAMES)}",
    )
    parser.add_argument(
        "--depth-every",
        type=int,
        default=5,
        metavar="K",
        help="depth of every K-th frame, where truth exists (default: 5)",
    )
    parser.add_argument(
        "--workers",
        type=int,
        default=1,
        help="processes, one thread each; speed is only measured well with 1 (default)",
    )
    parser.add_argument(
        "--out", type=Path, required=True, help="folder for results.json, table.md and pictures"
    )
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
