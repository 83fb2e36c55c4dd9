"""How many snippets a second a training step takes: ours against the same step written plainly, in turns, on random data.

Forward, losses, backward and optimiser of SfMLearner's objective at batch 4, 416x128. The machine's other work disturbs all alike: trust
the ratios. Where there is a GPU, also the best batch, the memory, and the share of time that training waits for data.
"""

import argparse
import json
import os
import sys
from typing import Any

import torch

from sfm_odometry.cli import run_cli
from sfm_odometry.estimator import choose_device
from training.bench.contenders import Contender, compact_config, our_step, papers_config, plain_step
from training.bench.data import snippets_per_s
from training.bench.gpu import gpu_figures
from training.bench.timing import compare

BATCH = 4


def main(argv: list[str] | None = None) -> int:
    """Run the benchmark; returns the exit code."""
    parser = argparse.ArgumentParser("python -m training.bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, nargs="+", choices=(3, 5), default=[3, 5], help="frames of a snippet (default: 3 5)")
    parser.add_argument("--steps", type=int, default=3, help="steps a contender makes in a row, each round (default: 3)")
    parser.add_argument("--rounds", type=int, default=7, help="rounds, of which the median counts (default: 7)")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda:N")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    arguments = parser.parse_args(argv)
    return run_cli(lambda: run(arguments.frames, max(arguments.steps, 1), max(arguments.rounds, 1), arguments.device, arguments.json))


def run(frames: list[int], steps: int, rounds: int, device_name: str, as_json: bool) -> None:
    """Time everything and print it."""
    device = choose_device(device_name)
    out = sys.stderr if as_json else sys.stdout
    print(_conditions(device), file=out, flush=True)
    results: dict[str, Any] = {}
    for length in frames:
        compared = compare(_contenders(length, device), device, BATCH, steps, rounds)
        data = snippets_per_s(length)
        print(f"{length} frames; prepared data gives {data:.0f} snippets/s", file=out)
        for name, figures in compared.items():
            print(f"  {name:<36}{figures['samples_per_s']:8.1f} samples/s{figures['times_plain']:8.2f} x plain", file=out, flush=True)
        results[f"{length} frames"] = {"steps": compared, "data_snippets_per_s": data}
        if device.type == "cuda":
            results[f"{length} frames"]["gpu"] = figures = gpu_figures(papers_config(length), device)
            print("".join(f"  {name:<36}{value:8g}\n" for name, value in figures.items()), end="", file=out, flush=True)
    if as_json:
        print(json.dumps({"device": _conditions(device), "batch": BATCH, **results}))


def _contenders(frames: int, device: torch.device) -> list[Contender]:
    papers, compact = papers_config(frames), compact_config(frames)
    return [
        plain_step(papers, device, BATCH),
        our_step("ours, the papers' networks", papers, device, BATCH),
        our_step("ours, the compact networks", compact, device, BATCH),
    ]


def _conditions(device: torch.device) -> str:
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)}, torch {torch.__version__}"
    cores, load = len(os.sched_getaffinity(0)), os.getloadavg()[0]
    return f"{cores} cores, load {load:.2f} before the start, torch {torch.__version__} with {torch.get_num_threads()} threads"


if __name__ == "__main__":
    raise SystemExit(main())
