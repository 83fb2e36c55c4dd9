"""What tools/gpu_run.sh asks of Python: tables in markdown from logs, the length of a run from a
measured speed, a model in half size.

gpu_report.py tests LOG            pytest's -rA lines, one row a test
gpu_report.py steps LOG RECIPE BATCH SECONDS      steps of a run that is to take so long, by the table of benchmarks.training
gpu_report.py training RUN [RUN ...]              log.jsonl of runs: speed, loss and scores as they went
gpu_report.py half MODEL OUT                      a model file with float16 weights
"""

import json
import re
import sys
from pathlib import Path

FALLBACK_PER_S = {"sfmlearner": 800.0, "vid2depth": 200.0}
"""Snippets a second where nothing was measured."""
SHARE = 0.8
"""Of a run's time that is spent in steps: the rest starts, validates, draws and writes."""
ROWS = 12
"""At most so many lines of a run's log are shown, evenly spread."""


def tests(log: Path) -> str:
    """A table of pytest's short summary, and its last line."""
    lines = log.read_text(errors="replace").splitlines()
    rows = [
        match.groups()
        for line in lines
        if (match := re.match(r"(PASSED|FAILED|ERROR|SKIPPED) (.*)", line))
    ]
    table = [
        "| result | test |",
        "|---|---|",
        *(f"| {result} | {text.replace('|', '/')[:160]} |" for result, text in rows),
    ]
    return "\n".join([*table, "", lines[-1].strip("= ") if lines else "nothing was printed"])


def steps(log: Path, recipe: str, batch: int, seconds: float) -> int:
    """Steps with which a run ends in time, by the speed that was measured."""
    measured = [0.0]
    for line in log.read_text(errors="replace").splitlines() if log.exists() else ():
        cells = [cell.strip() for cell in line.strip("| ").split("|")]
        if cells[:3] == [recipe, str(batch), "graph"] and re.fullmatch(r"[\d.]+", cells[4]):
            measured.append(float(cells[4]))
    per_s = max(measured) or FALLBACK_PER_S.get(recipe, 200.0)
    return max(int(SHARE * seconds * per_s / batch), 1)


def training(runs: list[Path]) -> str:
    """A table of what the runs logged."""
    lines = [
        "| run | step | snippets/s | data wait | loss | validation |",
        "|---|---|---|---|---|---|",
    ]
    for run in runs:
        log = run / "log.jsonl"
        entries = (
            [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
        )
        learning = [entry for entry in entries if "loss" in entry]
        every = max(len(learning) // ROWS, 1)
        for entry in learning[(len(learning) - 1) % every :: every]:  # the last one is among them
            figures = (
                f"{entry['samples_per_s']:.0f}",
                f"{entry['data_wait']:.3f}",
                f"{entry['loss']:.4f}",
            )
            lines.append(f"| {run.name} | {entry['step']} | {' | '.join(figures)} | |")
        for entry in (entry for entry in entries if "validation" in entry):
            scores = ", ".join(f"{name} {value:.4f}" for name, value in entry["validation"].items())
            lines.append(f"| {run.name} | {entry['step']} | | | | {scores} |")
    return "\n".join(lines)


def half(model: Path, out: Path) -> None:
    """Write the model again in half the size."""
    from sfm_odometry.inference.checkpoint import load_model, read_provenance, save_model

    save_model(out, load_model(model), read_provenance(model), half=True)


def main() -> None:
    command, *arguments = sys.argv[1:]
    if command == "tests":
        print(tests(Path(arguments[0])))
    elif command == "steps":
        log, recipe, batch, seconds = arguments
        print(steps(Path(log), recipe, int(batch), float(seconds)))
    elif command == "training":
        print(training([Path(run) for run in arguments]))
    elif command == "half":
        half(*map(Path, arguments))
    else:
        sys.exit(
            f"gpu_report.py: unknown command '{command}', expected tests, steps, training or half"
        )


if __name__ == "__main__":
    main()
