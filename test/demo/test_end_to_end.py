"""The demo as its user starts it: a short rendered drive through real processes."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import numpy as np
import pytest

from demo.processes import ROOT, child_environment
from sfm_odometry.io.kitti import open_sequence
from sfm_odometry.io.trajectories import read_poses

FRAMES = 24
MARK = "DEMO_TEST"
DEADLINE_S = 180.0  # generous: other tests may keep the machine busy


def start_demo(*arguments: str, mark: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "demo", *arguments]
    environment = child_environment() | {MARK: mark}
    environment.pop("ROS_DOMAIN_ID", None)  # a domain of its own
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def processes_of(mark: str) -> list[str]:
    """Command lines of the running processes that a demo with this mark started."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if f"{MARK}={mark}".encode() in (folder / "environ").read_bytes():
                found.append((folder / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue
    return found


@pytest.fixture(scope="module")
def demo_output(tmp_path_factory) -> tuple[Path, str]:
    """The folder and the words of one whole demo, at a gentle rate."""
    out = tmp_path_factory.mktemp("demo") / "out"
    mark = uuid.uuid4().hex
    demo = start_demo(
        "--out",
        str(out),
        "--frames",
        str(FRAMES),
        "--size",
        "208x64",
        "--seed",
        "3",
        "--rate",
        "5",
        mark=mark,
    )
    words, _ = demo.communicate(timeout=DEADLINE_S)
    assert demo.returncode == 0, words
    assert processes_of(mark) == []
    return out, words


def test_it_ends_with_the_numbers_and_where_to_look(demo_output):
    out, words = demo_output
    assert re.search(rf"frames processed +\d+ of {FRAMES}\n", words)
    assert re.search(r"latency, median +[\d.]+ ms\n", words)
    assert words.rstrip().endswith(f"look at {out}/report.html")


def test_poses_metrics_and_report_agree(demo_output):
    out, _ = demo_output
    metrics = json.loads((out / "metrics.json").read_text())
    kitti, tum = read_poses(out / "odometry_kitti.txt"), read_poses(out / "odometry_tum.txt")
    assert metrics["frames_in"] == FRAMES
    assert 5 <= metrics["frames_processed"] == len(kitti.poses) == len(tum.poses) <= FRAMES
    assert np.isfinite(metrics["ate_7dof_m"])
    np.testing.assert_allclose(kitti.poses[0], np.eye(4), atol=1e-9)
    assert f"{metrics['ate_7dof_m']:.2f}" in (out / "report.html").read_text()


def test_the_node_is_heard_as_by_a_slam(demo_output):
    out, _ = demo_output
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["depth_images"] >= metrics["frames_processed"]
    assert metrics["transforms_checked"] >= metrics["frames_processed"] - 2
    assert metrics["transform_error"] < 1e-9
    assert len(metrics["model_sha256"]) == 64
    depth = [np.load(path) for path in sorted((out / "depth").glob("*.npy"))]
    assert depth
    assert all(np.nanmin(values) > 0 for values in depth)


def test_ctrl_c_ends_the_demo_and_its_children(demo_output, tmp_path):
    out, _ = demo_output
    assert open_sequence(out / "drive").poses is not None
    mark = uuid.uuid4().hex
    demo = start_demo(
        "--out", str(tmp_path), "--sequence", str(out / "drive"), "--rate", "2", mark=mark
    )
    deadline_s = time.monotonic() + DEADLINE_S
    while not any("kitti_player" in command for command in processes_of(mark)):
        assert demo.poll() is None, demo.communicate()[0]
        assert time.monotonic() < deadline_s
        time.sleep(0.1)
    os.kill(demo.pid, signal.SIGINT)
    words, _ = demo.communicate(timeout=DEADLINE_S)
    assert demo.returncode == 130, words
    assert words.rstrip().endswith("interrupted")
    assert "Traceback" not in words
    assert processes_of(mark) == []


def test_a_corrupt_image_ends_the_demo_with_the_players_words(demo_output, tmp_path):
    out, _ = demo_output
    corrupt = tmp_path / "drive"
    subprocess.run(["cp", "-r", str(out / "drive"), str(corrupt)], check=True)
    (corrupt / "image_2" / "000010.png").write_bytes(b"no image")
    demo = start_demo(
        "--out",
        str(tmp_path / "out"),
        "--sequence",
        str(corrupt),
        "--rate",
        "20",
        mark=uuid.uuid4().hex,
    )
    words, _ = demo.communicate(timeout=DEADLINE_S)
    assert demo.returncode == 2, words
    assert re.search(
        r"^error: the player failed with exit code 2; its log is .*kitti_player\.log",
        words,
        re.MULTILINE,
    )
    assert "000010.png" in words
    assert "Traceback" not in words
