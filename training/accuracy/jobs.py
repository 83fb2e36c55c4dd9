"""The work, cut into jobs of one drive and one variant each, whose results are kept."""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cv2
import torch

from sfm_odometry.errors import CheckpointError, OutputError
from sfm_odometry.inference.checkpoint import DEFAULT_MODEL
from sfm_odometry.io.text import write_text
from training.accuracy.depth import score_depth
from training.accuracy.drives import DriveChoice, open_drive
from training.accuracy.recording import record
from training.accuracy.scores import score
from training.accuracy.variants import CLASSICAL, params_of

DEPTH = "depth"
SOURCES = Path(__file__).resolve().parents[2]
CODE = (
    "sfm_odometry/**/*.py",
    "training/classical/*.py",
    "training/evaluate/*.py",
    *(
        f"training/accuracy/{name}.py"
        for name in ("consistency", "depth", "drives", "recording", "scores")
    ),
)
"""What the results depend on, besides the drive, the variant and the model: everything that
computes, but neither nodes nor pictures."""


@dataclass(frozen=True)
class Job:
    """One variant of the odometry on one drive, or (variant DEPTH) the model's depth on every
    `every`-th frame of it."""

    drive: DriveChoice
    variant: str
    model: Path | None
    every: int

    def run(self) -> dict[str, Any]:
        """The results, for JSON."""
        drive = open_drive(self.drive)
        if self.variant == DEPTH:
            return score_depth(drive, self.model, self.every)
        return score(drive, record(drive, self.variant, self.model))

    def key(self) -> str:
        """What the results are kept under: differs wherever they might."""
        drive = (
            str(self.drive.folder),
            self.drive.frames,
            str(self.drive.poses),
            _stamp_of(self.drive),
        )
        settings = (
            self.every
            if self.variant == DEPTH
            else None
            if self.variant == CLASSICAL
            else asdict(params_of(self.variant))
        )
        model = None if self.variant == CLASSICAL else model_sha256(self.model)
        return hashlib.sha256(
            json.dumps([drive, self.variant, settings, model, _code_sha256()]).encode()
        ).hexdigest()[:16]


class Results:
    """Results in a folder, a JSON file each, so that what was done once is not done again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, job: Job) -> dict[str, Any] | None:
        """What is kept of a job, or None."""
        try:
            return json.loads(self._path(job).read_text())
        except (OSError, ValueError):
            return None

    def keep(self, job: Job, results: Mapping[str, Any]) -> None:
        """Write a job's results, in place of those of an earlier model, drive or code."""
        path = self._path(job)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            for stale in path.parent.glob(f"{job.variant}-*.json"):
                stale.unlink()
        except OSError as error:
            raise OutputError(
                f"{path.parent}: results cannot be kept there: {error.strerror}"
            ) from error
        write_text(path, json.dumps(results))

    def _path(self, job: Job) -> Path:
        return self._folder / job.drive.name / f"{job.variant}-{job.key()}.json"


def run_jobs(
    jobs: Sequence[Job], results: Results, workers: int, done: Callable[[Job, bool], None]
) -> dict[Job, dict[str, Any]]:
    """The results of all jobs; `done` is told of each as it ends, and whether it was kept from
    an earlier run."""
    found = {job: kept for job in jobs if (kept := results.read(job)) is not None}
    for job in found:
        done(job, True)
    for job, result in _run([job for job in jobs if job not in found], workers):
        results.keep(job, result)
        # What was written and read again is the same whether it was kept or not: NaN, tuples and
        # all.
        found[job] = json.loads(json.dumps(result))
        done(job, False)
    return found


def _run(jobs: Sequence[Job], workers: int) -> Iterator[tuple[Job, dict[str, Any]]]:
    if workers == 1 or len(jobs) < 2:
        for job in jobs:
            yield job, job.run()
        return
    with ProcessPoolExecutor(
        min(workers, len(jobs)), get_context("spawn"), _use_one_thread
    ) as pool:
        running = {pool.submit(job.run): job for job in jobs}
        try:
            for future in as_completed(running):
                yield running[future], future.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _use_one_thread() -> None:
    torch.set_num_threads(1)
    cv2.setNumThreads(1)


def model_sha256(model: Path | None) -> str:
    """Of a model file, None being the packaged one; CheckpointError where it cannot be read."""
    path = model or DEFAULT_MODEL
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror}") from error


@cache
def _code_sha256() -> str:
    digest = hashlib.sha256()
    for path in sorted(
        path for pattern in CODE for path in SOURCES.glob(pattern) if "nodes" not in path.parts
    ):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _stamp_of(choice: DriveChoice) -> list[int]:
    """When the drive's texts were written: a drive that is rendered anew is another one."""
    texts = [choice.folder / name for name in ("calib.txt", "poses.txt", "times.txt")]
    return [os.stat(path).st_mtime_ns for path in texts if path.is_file()]
