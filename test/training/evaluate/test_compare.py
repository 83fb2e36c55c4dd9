"""Comparison of several predictions: JSON, table, figure, invalid input."""

import json

import cv2
import numpy as np
import pytest

from sfm_odometry.io.trajectories import write_kitti
from training.evaluate.__main__ import main
from training.evaluate.odometry import (
    evaluate_odometry,
    segment_errors,
    segments,
    translation_error_by_length,
)
from training.evaluate.snippets import evaluate_mean_odometry, evaluate_snippets
from training.figures import COLOURS


@pytest.fixture
def drive(tmp_path, winding):
    """Folder with gt.txt and two predictions, one of them at a tenth of the scale and noisy."""
    noisy = winding.copy()
    noisy[:, :3, 3] = 0.1 * (noisy[:, :3, 3] + np.random.default_rng(0).normal(size=(400, 3)) * 0.1)
    write_kitti(tmp_path / "gt.txt", winding)
    write_kitti(tmp_path / "noisy.txt", noisy)
    write_kitti(tmp_path / "same.txt", winding)
    return tmp_path


def compare(capsys, *arguments):
    assert main(["compare", *map(str, arguments)]) == 0
    return capsys.readouterr().out


def test_json_agrees_with_the_other_commands(drive, capsys):
    gt = drive / "gt.txt"
    predictions = (drive / "noisy.txt", f"mine={drive}/same.txt")
    found = json.loads(compare(capsys, "--gt", gt, "--pred", *predictions, "--json"))
    assert list(found["results"]) == ["noisy", "mine", "mean odometry"]
    for name, file in (("noisy", "noisy.txt"), ("mine", "same.txt")):
        for command in ("odometry", "snippets"):
            assert main([command, "--gt", str(gt), "--pred", str(drive / file), "--json"]) == 0
            expected = json.loads(capsys.readouterr().out)
            assert {key: found["results"][name][key] for key in expected} == expected
    # Curves by turning and by length.
    turning = found["by_turning"]
    length = found["by_length"]
    bins = len(turning["edges_m"]) - 1
    assert bins == len(turning["snippets"]) == len(turning["ate_sfmlearner_mean"]["noisy"])
    assert length["lengths_m"][:3] == [100, 200, 300]
    assert length["t_err_percent"]["noisy"][7] is None  # 480 m hold no 800 m
    assert "mean odometry" not in length["t_err_percent"]


def test_baseline_of_other_drives(drive, capsys, winding):
    straight = np.tile(np.eye(4), (10, 1, 1))
    straight[:, 2, 3] = np.arange(10)
    write_kitti(drive / "other.txt", straight)
    poses = ("--gt", drive / "gt.txt", "--pred", drive / "same.txt")
    found = json.loads(compare(capsys, *poses, "--mean-odometry-of", drive / "other.txt", "--json"))
    expected = evaluate_mean_odometry(winding, [straight])["ate_sfmlearner_mean"]
    assert found["results"]["mean odometry"]["ate_sfmlearner_mean"] == pytest.approx(
        expected, rel=1e-6
    )


def test_table_has_one_line_for_each_method(drive, capsys):
    lines = compare(
        capsys, "--gt", drive / "gt.txt", "--pred", drive / "noisy.txt", drive / "same.txt"
    ).splitlines()
    assert [line.split()[0] for line in lines] == ["t_err_percent", "noisy", "same", "mean"]
    assert len({len(line) for line in lines}) == 1


def colours_in(path):
    image = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
    found = np.unique(image @ [1 << 16, 1 << 8, 1])  # sorting rows of three takes seconds
    return {(code >> 16, code >> 8 & 255, code & 255) for code in found.tolist()}, image.shape


def rgb(colour):
    return tuple(int(colour[k : k + 2], 16) for k in (1, 3, 5))


@pytest.mark.parametrize("frames", [(0, 399), (0, 60)])
def test_figure_shows_every_method(drive, capsys, frames):
    truth = ("--gt", drive / "gt.txt", "--frames", *frames)
    predictions = (drive / "noisy.txt", drive / "same.txt")
    compare(capsys, *truth, "--pred", *predictions, "--plot", drive / "picture.png")
    colours, (height, width, _) = colours_in(drive / "picture.png")
    assert {rgb(COLOURS[0]), rgb(COLOURS[1])} <= colours and rgb(COLOURS[2]) not in colours
    assert (width, height) == (1280, 700)


def test_a_wide_drive_is_drawn_above_its_errors(drive, capsys, winding):
    sideways = np.eye(4)
    sideways[:3, :3] = [[0, 0, 1], [0, 1, 0], [-1, 0, 0]]
    # The camera looks across the direction of travel, so the drive goes sideways.
    wide = drive / "wide.txt"
    write_kitti(wide, winding @ sideways)
    compare(capsys, "--gt", wide, "--pred", wide, "--plot", drive / "picture.png")
    assert colours_in(drive / "picture.png")[1] == (860, 1280, 3)


def refused(capsys, *arguments):
    assert main(["compare", *map(str, arguments)]) == 2
    captured = capsys.readouterr()
    assert (
        captured.out == "" and captured.err.count("\n") == 1 and captured.err.startswith("error: ")
    )
    return captured.err


def test_bad_input_is_one_line_and_exit_code_2(drive, capsys):
    gt = ("--gt", drive / "gt.txt", "--pred")
    assert "absent.txt: no such file" in refused(capsys, *gt, f"mine={drive}/absent.txt")
    assert "another result is called 'same'" in refused(
        capsys, *gt, drive / "same.txt", f"same={drive}/noisy.txt"
    )
    assert "another result is called 'mean odometry'" in refused(
        capsys, *gt, f"mean odometry={drive}/same.txt"
    )
    assert "expected a name that ends in .png" in refused(
        capsys, *gt, drive / "same.txt", "--plot", drive / "picture.jpg"
    )
    assert "absent/p.png: cannot be written" in refused(
        capsys, *gt, drive / "same.txt", "--plot", drive / "absent/p.png"
    )


def test_drift_by_length_averages_the_segments_of_that_length(winding):
    pred = winding.copy()
    pred[:, :3, 3] *= np.linspace(1, 1.2, 400)[:, None]
    by_length = translation_error_by_length(winding, pred)
    assert np.isnan(by_length[4:]).all() and np.isfinite(by_length[:4]).all()  # 480 m
    t_err, _ = segment_errors(winding, pred)
    _, _, lengths_m = segments(winding)
    weights = [np.count_nonzero(lengths_m == length) for length in (100, 200, 300, 400)]
    assert np.average(by_length[:4], weights=weights) == pytest.approx(100 * t_err.mean())
    assert evaluate_odometry(winding, pred, "none")["t_err_percent"] == pytest.approx(
        100 * t_err.mean()
    )
    assert evaluate_snippets(winding, pred)["snippets"] == 396


def test_scores_of_published_trajectories(kitti, capsys, tmp_path):
    for sequence, t_err, ate in (("09", 9.948, 0.0969), ("10", 13.497, 0.0932)):
        gt = kitti / f"odometry/poses/{sequence}.txt"
        pred = f"TrianFlow={kitti}/peers/trianflow/{sequence}.txt"
        found = json.loads(compare(capsys, "--gt", gt, "--pred", pred, "--json"))
        scores = found["results"]["TrianFlow"]
        assert round(scores["t_err_percent"], 3) == t_err
        assert round(scores["ate_sfmlearner_mean"], 4) == ate
