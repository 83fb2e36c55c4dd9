"""Speed of a training step, compared with the same step written plainly, in turns, on random data.

Times forward, losses, backward and optimiser of SfMLearner's objective at batch 4, 416x128. Other
work of the machine disturbs all steps alike: trust the ratios. With --table: each recipe by batch
size, eager, as a CUDA graph and compiled, with its memory, as markdown.
"""

import argparse
import contextlib
import json
import os
import sys
from typing import Any

import torch

from benchmarks.training.data_wait import data_wait
from benchmarks.training.random_dataset import snippets_per_s
from benchmarks.training.steps import (
    BenchmarkStep,
    compact_config,
    our_step,
    papers_config,
    plain_step,
)
from benchmarks.training.throughput import (
    BATCHES,
    RECIPES,
    MarkdownTable,
    ThroughputConfig,
    measure,
)
from benchmarks.training.timing import compare
from sfm_odometry.backends.processor import describe_device
from sfm_odometry.cli import run_cli
from sfm_odometry.errors import InputError
from sfm_odometry.inference.estimator import choose_device
from training.config import TrainConfig
from training.engine.precision import resolve_precision

BATCH = 4


def main(argv: list[str] | None = None) -> int:
    """Run the benchmark; returns the exit code."""
    arguments = _parser().parse_args(argv)
    return run_cli(lambda: print_table(arguments) if arguments.table else compare_steps(arguments))


def compare_steps(arguments: argparse.Namespace) -> None:
    """Time the steps for each length of snippet, and print samples per second and ratios."""
    device = _select_device(arguments.device)
    out = sys.stderr if arguments.json else sys.stdout
    print(_conditions(device), file=out, flush=True)
    results: dict[str, Any] = {}
    for frames in arguments.frames:
        # Time the steps, and drawing snippets from prepared data.
        with contextlib.redirect_stdout(out):
            papers, steps = _make_steps(frames, device)
        figures_of = compare(
            steps, device, BATCH, max(arguments.steps, 1), max(arguments.rounds, 1)
        )
        data = snippets_per_s(frames)

        # Print them.
        print(f"{frames} frames; prepared data gives {data:.0f} snippets/s", file=out)
        for name, figures in figures_of.items():
            print(
                f"  {name:<36}{figures['samples_per_s']:8.1f} samples/s"
                f"{figures['times_plain']:8.2f} x plain",
                file=out,
                flush=True,
            )
        result: dict[str, Any] = {"steps": figures_of, "data_snippets_per_s": data}
        if device.type == "cuda":
            result["data_wait"] = share = data_wait(papers, device)
            print(f"  {'share of time waiting for data':<36}{share:8.4f}", file=out, flush=True)
        results[f"{frames} frames"] = result
    if arguments.json:
        print(json.dumps({"device": _conditions(device), "batch": BATCH, **results}))


def _make_steps(frames: int, device: torch.device) -> tuple[TrainConfig, list[BenchmarkStep]]:
    """Returns the papers' config and the steps to compare, at snippets of `frames` frames.

    Each is in the precision that is faster on the device; the first is the plain step.
    """
    papers = resolve_precision(papers_config(frames), device)
    compact = resolve_precision(compact_config(frames), device)
    return papers, [
        plain_step(papers, device, BATCH),
        our_step("ours, the papers' networks", papers, device, BATCH),
        our_step("ours, the compact networks", compact, device, BATCH),
    ]


def print_table(arguments: argparse.Namespace) -> None:
    """Print the throughput of the recipes by batch size, row by row."""
    device = _select_device(arguments.device)
    unknown = sorted({*arguments.recipes} - {*RECIPES})
    if unknown or min(arguments.batches) < 1:
        raise InputError(
            f"--recipes {unknown}, --batches {arguments.batches}: "
            f"expected some of {', '.join(RECIPES)}, and 1 or more"
        )
    config = ThroughputConfig(
        recipes=arguments.recipes,
        batches=arguments.batches,
        compiled=arguments.compiled,
        steps=arguments.steps,
        rounds=arguments.rounds,
        precision=arguments.precision or ("bfloat16" if device.type == "cuda" else "float32"),
        limit_s=arguments.limit_s,
    )
    table = MarkdownTable()
    print(f"{_conditions(device)}\n\n{table.head()}", flush=True)
    for row in measure(config, device):
        print(table.line(row), flush=True)


def _select_device(name: str) -> torch.device:
    """Returns the device of that name; cuDNN chooses its convolutions by measuring, as training."""
    torch.backends.cudnn.benchmark = True
    return choose_device(name)


def _conditions(device: torch.device) -> str:
    """Returns device, load and versions as one line."""
    version = f"torch {torch.__version__}"
    if device.type == "cuda":
        return f"{describe_device(device)}, {version}"
    load = os.getloadavg()[0]
    threads = torch.get_num_threads()
    return (
        f"{describe_device(device)}, load {load:.2f} before the start, "
        f"{version} with {threads} threads"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.training",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda:N")
    parser.add_argument(
        "--steps",
        type=int,
        default=3,
        help="steps in a row, each round (default: 3)",
    )
    parser.add_argument(
        "--rounds", type=int, default=7, help="rounds, of which the fastest counts (default: 7)"
    )
    _add_comparison_options(parser)
    _add_table_options(parser)
    return parser


def _add_comparison_options(parser: argparse.ArgumentParser) -> None:
    """Options without --table."""
    parser.add_argument(
        "--frames",
        type=int,
        nargs="+",
        choices=(3, 5),
        default=[3, 5],
        help="frames of a snippet (default: 3 5)",
    )
    parser.add_argument(
        "--json", action="store_true", help="print one JSON object instead of a table"
    )


def _add_table_options(parser: argparse.ArgumentParser) -> None:
    """--table and its options."""
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


if __name__ == "__main__":
    raise SystemExit(main())
