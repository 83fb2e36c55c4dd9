"""How many snippets a second a training step takes: ours against the same step written plainly, in
turns, on random data.

Forward, losses, backward and optimiser of SfMLearner's objective at batch 4, 416x128. The machine's
other work disturbs all alike: trust the ratios. --table: each recipe by batch size, eager, as a
CUDA graph and compiled, with the memory that it takes, as markdown.
"""

import argparse
import contextlib
import json
import os
import sys
from typing import Any

import torch

from benchmarks.training.contenders import (
    Contender,
    compact_config,
    our_step,
    papers_config,
    plain_step,
)
from benchmarks.training.data import snippets_per_s
from benchmarks.training.gpu import data_wait
from benchmarks.training.throughput import BATCHES, RECIPES, Plan, Table, measure
from benchmarks.training.timing import compare
from sfm_odometry.backends.processor import describe_device
from sfm_odometry.cli import run_cli
from sfm_odometry.errors import InputError
from sfm_odometry.inference.estimator import choose_device
from training.engine.precision import resolve_precision

BATCH = 4


def main(argv: list[str] | None = None) -> int:
    """Run the benchmark; returns the exit code."""
    parser = argparse.ArgumentParser(
        "python -m benchmarks.training",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--frames",
        type=int,
        nargs="+",
        choices=(3, 5),
        default=[3, 5],
        help="frames of a snippet (default: 3 5)",
    )
    parser.add_argument(
        "--steps",
        type=int,
        default=3,
        help="steps a contender makes in a row, each round (default: 3)",
    )
    parser.add_argument(
        "--rounds", type=int, default=7, help="rounds, of which the fastest counts (default: 7)"
    )
    parser.add_argument(
        "--table",
        action="store_true",
        help="measure the recipes by batch size instead, and print markdown",
    )
    parser.add_argument(
        "--recipes", nargs="+", default=RECIPES, help="of the table (default: %(default)s)"
    )
    parser.add_argument(
        "--batches",
        type=int,
        nargs="+",
        default=BATCHES,
        help="of the table (default: %(default)s)",
    )
    parser.add_argument(
        "--compiled",
        type=int,
        nargs="*",
        default=[],
        help="batches at which the first recipe is compiled too",
    )
    parser.add_argument(
        "--precision",
        choices=("float32", "bfloat16"),
        help="of the table (default: bfloat16 on a GPU)",
    )
    parser.add_argument(
        "--limit-s",
        type=float,
        default=float("inf"),
        help="seconds after which no other row is begun",
    )
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda:N")
    parser.add_argument(
        "--json", action="store_true", help="print one JSON object instead of a table"
    )
    arguments = parser.parse_args(argv)
    if arguments.table:
        return run_cli(lambda: print_table(arguments))
    return run_cli(
        lambda: run(
            arguments.frames,
            max(arguments.steps, 1),
            max(arguments.rounds, 1),
            arguments.device,
            arguments.json,
        )
    )


def run(frames: list[int], steps: int, rounds: int, device_name: str, as_json: bool) -> None:
    """Time everything and print it."""
    device = _prepared(device_name)
    out = sys.stderr if as_json else sys.stdout
    print(_conditions(device), file=out, flush=True)
    results: dict[str, Any] = {}
    for length in frames:
        with contextlib.redirect_stdout(out):
            contenders = _Contenders(length, device)
        compared = compare(contenders.steps, device, BATCH, steps, rounds)
        data = snippets_per_s(length)
        print(f"{length} frames; prepared data gives {data:.0f} snippets/s", file=out)
        for name, figures in compared.items():
            print(
                f"  {name:<36}{figures['samples_per_s']:8.1f} samples/s{figures['times_plain']:8.2f} x plain",
                file=out,
                flush=True,
            )
        results[f"{length} frames"] = {"steps": compared, "data_snippets_per_s": data}
        if device.type == "cuda":
            results[f"{length} frames"]["data_wait"] = share = data_wait(contenders.papers, device)
            print(f"  {'share of time waiting for data':<36}{share:8.4f}", file=out, flush=True)
    if as_json:
        print(json.dumps({"device": _conditions(device), "batch": BATCH, **results}))


class _Contenders:
    """What is compared at snippets of so many frames, each in the precision that is faster on
    the device."""

    def __init__(self, frames: int, device: torch.device) -> None:
        self.papers, compact = (
            resolve_precision(config, device)
            for config in (papers_config(frames), compact_config(frames))
        )
        self.steps: list[Contender] = [
            plain_step(self.papers, device, BATCH),
            our_step("ours, the papers' networks", self.papers, device, BATCH),
            our_step("ours, the compact networks", compact, device, BATCH),
        ]


def print_table(arguments: argparse.Namespace) -> None:
    """The recipes by batch size, row by row."""
    device, table = _prepared(arguments.device), Table()
    unknown = sorted({*arguments.recipes} - {*RECIPES})
    if unknown or min(arguments.batches) < 1:
        raise InputError(
            f"--recipes {unknown}, --batches {arguments.batches}: expected some of {', '.join(RECIPES)}, and 1 or more"
        )
    precision: Any = arguments.precision or ("bfloat16" if device.type == "cuda" else "float32")
    plan = Plan(
        arguments.recipes,
        arguments.batches,
        arguments.compiled,
        arguments.steps,
        arguments.rounds,
        precision,
        arguments.limit_s,
    )
    print(f"{_conditions(device)}\n\n{table.head()}", flush=True)
    for row in measure(plan, device):
        print(table.line(row), flush=True)


def _prepared(name: str) -> torch.device:
    """The device of that name, with the convolutions of CUDA chosen by measuring, as training
    chooses them."""
    torch.backends.cudnn.benchmark = True
    return choose_device(name)


def _conditions(device: torch.device) -> str:
    version = f"torch {torch.__version__}"
    if device.type == "cuda":
        return f"{describe_device(device)}, {version}"
    load, threads = os.getloadavg()[0], torch.get_num_threads()
    return f"{describe_device(device)}, load {load:.2f} before the start, {version} with {threads} threads"


if __name__ == "__main__":
    raise SystemExit(main())
