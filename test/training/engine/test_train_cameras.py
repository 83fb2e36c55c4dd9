"""Runs with learned intrinsics."""

import json

import pytest
import torch

from sfm_odometry.inference.checkpoint import read_provenance

SETTINGS = ("learn_intrinsics=true", "learning_rate=0.01", "objective.explainability=0")


@pytest.fixture
def unknown(runs):
    """Runs on data with a single, uncalibrated camera."""
    for path in runs.data.glob("*/scene.json"):
        description = json.loads(path.read_text())
        path.write_text(
            json.dumps({**description, "camera_name": "phone", "intrinsics_known": False})
        )
    return runs


def cameras(runs, run):
    return json.loads((runs.folder / run / "cameras.json").read_text())


def test_intrinsics_are_learned_and_written(unknown):
    assert unknown.train("run", *SETTINGS) == 0
    (phone,) = cameras(unknown, "run")
    assert phone["name"] == "phone" and not phone["known"]
    assert phone["fx"] != 40.0
    assert (
        read_provenance(unknown.folder / "run" / "latest.safetensors")["cameras"]["phone"]["fx"]
        == phone["fx"]
    )
    assert phone["fx"] == pytest.approx(40.0, rel=0.07), "six steps of 0.01"
    assert unknown.train("fixed", *SETTINGS, "intrinsics_rate=0") == 0
    assert cameras(unknown, "fixed")[0]["fx"] == 40.0


def test_a_resumed_run_continues_with_its_cameras_bit_for_bit(unknown):
    assert unknown.train("whole", *SETTINGS) == 0
    assert unknown.train("parts", *SETTINGS, "steps=3") == 0
    assert unknown.train("parts", *SETTINGS, "--resume") == 0
    assert cameras(unknown, "whole") == cameras(unknown, "parts")
    whole = unknown.weights("whole")
    parts = unknown.weights("parts")
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


def test_calibrated_cameras_are_not_learned(runs, unknown, capsys):
    assert unknown.train("run", *SETTINGS) == 0
    assert unknown.train("run", "--resume", "steps=8") == 2
    assert "'learn_intrinsics' is False, but the run was begun with True" in capsys.readouterr().err
    for path in unknown.data.glob("*/scene.json"):
        path.write_text(
            path.read_text().replace('"intrinsics_known": false', '"intrinsics_known": true')
        )
    assert runs.train("known", *SETTINGS) == 2
    assert "all 1 cameras are calibrated" in capsys.readouterr().err
