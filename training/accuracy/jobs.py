"""Jobs of one drive and one variant each, in worker processes, and the cache of their results."""

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
from training.accuracy.odometry_run import run_variant
from training.accuracy.scores import score_run
from training.accuracy.variants import CLASSICAL, variant_params

DEPTH = "depth"
"""Name of the job that scores a model's depth, in place of a variant."""
SOURCES = Path(__file__).resolve().parents[2]
CODE = (
    "sfm_odometry/**/*.py",
    "training/classical/*.py",
    "training/evaluate/*.py",
    *(
        f"training/accuracy/{name}.py"
        for name in ("consistency", "depth", "drives", "odometry_run", "scores")
    ),
)
"""Patterns of the source files on which results depend: all that computes, without nodes and
figures."""


@dataclass(frozen=True)
class Job:
    """Evaluation of one variant on one drive, or of the model's depth on it (variant DEPTH)."""

    drive: DriveChoice
    variant: str
    model: Path | None
    """Model file; None: the packaged one."""
    depth_every: int
    """Stride of the frames whose depth is scored."""

    def run(self) -> dict[str, Any]:
        """Evaluate; returns the results for JSON."""
        drive = open_drive(self.drive)
        if self.variant == DEPTH:
            return score_depth(drive, self.model, self.depth_every)
        return score_run(drive, run_variant(drive, self.variant, self.model))

    def key(self) -> str:
        """Cache key: a hash of the drive, the variant, its settings, the model and the code."""
        drive = (
            str(self.drive.folder),
            self.drive.frames,
            str(self.drive.poses),
            _modification_times_ns(self.drive),
        )
        settings = (
            self.depth_every
            if self.variant == DEPTH
            else None
            if self.variant == CLASSICAL
            else asdict(variant_params(self.variant))
        )
        model = None if self.variant == CLASSICAL else model_sha256(self.model)
        return hashlib.sha256(
            json.dumps([drive, self.variant, settings, model, _code_sha256()]).encode()
        ).hexdigest()[:16]


class ResultCache:
    """Cache of the results of jobs: a folder with one JSON file each."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, job: Job) -> dict[str, Any] | None:
        """Cached results of a job; None where there are none that can be read."""
        try:
            return json.loads(self._path(job).read_text())
        except (OSError, ValueError):
            return None

    def write(self, job: Job, results: Mapping[str, Any]) -> None:
        """Write a job's results in place of those of an earlier model, drive or code.

        Raises OutputError where the folder cannot be written.
        """
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
    jobs: Sequence[Job],
    result_cache: ResultCache,
    workers: int,
    on_done: Callable[[Job, bool], None],
) -> dict[Job, dict[str, Any]]:
    """Run all jobs that have no cached results; returns the results of all.

    `on_done` is called after each job, with True where its results came from the cache.
    """
    results = {job: cached for job in jobs if (cached := result_cache.read(job)) is not None}
    for job in results:
        on_done(job, True)
    for job, result in _run([job for job in jobs if job not in results], workers):
        result_cache.write(job, result)
        # As read from the file, to be the same with and without the cache: NaN, tuples and all.
        results[job] = json.loads(json.dumps(result))
        on_done(job, False)
    return results


def _run(jobs: Sequence[Job], workers: int) -> Iterator[tuple[Job, dict[str, Any]]]:
    """Run jobs in this process or in worker processes; yields each with its results as it ends."""
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
    """SHA-256 of a model file, None: the packaged one; CheckpointError where it cannot be read."""
    path = model or DEFAULT_MODEL
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror}") from error


@cache
def _code_sha256() -> str:
    """SHA-256 over the source files of CODE."""
    digest = hashlib.sha256()
    for path in sorted(
        path for pattern in CODE for path in SOURCES.glob(pattern) if "nodes" not in path.parts
    ):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _modification_times_ns(choice: DriveChoice) -> list[int]:
    """Modification times of the drive's text files, which change when a drive is rendered anew."""
    texts = [choice.folder / name for name in ("calib.txt", "poses.txt", "times.txt")]
    return [os.stat(path).st_mtime_ns for path in texts if path.is_file()]
