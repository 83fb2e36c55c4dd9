"""Snippets per second of the recipes by batch size and kind of step, as one table."""

import gc
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch

from benchmarks.training.steps import our_step, plain_step, recipe_config
from benchmarks.training.timing import seconds_per_step
from training.config import TrainConfig

RECIPES = ("sfmlearner", "vid2depth", "default")
BATCHES = (4, 16, 32, 64, 128, 256)
STEP_SETTINGS: dict[str, dict[str, Any]] = {
    "plain": {},
    "eager": {"cuda_graph": False},
    "graph": {"cuda_graph": True},
    "graph, float32": {"cuda_graph": True, "precision": "float32"},
    "compile + graph": {"cuda_graph": True, "compile": True},
}
"""Settings of each kind of step; plain is SfMLearner's step as it is usually written."""
QUICK_KINDS = ("plain", "eager", "graph")
"""Kinds of step that are measured at every batch size."""
WARM_UPS = 6
"""Untimed steps on a GPU; graphs are recorded at the fourth."""


@dataclass(frozen=True)
class ThroughputRow:
    """Throughput of one kind of step of one recipe at one batch size."""

    recipe: str
    batch: int
    kind: str
    precision: str
    snippets_per_s: float
    """NaN where the step failed."""
    gib: float
    """Peak memory of the device in GiB; 0 on a processor."""
    error: str = ""
    """Reason why the step failed."""


@dataclass(frozen=True)
class ThroughputConfig:
    """Recipes, batch sizes and duration of the measurement."""

    recipes: Sequence[str] = RECIPES
    batches: Sequence[int] = BATCHES
    compiled: Sequence[int] = ()
    """Batch sizes at which the first recipe is also measured in float32 and compiled, which
    takes a minute."""
    steps: int = 8
    """Steps in a row, whose mean time counts; the shortest of `rounds` means is taken."""
    rounds: int = 3
    precision: Literal["float32", "bfloat16"] = "bfloat16"
    limit_s: float = float("inf")
    """Seconds after which no other row is begun."""


def measure(config: ThroughputConfig, device: torch.device) -> Iterator[ThroughputRow]:
    """Yields the rows one after the other, batch sizes outermost, in the config's order.

    A time limit therefore leaves out the last batch sizes.
    """
    started = time.monotonic()
    for kind, batch, recipe in planned_rows(config):
        if time.monotonic() - started > config.limit_s:
            return
        recipe_settings = replace(
            recipe_config(recipe), batch_size=batch, precision=config.precision
        )
        settings = replace(recipe_settings, **STEP_SETTINGS[kind])
        yield _measure_row(config, recipe, kind, settings, device)


def planned_rows(config: ThroughputConfig) -> Iterator[tuple[str, int, str]]:
    """Yields kind of step, batch size and recipe of each row.

    Only SfMLearner's recipe has plain steps.
    """
    for batch in dict.fromkeys((*config.batches, *config.compiled)):
        for recipe in config.recipes:
            yield from (
                (kind, batch, recipe)
                for kind in QUICK_KINDS
                if kind != "plain" or recipe == "sfmlearner"
            )
        if batch in config.compiled:
            yield from (
                (kind, batch, config.recipes[0])
                for kind in STEP_SETTINGS
                if kind not in QUICK_KINDS
            )


def _measure_row(
    config: ThroughputConfig, recipe: str, kind: str, settings: TrainConfig, device: torch.device
) -> ThroughputRow:
    """Returns one row, with the error where the step fails."""
    batch = settings.batch_size
    snippets_per_s = float("nan")
    gib = 0.0
    message = ""
    try:
        seconds, gib = _measure_step(config, kind, settings, device)
        snippets_per_s = batch / seconds
    except RuntimeError as error:  # out of memory, or an operation that the device lacks
        message = str(error).strip().partition("\n")[0][:60]
    finally:
        _free_memory(device)
    return ThroughputRow(
        recipe=recipe,
        batch=batch,
        kind=kind,
        precision="float32" if kind == "plain" else settings.precision,
        snippets_per_s=snippets_per_s,
        gib=gib,
        error=message,
    )


def _measure_step(
    config: ThroughputConfig, kind: str, settings: TrainConfig, device: torch.device
) -> tuple[float, float]:
    """Returns seconds per step, and peak memory in GiB."""
    _free_memory(device)
    count = settings.batch_size
    step = (
        plain_step(settings, device, count)
        if kind == "plain"
        else our_step(kind, settings, device, count)
    )
    seconds_per_step(step, device, WARM_UPS if device.type == "cuda" else 1)
    seconds = min(seconds_per_step(step, device, config.steps) for _ in range(config.rounds))
    gib = torch.cuda.max_memory_allocated(device) / 2**30 if device.type == "cuda" else 0.0
    return seconds, gib


def _free_memory(device: torch.device) -> None:
    """Free unused memory of the device, and reset its peak."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)


class MarkdownTable:
    """Rows as markdown, line by line, with ratios to the plain and eager step.

    The ratios are to rows of the same recipe and batch size that came before.
    """

    def __init__(self) -> None:
        self._snippets_per_s: dict[tuple[str, int, str], float] = {}

    def head(self) -> str:
        """Returns the first two lines."""
        names = ("recipe", "batch", "way", "precision", "snippets/s", "x plain", "x eager", "GiB")
        return f"| {' | '.join(names)} |\n|{'---|' * len(names)}"

    def line(self, row: ThroughputRow) -> str:
        """Returns the line of a row."""
        self._snippets_per_s[row.recipe, row.batch, row.kind] = row.snippets_per_s
        head = f"| {row.recipe} | {row.batch} | {row.kind} | {row.precision}"
        if row.error:
            return f"{head} | {row.error} | | | |"
        figures = (
            f"{row.snippets_per_s:.1f}",
            self._ratio(row, "plain"),
            self._ratio(row, "eager"),
            f"{row.gib:.2f}",
        )
        return f"{head} | {' | '.join(figures)} |"

    def _ratio(self, row: ThroughputRow, kind: str) -> str:
        """Returns the ratio to another kind of step, empty where that was not measured."""
        other = self._snippets_per_s.get((row.recipe, row.batch, kind))
        return f"{row.snippets_per_s / other:.2f}" if other and other == other else ""
