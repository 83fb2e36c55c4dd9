"""Snippets a second of the recipes by batch size and way of taking a step, as one table."""

import gc
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch

from benchmarks.training.contenders import our_step, plain_step, recipe_config
from benchmarks.training.timing import seconds_a_step
from training.config import TrainConfig

RECIPES = ("sfmlearner", "vid2depth", "default")
BATCHES = (4, 16, 32, 64, 128, 256)
WAYS: dict[str, dict[str, Any]] = {
    "plain": {},
    "eager": {"cuda_graph": False},
    "graph": {"cuda_graph": True},
    "graph, float32": {"cuda_graph": True, "precision": "float32"},
    "compile + graph": {"cuda_graph": True, "compile": True},
}
"""The settings of each way; plain is SfMLearner's step as it is usually written."""
ALWAYS = ("plain", "eager", "graph")
WARM_UPS = 6
"""Steps before the clock runs: graphs are recorded at the fourth."""


@dataclass(frozen=True)
class Row:
    """One way of taking steps of one recipe at one batch size."""

    recipe: str
    batch: int
    way: str
    precision: str
    snippets_per_s: float
    """nan where it did not run."""
    gib: float
    """Most memory of the device in use at once; 0 on a processor."""
    note: str = ""


@dataclass(frozen=True)
class Plan:
    """What is measured."""

    recipes: Sequence[str] = RECIPES
    batches: Sequence[int] = BATCHES
    compiled: Sequence[int] = ()
    """Batch sizes at which the first recipe is also measured in float32 and compiled, which
    takes a minute."""
    steps: int = 8
    """Steps in a row, of which the mean counts; the least of `rounds` means."""
    rounds: int = 3
    precision: Literal["float32", "bfloat16"] = "bfloat16"
    limit_s: float = float("inf")
    """No other row is begun after so many seconds."""


def measure(plan: Plan, device: torch.device) -> Iterator[Row]:
    """The rows one after the other, batch sizes outermost, in their order, so that a limit
    leaves out the last."""
    started = time.monotonic()
    for way, batch, recipe in _cells(plan):
        if time.monotonic() - started > plan.limit_s:
            return
        config = replace(recipe_config(recipe), batch_size=batch, precision=plan.precision)
        yield _row(plan, recipe, way, replace(config, **WAYS[way]), device)


def _cells(plan: Plan) -> Iterator[tuple[str, int, str]]:
    """Way, batch and recipe; the plain step is the papers' alone."""
    for batch in dict.fromkeys((*plan.batches, *plan.compiled)):
        for recipe in plan.recipes:
            yield from (
                (way, batch, recipe) for way in ALWAYS if way != "plain" or recipe == "sfmlearner"
            )
        if batch in plan.compiled:
            yield from ((way, batch, plan.recipes[0]) for way in WAYS if way not in ALWAYS)


def _row(plan: Plan, recipe: str, way: str, config: TrainConfig, device: torch.device) -> Row:
    precision = "float32" if way == "plain" else config.precision
    try:
        seconds, gib = _measured(plan, way, config, device)
    except RuntimeError as error:  # out of memory, or an operation that is not there
        return Row(
            recipe,
            config.batch_size,
            way,
            precision,
            float("nan"),
            0.0,
            str(error).strip().partition("\n")[0][:60],
        )
    finally:
        _free(device)
    return Row(recipe, config.batch_size, way, precision, config.batch_size / seconds, gib)


def _measured(
    plan: Plan, way: str, config: TrainConfig, device: torch.device
) -> tuple[float, float]:
    """Seconds a step, and GiB."""
    _free(device)
    count = config.batch_size
    contender = (
        plain_step(config, device, count)
        if way == "plain"
        else our_step(way, config, device, count)
    )
    seconds_a_step(contender, device, WARM_UPS if device.type == "cuda" else 1)
    seconds = min(seconds_a_step(contender, device, plan.steps) for _ in range(plan.rounds))
    gib = torch.cuda.max_memory_allocated(device) / 2**30 if device.type == "cuda" else 0.0
    return seconds, gib


def _free(device: torch.device) -> None:
    """Leave the device's memory as it was found."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)


class Table:
    """Rows as markdown, each printed when it is there, against the plain and the eager step of
    the same recipe and batch."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, int, str], float] = {}

    def head(self) -> str:
        """The first two lines."""
        names = ("recipe", "batch", "way", "precision", "snippets/s", "x plain", "x eager", "GiB")
        return f"| {' | '.join(names)} |\n|{'---|' * len(names)}"

    def line(self, row: Row) -> str:
        """One line of the table."""
        self._seen[row.recipe, row.batch, row.way] = row.snippets_per_s
        if row.note:
            return (
                f"| {row.recipe} | {row.batch} | {row.way} | {row.precision} | {row.note} | | | |"
            )
        figures = (
            f"{row.snippets_per_s:.1f}",
            self._ratio(row, "plain"),
            self._ratio(row, "eager"),
            f"{row.gib:.2f}",
        )
        return (
            f"| {row.recipe} | {row.batch} | {row.way} | {row.precision} | {' | '.join(figures)} |"
        )

    def _ratio(self, row: Row, way: str) -> str:
        other = self._seen.get((row.recipe, row.batch, way))
        return f"{row.snippets_per_s / other:.2f}" if other and other == other else ""
