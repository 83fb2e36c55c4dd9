"""Tables, run lengths and model files for tools/gpu_run.sh.

gpu_report.py tests LOG                       markdown table of pytest's -rA lines, one row a test
gpu_report.py steps LOG RECIPE BATCH SECONDS  number of steps that a run takes in this time, by the
                                              speed in the table of benchmarks.training
gpu_report.py training RUN [RUN ...]          markdown table of runs' log.jsonl: speed, loss, scores
gpu_report.py half MODEL OUT                  a model file with float16 weights
"""

import json
import re
import sys
from pathlib import Path

FALLBACK_PER_S = {"sfmlearner": 800.0, "vid2depth": 200.0}
"""Snippets per second where none were measured."""
STEP_SHARE = 0.8
"""Share of a run's time that is spent in steps; the rest starts, validates, draws and writes."""
MAX_ROWS = 12
"""Lines of a run's log in the table, evenly spread, without validations."""


def tests(log: Path) -> str:
    """Returns a table of pytest's short summary, and its last line."""
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
    """Returns the number of steps that a run takes in `seconds`, by the measured speed.

    log: output of benchmarks.training, may be missing.
    """
    measured_per_s = [0.0]
    for line in log.read_text(errors="replace").splitlines() if log.exists() else ():
        cells = [cell.strip() for cell in line.strip("| ").split("|")]
        if cells[:3] == [recipe, str(batch), "graph"] and re.fullmatch(r"[\d.]+", cells[4]):
            measured_per_s.append(float(cells[4]))
    per_s = max(measured_per_s) or FALLBACK_PER_S.get(recipe, 200.0)
    return max(int(STEP_SHARE * seconds * per_s / batch), 1)


def training(runs: list[Path]) -> str:
    """Returns a table of the logs of these runs."""
    lines = [
        "| run | step | snippets/s | data wait | loss | validation |",
        "|---|---|---|---|---|---|",
    ]
    for run in runs:
        # Read the log.
        log = run / "log.jsonl"
        entries = (
            [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
        )
        # Training steps, evenly spread; the last one is among them.
        steps_logged = [entry for entry in entries if "loss" in entry]
        every = max(len(steps_logged) // MAX_ROWS, 1)
        for entry in steps_logged[(len(steps_logged) - 1) % every :: every]:
            figures = (
                f"{entry['samples_per_s']:.0f}",
                f"{entry['data_wait']:.3f}",
                f"{entry['loss']:.4f}",
            )
            lines.append(f"| {run.name} | {entry['step']} | {' | '.join(figures)} | |")
        # Validations.
        for entry in (entry for entry in entries if "validation" in entry):
            scores = ", ".join(f"{name} {value:.4f}" for name, value in entry["validation"].items())
            lines.append(f"| {run.name} | {entry['step']} | | | | {scores} |")
    return "\n".join(lines)


def half(model: Path, out: Path) -> None:
    """Write the model with float16 weights, in half the size."""
    from sfm_odometry.inference.checkpoint import load_model, read_provenance, save_model

    save_model(out, load_model(model), read_provenance(model), half=True)


def main() -> None:
    """Run one of the commands of the module's docstring."""
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
