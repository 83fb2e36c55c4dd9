"""Node benchmark from its command line, over real DDS; without limits on speed."""

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

from demo.processes import ROOT, child_environment

DEADLINE_S = 1500.0  # generous: other programs may keep the machine busy


def run_bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = child_environment()
    environment.pop("ROS_DOMAIN_ID", None)  # a domain of its own
    command = [sys.executable, "-m", "benchmarks.node", *arguments]
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=DEADLINE_S
    )


@pytest.fixture(scope="module")
def quick(tmp_path_factory) -> tuple[dict, str]:
    """JSON and terminal output of a quick benchmark."""
    out: Path = tmp_path_factory.mktemp("bench") / "bench.json"
    done = run_bench("--quick", "--out", str(out))
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(out.read_text()), done.stdout


def numbers(value: object) -> list[float]:
    """Returns all numbers of nested lists and dictionaries."""
    if isinstance(value, dict | list):
        return [
            number
            for item in (value.values() if isinstance(value, dict) else value)
            for number in numbers(item)
        ]
    return [float(value)] if isinstance(value, int | float) and not isinstance(value, bool) else []


def test_the_default_node_and_the_papers_networks_are_measured(quick):
    results, _ = quick
    assert [(node["setup"], node["consumers"]) for node in results["nodes"]] == [
        ("default", []),
        ("default", ["depth", "mask", "cloud"]),
        ("papers' networks", ["depth", "mask"]),
    ]
    assert [times["model"] for times in results["networks"]] == ["default", "papers' networks"]
    assert all(math.isfinite(number) and number >= 0.0 for number in numbers(results))


def test_latencies_and_costs_are_plausible(quick):
    results, _ = quick
    for load in (node["load"] for node in results["nodes"]):
        assert 0.0 < load["easy_latency_ms_median"] <= load["easy_latency_ms_p99"]
        assert load["easy_frames"] > load["easy_lost"]
        assert load["cpu_ms_per_frame"] > 1.0
        assert sum(load["cpu_ms_per_frame_by_thread"].values()) == pytest.approx(
            load["cpu_ms_per_frame"], rel=0.3
        )
        assert 100.0 < load["resident_mib"] < 4000.0
        assert (
            load["held_hz"] is None
            or 0.0 < load["held_latency_ms_median"] <= load["held_latency_ms_p99"]
        )


def test_consumers_receive_only_their_topics(quick):
    results, _ = quick
    alone, everything, papers = (node["heard"] for node in results["nodes"])
    assert alone == {}
    assert set(papers) == {"depth/image_rect", "depth/camera_info", "mask/image"}
    assert set(everything) == {
        "depth/image_rect",
        "depth/camera_info",
        "mask/image",
        "depth/points",
    }
    assert all(count > 0 for count in everything.values())


def test_stages_have_time_where_their_output_is_consumed(quick):
    results, _ = quick
    alone, everything = (result["stages_ms"] for result in results["stages"])
    for stages in (alone, everything):
        assert {
            "decode the message",
            "resize to the network's input",
            "depth network",
            "odometry and TF",
        } <= set(stages)
        assert stages["depth network"] > stages["decode the message"]
    assert "mask" not in alone and "depth, its colours and cloud" not in alone
    assert everything["mask"] > 0.0 and everything["depth, its colours and cloud"] > 0.0


def test_table_and_file_agree(quick):
    results, text = quick
    for node in results["nodes"]:
        load = node["load"]
        latency = f"{load['easy_latency_ms_median']:.1f} / {load['easy_latency_ms_p99']:.1f}"
        assert any(
            line.startswith(f"{node['setup']}  ") and latency in line for line in text.splitlines()
        )
    assert text.count(" met\n") + text.count(" missed\n") == sum(
        target["seen"] is not None for target in results["wanted"]
    )


def test_a_missing_model_is_named():
    done = run_bench("--quick", "--model", "absent.safetensors")
    assert done.returncode == 2
    assert "absent.safetensors" in done.stderr and "Traceback" not in done.stderr


def test_zero_cores_are_refused():
    done = run_bench("--cores", "0")
    assert done.returncode == 2
    assert "--cores must be at least 1" in done.stderr
