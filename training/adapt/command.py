"""Steps of an adaptation: read and teach, learn, measure, write."""

import argparse
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from sfm_odometry.inference.checkpoint import load_model, read_provenance, save_model
from sfm_odometry.inference.estimator import Estimator, choose_device
from sfm_odometry.networks.model import Model
from training.adapt.learning import Adaptation, AdaptConfig, Learned
from training.adapt.measure import Measures, measure_rendered
from training.adapt.rendered import held_out_rendered, render_drives
from training.adapt.report import before_after, progress_line, write_picture
from training.adapt.snippets import SnippetPool
from training.engine.signals import InterruptHandler
from training.engine.subnormals import flush_subnormals
from training.prepare.writer import disk_errors
from training.teach.footage import Footage, open_footage, read_footage

EXIT_NOT_BETTER = 4
"""The command learned, but nothing became better."""
MIN_GAIN = 0.03
"""Least decrease of the score, a share, that counts as better."""


def adapt(arguments: argparse.Namespace, clock: Callable[[], float] = time.monotonic) -> int:
    """Adapt a model as the command line says; returns the exit code.

    Raises InputError for images that cannot be read or that teach nothing.
    """
    started = clock()
    # Open everything before the long work.
    opened = open_footage(arguments)
    estimator = Estimator.from_file(arguments.start)
    with disk_errors(arguments.out.parent):
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
    # Read the frames, and let the odometry teach them.
    footage = read_footage(opened, estimator, arguments.max_frames)
    pool = SnippetPool(footage, estimator.model.config.pose.frames)
    print(_lesson_line(footage, pool), flush=True)
    # Learn.
    config = AdaptConfig(minutes=arguments.minutes, seed=arguments.seed)
    drives = render_drives(estimator.model.config)
    model = load_model(arguments.start)
    adaptation = Adaptation(
        model, pool, drives, config, choose_device(arguments.device), clock, started
    )
    old_drive = held_out_rendered(drives, pool.length)
    rendered_before = measure_rendered(adaptation.learner, old_drive)
    with InterruptHandler() as interrupt, flush_subnormals():
        learned = adaptation.run(
            lambda share, measures, best: _say_progress(share * config.minutes, measures, best),
            lambda: interrupt.requested,
        )
    # Say what became of it, and write it.
    is_better = learned.after.score(learned.before) < 1.0 - MIN_GAIN
    adapted = load_model(arguments.start)
    if is_better:
        adapted.load_state_dict(learned.state)
    adaptation.learner.model.load_state_dict(adapted.state_dict())
    rendered_after = measure_rendered(adaptation.learner, old_drive)
    print(f"\n{learned.steps} steps, then {learned.reason}\n")
    print(before_after(learned.before, learned.after, rendered_before, rendered_after))
    _write(arguments, footage, pool, (model, adapted), learned, is_better)
    return 0 if is_better else EXIT_NOT_BETTER


def _write(
    arguments: argparse.Namespace,
    footage: Footage,
    pool: SnippetPool,
    models: tuple[Model, Model],
    learned: Learned,
    is_better: bool,
) -> None:
    """Write the model and the picture; models: before and after."""
    _save(arguments, models[1], learned, is_better)
    picture = arguments.out.with_suffix(".png")
    write_picture(picture, footage, pool, *models)
    print(f"{picture}: frames, depth before, depth after")


def _say_progress(minutes: float, measures: Measures, is_best: bool) -> None:
    print(progress_line(minutes, measures, is_best), flush=True)


def _lesson_line(footage: Footage, pool: SnippetPool) -> str:
    """Summary of the tracking of the frames, in words."""
    lesson = footage.lesson
    posed = int((lesson.segment >= 0).sum())
    return (
        f"{len(footage.frames)} frames ({footage.resize_mode}), {posed} with a pose in "
        f"{len(set(lesson.segment.tolist()) - {-1})} stretches, {len(lesson.pixels)} depths of "
        f"corners; {len(pool.training.frames)} frames teach, {len(pool.validation.frames)} are "
        "held out"
    )


def _save(arguments: argparse.Namespace, model: Model, learned: Learned, is_better: bool) -> None:
    """Write the model, with the record of how it came about."""
    if not is_better:
        print(
            f"\nnot better than before: {arguments.out} is {Path(arguments.start).name} unchanged"
        )
        save_model(arguments.out, model, read_provenance(arguments.start))
        return
    provenance: dict[str, Any] = {
        "adapted_from": Path(arguments.start).name,
        "images": str(arguments.images),
        "steps": learned.steps,
        "before": asdict(learned.before),
        "after": asdict(learned.after),
        "start": read_provenance(arguments.start),
        "torch": torch.__version__,
    }
    save_model(arguments.out, model, provenance, half=True)
    print(f"\n{arguments.out}: the adapted model; use it by --model, or model.path of the node")
