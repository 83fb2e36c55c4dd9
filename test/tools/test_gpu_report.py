"""Tables and run lengths for tools/gpu_run.sh."""

import importlib.util
import json
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
spec = importlib.util.spec_from_file_location("gpu_report", REPOSITORY / "tools" / "gpu_report.py")
assert spec is not None and spec.loader is not None
gpu_report = importlib.util.module_from_spec(spec)
spec.loader.exec_module(gpu_report)

BENCH = """NVIDIA H100
| recipe | batch | way | precision | snippets/s | x plain | x eager | GiB |
|---|---|---|---|---|---|---|---|
| sfmlearner | 64 | eager | bfloat16 | 900.0 | 3.00 | 1.00 | 9.00 |
| sfmlearner | 64 | graph | bfloat16 | 1600.0 | 5.00 | 2.00 | 9.00 |
| vid2depth | 64 | graph | bfloat16 | out of memory | | | |
"""


def test_the_table_has_a_row_for_each_test(tmp_path):
    log = tmp_path / "log"
    log.write_text(
        "noise\nPASSED test/a.py::b[c|d]\nSKIPPED [2] test/a.py:3: no CUDA\n"
        "=== 1 passed, 2 skipped in 1s ===\n"
    )
    table = gpu_report.tests(log)
    assert (
        "| PASSED | test/a.py::b[c/d] |" in table
        and "| SKIPPED | [2] test/a.py:3: no CUDA |" in table
    )
    assert table.endswith("1 passed, 2 skipped in 1s")


def test_the_number_of_steps_follows_from_the_measured_speed(tmp_path):
    log = tmp_path / "bench.log"
    log.write_text(BENCH)
    assert gpu_report.steps(log, "sfmlearner", 64, 100.0) == int(0.8 * 100 * 1600 / 64)
    assert gpu_report.steps(log, "vid2depth", 64, 100.0) == int(0.8 * 100 * 200 / 64)
    assert gpu_report.steps(tmp_path / "missing", "sfmlearner", 64, 0.001) == 1


@pytest.mark.parametrize("entries", [1, 100])
def test_the_last_step_of_a_log_is_shown(tmp_path, entries):
    run = tmp_path / "sfmlearner"
    run.mkdir()
    lines = [
        {"step": step, "loss": 1.0, "samples_per_s": 9.0, "data_wait": 0.0}
        for step in range(1, entries + 1)
    ]
    lines.append({"step": entries, "validation": {"loss": 0.5}})
    (run / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    table = gpu_report.training([run, tmp_path / "never begun"])
    assert f"| sfmlearner | {entries} | 9 | 0.000 | 1.0000 | |" in table
    assert f"| sfmlearner | {entries} | | | | loss 0.5000 |" in table
    assert len(table.splitlines()) < 25
