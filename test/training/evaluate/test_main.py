"""Command line of the evaluation: keys, notes, table, invalid input."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sfm_odometry.io.trajectories import write_kitti, write_tum
from training.evaluate.__main__ import main

REPOSITORY = Path(__file__).resolve().parents[3]

ODOMETRY_KEYS = [
    "t_err_percent",
    "r_err_deg_per_100m",
    "ate_m",
    "rpe_m",
    "rpe_deg",
    "scale",
    "frames",
]
ATE_KEYS = ["ate_sfmlearner_mean", "ate_sfmlearner_std", "rmse_mean", "snippets"]
SNIPPET_KEYS = [*ATE_KEYS, "ate_axes_aligned_mean", "axes_rotation_deg"]
DEPTH_KEYS = ["abs_rel", "sq_rel", "rmse", "rmse_log", "a1", "a2", "a3", "images"]


@pytest.fixture
def files(tmp_path, winding):
    """Folder with true poses, predictions at a tenth of the scale, and a depth folder.

    short.txt has one row too few, part.txt only the last frames, junk.txt no poses.
    """
    pred = winding.copy()
    pred[:, :3, 3] *= 0.1
    write_kitti(tmp_path / "gt.txt", winding)
    write_kitti(tmp_path / "pred.txt", pred)
    write_kitti(tmp_path / "short.txt", pred[:-1])
    write_kitti(tmp_path / "part.txt", pred[340:])
    write_tum(tmp_path / "gt.tum", np.arange(400) * 0.1, winding)
    write_tum(tmp_path / "pred.tum", np.arange(50, 250) * 0.1 + 0.004, pred[50:250])
    (tmp_path / "junk.txt").write_text("no trajectory\n")
    (tmp_path / "depth").mkdir()
    np.save(
        tmp_path / "depth" / "000000.npy", np.linspace(1, 50, 800, dtype=np.float32).reshape(20, 40)
    )
    return tmp_path


def scores_of(capsys, *arguments):
    assert main([str(argument) for argument in (*arguments, "--json")]) == 0
    captured = capsys.readouterr()
    assert captured.out.count("\n") == 1
    return json.loads(captured.out), captured.err


def test_odometry_prints_its_keys(files, capsys):
    scores, notes = scores_of(
        capsys, "odometry", "--gt", files / "gt.txt", "--pred", files / "pred.txt"
    )
    assert list(scores) == ODOMETRY_KEYS and notes == ""
    assert scores["scale"] == pytest.approx(10, rel=1e-6) and scores["frames"] == 400
    assert scores["t_err_percent"] == pytest.approx(0, abs=1e-4)


def test_odometry_without_alignment_measures_the_scale_error(files, capsys):
    poses = ("--gt", files / "gt.txt", "--pred", files / "pred.txt")
    scores, _ = scores_of(capsys, "odometry", *poses, "--align", "none")
    assert scores["scale"] == 1.0 and scores["t_err_percent"] > 80


def test_a_short_path_gives_null_and_a_note(files, capsys):
    poses = ("--gt", files / "gt.txt", "--pred", files / "part.txt")
    scores, notes = scores_of(capsys, "odometry", *poses, "--frames", 340, 399)
    assert scores["t_err_percent"] is None and scores["r_err_deg_per_100m"] is None
    assert scores["ate_m"] == pytest.approx(0, abs=1e-5) and scores["frames"] == 60
    assert "no segment of 100 m" in notes and notes.count("\n") == 1


def test_poses_are_paired_by_stamp(files, capsys):
    scores, notes = scores_of(
        capsys, "odometry", "--gt", files / "gt.tum", "--pred", files / "pred.tum"
    )
    assert scores["frames"] == 200 and scores["ate_m"] == pytest.approx(0, abs=1e-5)
    assert "200 moments are in both files, out of 400 true and 200 predicted poses" in notes


def test_snippets_print_their_keys(files, capsys):
    scores, _ = scores_of(
        capsys, "snippets", "--gt", files / "gt.txt", "--pred", files / "pred.txt"
    )
    assert list(scores) == SNIPPET_KEYS and scores["snippets"] == 396
    scores, _ = scores_of(
        capsys, "snippets", "--gt", files / "gt.txt", "--pred", files / "pred.txt", "--length", 3
    )
    assert scores["snippets"] == 398 and scores["rmse_mean"] == pytest.approx(0, abs=1e-6)


def test_snippets_of_mean_odometry(files, capsys):
    gt = files / "gt.txt"
    truth = ("--gt", gt, "--frames", 100, 199)
    scores, _ = scores_of(capsys, "snippets", *truth, "--mean-odometry-of", gt, gt)
    assert (
        list(scores) == ATE_KEYS
        and scores["snippets"] == 96
        and 0 < scores["ate_sfmlearner_mean"] < 0.1
    )


def test_depth_prints_its_keys(files, capsys):
    folders = ("--gt", files / "depth", "--pred", files / "depth")
    scores, _ = scores_of(capsys, "depth", *folders, "--cap", 50, "--crop", "eigen")
    assert list(scores) == DEPTH_KEYS and scores["images"] == 1 and scores["a1"] == 1.0


def test_the_table_has_one_aligned_line_a_score(files, capsys):
    poses = ["--gt", str(files / "gt.txt"), "--pred", str(files / "part.txt")]
    assert main(["odometry", *poses, "--frames", "340", "399"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ODOMETRY_KEYS
    assert lines[0].split()[1] == "-" and lines[-1].split()[1] == "60"
    ends_of_whole_part = {line.index(".") if "." in line else len(line) for line in lines}
    assert len(ends_of_whole_part) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["odometry", "--gt", "gt.txt", "--pred", "absent.txt"], "absent.txt: no such file"),
        (
            ["odometry", "--gt", "gt.txt", "--pred", "junk.txt"],
            "junk.txt, line 1: 'no' is not a number",
        ),
        (
            ["odometry", "--gt", "gt.txt", "--pred", "short.txt"],
            "short.txt: 399 poses, expected 400 as in gt.txt",
        ),
        (["odometry", "--gt", "gt.txt", "--pred", "depth"], "depth: cannot be read"),
        (
            ["odometry", "--gt", "gt.txt", "--pred", "pred.txt", "--frames", "390", "400"],
            "gt.txt: has frames 0 to 399, expected 390 to 400",
        ),
        (
            ["snippets", "--gt", "gt.txt", "--pred", "pred.txt", "--length", "401"],
            "no snippet of 401 consecutive frames among 400",
        ),
        (
            ["snippets", "--gt", "gt.txt", "--pred", "pred.txt", "--length", "0"],
            "snippets of 0 frames, expected at least 2",
        ),
        (
            ["snippets", "--gt", "gt.txt", "--mean-odometry-of", "absent.txt"],
            "absent.txt: no such file",
        ),
        (["depth", "--gt", "depth", "--pred", "absent"], "absent: no such folder"),
        (["depth", "--gt", "depth", "--pred", "gt.txt"], "gt.txt: is a file, expected a folder"),
        (["depth", "--gt", "depth", "--pred", "depth", "--cap", "-1"], "cap of -1 m"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(files, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(files)
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1
    assert captured.err.startswith("error: ") and message in captured.err


def run(folder, *arguments):
    command = [sys.executable, "-m", "training.evaluate", *arguments]
    environment = {"PYTHONPATH": str(REPOSITORY), "PATH": "/usr/bin:/bin"}
    return subprocess.run(
        command,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_command_in_a_process_of_its_own(files):
    done = run(files, "odometry", "--gt", "gt.txt", "--pred", "pred.txt", "--json")
    assert (
        done.returncode == 0
        and list(json.loads(done.stdout)) == ODOMETRY_KEYS
        and done.stderr == ""
    )
    refused = run(files, "odometry", "--gt", "gt.txt", "--pred", "short.txt", "--json")
    assert refused.returncode == 2 and refused.stdout == ""
    assert refused.stderr == "error: short.txt: 399 poses, expected 400 as in gt.txt\n"
    unknown = run(files, "odometry", "--gt", "gt.txt", "--pred", "pred.txt", "--align", "sim3")
    assert (
        unknown.returncode == 2
        and "invalid choice: 'sim3'" in unknown.stderr
        and "Traceback" not in unknown.stderr
    )


def test_a_published_trajectory_from_the_command_line(kitti, capsys):
    poses = ("--gt", kitti / "odometry/poses/10.txt", "--pred", kitti / "peers/trianflow/10.txt")
    scores, _ = scores_of(capsys, "odometry", *poses)
    assert round(scores["t_err_percent"], 3) == 13.497
    assert round(scores["r_err_deg_per_100m"], 3) == 6.008
    assert round(scores["ate_m"], 2) == 22.07
