"""The demo from its command line, on a short rendered drive, in real processes."""

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
DEADLINE_S = 900.0  # generous: other programs may keep the machine busy


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
    """Returns the command lines of the running processes of the demo with this mark."""
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
    """Folder and terminal output of one whole demo at a low rate."""
    out = tmp_path_factory.mktemp("demo") / "out"
    mark = uuid.uuid4().hex
    options = f"--frames {FRAMES} --size 208x64 --seed 3 --rate 5".split()
    demo = start_demo("--out", str(out), *options, mark=mark)
    text, _ = demo.communicate(timeout=DEADLINE_S)
    assert demo.returncode == 0, text
    assert processes_of(mark) == []
    return out, text


def test_the_summary_has_the_metrics_and_the_path_of_the_report(demo_output):
    out, text = demo_output
    assert re.search(rf"frames processed +\d+ of {FRAMES}\n", text)
    assert re.search(r"latency, median +[\d.]+ ms\n", text)
    assert text.rstrip().endswith(f"look at {out}/report.html")


def test_poses_metrics_and_report_agree(demo_output):
    out, _ = demo_output
    metrics = json.loads((out / "metrics.json").read_text())
    kitti = read_poses(out / "odometry_kitti.txt")
    tum = read_poses(out / "odometry_tum.txt")
    assert metrics["frames_in"] == FRAMES
    assert 5 <= metrics["frames_processed"] == len(kitti.poses) == len(tum.poses) <= FRAMES
    assert np.isfinite(metrics["ate_7dof_m"])
    np.testing.assert_allclose(kitti.poses[0], np.eye(4), atol=1e-9)
    assert f"{metrics['ate_7dof_m']:.2f}" in (out / "report.html").read_text()


def test_odometry_transforms_and_depth_are_recorded(demo_output):
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
    text, _ = demo.communicate(timeout=DEADLINE_S)
    assert demo.returncode == 130, text
    assert text.rstrip().endswith("interrupted")
    assert "Traceback" not in text
    assert processes_of(mark) == []


def test_a_corrupt_image_ends_the_demo_with_the_players_log(demo_output, tmp_path):
    out, _ = demo_output
    corrupt = tmp_path / "drive"
    subprocess.run(["cp", "-r", str(out / "drive"), str(corrupt)], check=True)
    (corrupt / "image_2" / "000010.png").write_bytes(b"no image")
    options = ["--out", str(tmp_path / "out"), "--sequence", str(corrupt), "--rate", "20"]
    demo = start_demo(*options, mark=uuid.uuid4().hex)
    text, _ = demo.communicate(timeout=DEADLINE_S)
    assert demo.returncode == 2, text
    assert re.search(
        r"^error: the player failed with exit code 2; its log is .*kitti_player\.log",
        text,
        re.MULTILINE,
    )
    assert "000010.png" in text
    assert "Traceback" not in text
