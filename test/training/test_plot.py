"""Curves of synthetic logs and of a run."""

import json

import cv2
import numpy as np
import pytest

from training.plot import MAX_POINTS, draw, labels, main, read_curves, smoothed


def write_log(run, entries):
    run.mkdir(parents=True)
    (run / "log.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    return run


ENTRIES = [
    {
        "step": 2,
        "loss": 3.0,
        "terms": {"photometric": 1.0, "smoothness": 2.0},
        "learning_rate": 1e-4,
        "samples_per_s": 7.0,
    },
    {"step": 3, "validation": {"loss": 2.5, "abs_rel": 0.3}},
    {
        "step": 4,
        "loss": 1.5,
        "terms": {"photometric": 0.5, "smoothness": 1.0},
        "learning_rate": 5e-5,
        "samples_per_s": 8.0,
    },
]


def test_every_quantity_of_a_log_is_a_curve(tmp_path):
    curves = read_curves(write_log(tmp_path / "run", ENTRIES))
    assert set(curves) == {
        "loss",
        "terms: photometric",
        "terms: smoothness",
        "validation: loss",
        "validation: abs_rel",
        "learning_rate",
        "samples_per_s",
    }
    assert (curves["terms: photometric"].steps, curves["terms: photometric"].values) == (
        [2, 4],
        [1.0, 0.5],
    )
    assert (curves["validation: abs_rel"].steps, curves["validation: abs_rel"].values) == (
        [3],
        [0.3],
    )


def test_runs_share_sorted_panels_and_lines_have_their_values(tmp_path):
    first = read_curves(write_log(tmp_path / "first", ENTRIES))
    second = read_curves(
        write_log(tmp_path / "second", [{**ENTRIES[0], "terms": {"geometry": 4.0}}])
    )
    panels = draw({"first": first, "second": second}).axes
    titles = [axes.get_title(loc="left") for axes in panels]
    assert titles[:4] == ["loss", "terms: geometry", "terms: photometric", "terms: smoothness"]
    assert titles[4:6] == ["validation: abs rel", "validation: loss"]
    assert panels[0].lines[0].get_xydata().tolist() == [[2, 3.0], [4, 1.5]]
    assert panels[0].lines[1].get_xydata().tolist() == [[2, 3.0]]
    assert len(panels[1].lines[0].get_xdata()) == 0, "the first run has no such term"


def test_smoothing_preserves_a_line_and_halves_noise():
    ramp = np.linspace(0.0, 10.0, 400)
    half = 400 // MAX_POINTS
    np.testing.assert_allclose(smoothed(ramp)[half:-half], ramp[half:-half], atol=1e-9)
    noise = np.random.default_rng(0).normal(size=400)
    assert smoothed(noise).std() < 0.5 * noise.std()
    few = noise[:MAX_POINTS]
    np.testing.assert_array_equal(smoothed(few), few)


def test_runs_of_the_same_name_are_labelled_by_their_paths(tmp_path):
    runs = [tmp_path / "a" / "run", tmp_path / "b" / "run", tmp_path / "c"]
    assert labels(runs) == [str(runs[0]), str(runs[1]), "c"]


def test_the_command_draws_one_run_or_two(runs, tmp_path, capsys):
    assert runs.train("run") == 0
    other = write_log(tmp_path / "other", ENTRIES)
    assert main([str(runs.folder / "run")]) == 0
    assert cv2.imread(str(runs.folder / "run" / "curves.png")) is not None
    assert (
        main([str(runs.folder / "run"), str(other), "--out", str(tmp_path / "plots" / "both.svg")])
        == 0
    )
    assert "<svg" in (tmp_path / "plots" / "both.svg").read_text()
    assert capsys.readouterr().out.splitlines()[-1] == str(tmp_path / "plots" / "both.svg")


def test_an_incomplete_last_line_is_ignored(tmp_path):
    run = write_log(tmp_path / "run", ENTRIES)
    with (run / "log.jsonl").open("a") as log:
        log.write('{"step": 6, "lo')
    assert read_curves(run)["loss"].steps == [2, 4]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "log.jsonl: cannot be read"),
        ("", "its log has no entry yet"),
        ('{"step": 1, "loss": 1}\nnot JSON\n{"step": 2, "loss": 1}\n', "log.jsonl, line 2"),
        ('{"loss": 1}\n{"step": 2, "loss": 1}\n', "line 1: no 'step'"),
    ],
)
def test_unreadable_logs_are_reported_in_one_line_with_exit_code_two(
    tmp_path, capsys, text, message
):
    if text is not None:
        (tmp_path / "log.jsonl").write_text(text)
    assert main([str(tmp_path)]) == 2
    error = capsys.readouterr().err.strip()
    assert message in error
    assert "\n" not in error


def test_an_unknown_picture_format_is_refused(tmp_path, capsys):
    assert (
        main([str(write_log(tmp_path / "run", ENTRIES)), "--out", str(tmp_path / "curves.xyz")])
        == 2
    )
    assert "curves.xyz" in capsys.readouterr().err
