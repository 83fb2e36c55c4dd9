"""Real runs of a small network on a small prepared data set."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from sfm_odometry.checkpoint import load_model, read_provenance
from sfm_odometry.errors import InputError
from training.config import TrainConfig, load_config
from training.data import FORMAT, VERSION
from training.train import main
from training.trainer import learning_rate

REPOSITORY = Path(__file__).resolve().parents[2]

RECIPE = """
model:
  width: 64
  height: 32
  depth: {image_channels: 1, encoder_widths: [4, 8, 8], encoder_kernels: [3, 3, 3], decoder_widths: [8, 8, 4], scales: 2}
  pose:
    {image_channels: 1, encoder_widths: [4, 8, 8, 8, 8], pose_widths: [8],
     mask_widths: [8, 8, 8, 4, 4], mask_kernels: [3, 3, 3, 3, 3], mask_scales: 2}
objective: {scales: 2}
augment: {flip: true, noise: 0.01, brightness: 0.1}
steps: 6
batch_size: 2
log_every: 2
checkpoint_every: 3
validation_scenes: ["held_out*"]
device: cpu
"""


def write_scene(folder, seed):
    """A texture that slides two pixels a frame, in prepared form."""
    texture = np.random.default_rng(seed).integers(0, 256, (32, 96, 1), np.uint8)
    folder.mkdir(parents=True)
    np.save(folder / "frames.npy", np.stack([texture[:, 2 * index : 2 * index + 64] for index in range(10)]))
    description = {
        "frame_numbers": list(range(10)),
        "width": 64,
        "height": 32,
        "channels": 1,
        "intrinsics": [[40.0, 0.0, 31.5], [0.0, 40.0, 15.5], [0.0, 0.0, 1.0]],
        "has_depth": False,
        "has_motion_mask": False,
        "has_poses": False,
        "poses_supervise": False,
        "resize_mode": "crop",
    }
    (folder / "scene.json").write_text(json.dumps(description))


@pytest.fixture
def data(tmp_path):
    for seed, name in enumerate(("drive", "held_out")):
        write_scene(tmp_path / "data" / name, seed)
    (tmp_path / "data" / "index.json").write_text(json.dumps({"format": FORMAT, "version": VERSION, "scenes": ["drive", "held_out"]}))
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    return tmp_path


def arguments(folder, out, *more):
    return ["--config", str(folder / "recipe.yaml"), "--data", str(folder / "data"), "--out", str(folder / out), *more]


def weights(path):
    return load_model(path).state_dict()


def same(first, second):
    return all(torch.equal(first[name], second[name]) for name in first)


def test_a_run_leaves_models_log_and_states(data):
    assert main(arguments(data, "run")) == 0
    run = data / "run"
    assert read_provenance(run / "latest.safetensors")["step"] == 6
    assert (run / "best.safetensors").is_file()
    entries = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert [entry["step"] for entry in entries if "loss" in entry] == [2, 4, 6]
    assert [entry["step"] for entry in entries if "validation" in entry] == [3, 6]
    assert len(list((run / "states").iterdir())) == 2
    assert json.loads((run / "config.json").read_text())["steps"] == 6


def test_a_resumed_run_equals_an_uninterrupted_one_bit_for_bit(data):
    assert main(arguments(data, "whole")) == 0
    assert main(arguments(data, "parts", "steps=3")) == 0
    assert main(arguments(data, "parts", "--resume")) == 0
    assert same(weights(data / "whole" / "latest.safetensors"), weights(data / "parts" / "latest.safetensors"))


def test_a_truncated_state_falls_back_to_the_one_before(data, capsys):
    assert main(arguments(data, "run", "steps=5")) == 0
    newest = sorted((data / "run" / "states").iterdir())[-1]
    newest.write_bytes(newest.read_bytes()[:1000])
    assert main(arguments(data, "run", "--resume")) == 0
    assert "cannot be read" in capsys.readouterr().out
    assert main(arguments(data, "whole")) == 0
    assert same(weights(data / "whole" / "latest.safetensors"), weights(data / "run" / "latest.safetensors"))


def test_a_folder_with_a_run_is_not_overwritten_unasked(data, capsys):
    assert main(arguments(data, "run")) == 0
    assert main(arguments(data, "run")) == 2
    assert "--resume" in capsys.readouterr().err


def test_init_from_starts_at_the_weights_of_a_model(data):
    assert main(arguments(data, "first")) == 0
    start = data / "first" / "latest.safetensors"
    assert main(arguments(data, "second", f"init_from={start}", "learning_rate=1e-12", "steps=1")) == 0
    before, after = weights(start), weights(data / "second" / "latest.safetensors")
    assert all(torch.allclose(before[name], after[name], atol=1e-6) for name in before)


def test_learning_lowers_the_loss(data):
    assert (
        main(arguments(data, "run", "steps=80", "log_every=20", "checkpoint_every=80", "learning_rate=0.002", "objective.explainability=0"))
        == 0
    )
    losses = [entry["loss"] for entry in map(json.loads, (data / "run" / "log.jsonl").read_text().splitlines()) if "loss" in entry]
    assert losses[-1] < 0.8 * losses[0]


def test_a_pose_network_is_warmed_up_without_the_depth_network(data):
    before = ["objective.photometric=0", "objective.smoothness=0", "objective.explainability=0", "objective.motion_supervision=1"]
    assert main(arguments(data, "start", "steps=1", "learning_rate=1e-12")) == 0
    for path in (data / "data").glob("*/scene.json"):
        path.write_text(
            path.read_text().replace('"has_poses": false, "poses_supervise": false', '"has_poses": true, "poses_supervise": true')
        )
        np.save(path.with_name("poses.npy"), np.stack([np.eye(4)] * 10))
    start = data / "start" / "latest.safetensors"
    assert main(arguments(data, "warm", *before, f"init_from={start}")) == 0
    old, new = weights(start), weights(data / "warm" / "latest.safetensors")
    assert all(torch.equal(old[name], new[name]) for name in old if name.startswith("depth_net"))
    assert not torch.equal(old["pose_net.encoder.0.0.weight"], new["pose_net.encoder.0.0.weight"])


def test_divergence_stops_with_a_word_and_keeps_the_last_good_state(data, capsys):
    assert main(arguments(data, "run")) == 0
    assert main(arguments(data, "run", "--resume", "steps=20", "learning_rate=1e30")) == 2
    assert "diverged" in capsys.readouterr().err
    assert len(list((data / "run" / "states").iterdir())) == 2


def test_an_interrupted_run_keeps_its_state_and_resumes(data):
    command = [sys.executable, "-m", "training.train", *arguments(data, "run", "steps=100000", "checkpoint_every=100000")]
    process = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"})
    while "loss" not in (line := process.stdout.readline()):
        assert line, "training ended before its first step"
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "--resume" in output
    reached = read_provenance(data / "run" / "latest.safetensors")["step"]
    assert reached >= 2
    assert main(arguments(data, "run", "--resume", f"steps={reached + 2}")) == 0


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("stesp=3",), "did you mean 'steps'"),
        (("steps=many",), "'steps' must be int, got 'many'"),
        (("objective.smoothness",), "expected key=value"),
        (("model.pose.masks=false",), "explainability"),
        (("device=cuda:7",), "cuda:7"),
        (("init_from=/nowhere.safetensors",), "no such model file"),
        (("data_weights=[1, 2]",), "data_weights"),
        (("model.width=128",), "scene drive is 64x32, but the model's input is 128x32"),
    ],
)
def test_wrong_settings_are_one_line_and_exit_two(data, capsys, more, message):
    assert main(arguments(data, "run", *more)) == 2
    error = capsys.readouterr().err.strip()
    assert message in error
    assert "\n" not in error


def test_missing_data_is_named(data, capsys):
    assert main([*arguments(data, "run"), "--data", str(data / "nowhere")]) == 2
    assert "nowhere" in capsys.readouterr().err


def test_the_recipes_that_ship_are_valid():
    recipes = sorted((REPOSITORY / "config" / "training").glob("*.yaml"))
    assert recipes
    for path in recipes:
        assert isinstance(load_config(path), TrainConfig)
    with pytest.raises(InputError, match=r"default\.yaml"):
        load_config(REPOSITORY / "config" / "training" / "default.yaml", ["batch_size=0"])


def test_the_cosine_falls_from_the_full_rate_to_a_fiftieth():
    config = TrainConfig(schedule="cosine", steps=100, learning_rate=1.0)
    assert learning_rate(config, 0) == 1.0
    assert learning_rate(config, 50) == pytest.approx(0.51)
    assert learning_rate(config, 100) == pytest.approx(0.02)
