"""Runs of a small network on small prepared data: written files and refused settings."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from sfm_odometry.errors import InputError
from sfm_odometry.inference.checkpoint import read_provenance
from training.config import TrainConfig, load_config
from training.data.index import FORMAT, VERSION
from training.engine.optimiser import learning_rate
from training.train import main

RECIPES = sorted((Path(__file__).resolve().parents[2] / "config" / "training").glob("*.yaml"))


def test_a_run_writes_models_log_and_states(runs):
    assert runs.train("run") == 0
    run = runs.folder / "run"
    assert read_provenance(run / "latest.safetensors")["step"] == 6
    assert (run / "best.safetensors").is_file()
    entries = runs.log("run")
    assert [entry["step"] for entry in entries if "loss" in entry] == [2, 4, 6]
    assert [entry["step"] for entry in entries if "validation" in entry] == [3, 6]
    assert entries[0]["loss"] == pytest.approx(sum(entries[0]["terms"].values()))
    assert entries[0]["samples_per_s"] > 0
    assert [path.name for path in sorted((run / "states").iterdir())] == [
        "step_00000003.pt",
        "step_00000006.pt",
    ]
    assert json.loads((run / "config.json").read_text())["steps"] == 6


def test_the_best_model_has_the_smallest_validation_loss(runs):
    assert runs.train("run", "steps=12", "checkpoint_every=2", "learning_rate=0.02") == 0
    validation = {
        entry["step"]: entry["validation"]["loss"]
        for entry in runs.log("run")
        if "validation" in entry
    }
    provenance = read_provenance(runs.folder / "run" / "best.safetensors")
    assert provenance["step"] == min(validation, key=validation.__getitem__)
    assert provenance["validation"]["loss"] == min(validation.values())


def test_only_the_last_states_are_kept(runs):
    assert runs.train("run", "checkpoint_every=1", "keep_checkpoints=3") == 0
    states = sorted((runs.folder / "run" / "states").iterdir())
    assert [path.name for path in states] == [f"step_{step:08d}.pt" for step in (4, 5, 6)]


def test_training_lowers_the_loss(runs):
    settings = [
        "steps=80",
        "log_every=20",
        "checkpoint_every=80",
        "learning_rate=0.002",
        "objective.explainability=0",
    ]
    assert runs.train("run", *settings) == 0
    losses = list(runs.losses("run").values())
    assert losses[-1] < 0.8 * losses[0]


def test_bfloat16_and_float32_train_alike_up_to_rounding(runs):
    settings = ["steps=8", "log_every=8", "learning_rate=0.002"]
    assert runs.train("full", *settings) == 0
    assert runs.train("half", *settings, "precision=bfloat16") == 0
    full = runs.losses("full")[8]
    half = runs.losses("half")[8]
    assert half != full
    assert half == pytest.approx(full, rel=0.02)


def test_precision_auto_is_measured_once_and_kept_when_resumed(runs, capsys):
    assert runs.train("run", "precision=auto") == 0
    assert capsys.readouterr().out.count("times as long as float32 on") == 1
    settled = json.loads((runs.folder / "run" / "config.json").read_text())["precision"]
    assert settled in ("float32", "bfloat16")
    assert runs.train("run", "precision=auto", "steps=8", "--resume") == 0
    assert "times as long" not in capsys.readouterr().out
    assert json.loads((runs.folder / "run" / "config.json").read_text())["precision"] == settled


def test_tightly_clipped_gradients_hardly_change_the_weights(runs):
    assert runs.train("free", "steps=3") == 0
    assert runs.train("loose", "steps=3", "gradient_clip=1e9") == 0
    assert runs.train("tight", "steps=3", "gradient_clip=1e-9") == 0
    free, loose, tight = (runs.weights(run) for run in ("free", "loose", "tight"))
    assert all(torch.equal(free[name], loose[name]) for name in free)
    # Adam divides by the gradient's magnitude plus an epsilon of 1e-8, beside which such small
    # gradients hardly change the weights.
    assert runs.train("start", "steps=1", "learning_rate=1e-12") == 0
    start = runs.weights("start")
    moved = [
        max(float((weights[name] - start[name]).abs().max()) for name in start)
        for weights in (free, tight)
    ]
    assert moved[1] < 0.3 * moved[0]


def test_init_from_starts_at_the_weights_of_a_model(runs):
    assert runs.train("first") == 0
    start = runs.folder / "first" / "latest.safetensors"
    assert runs.train("second", f"init_from={start}", "learning_rate=1e-12", "steps=1") == 0
    before = runs.weights("first")
    after = runs.weights("second")
    assert all(torch.allclose(before[name], after[name], atol=1e-6) for name in before)


def test_init_from_accepts_networks_trained_on_images_of_another_size(runs):
    assert runs.train("first", "steps=3") == 0
    for path in runs.data.glob("*/scene.json"):
        path.write_text(path.read_text().replace('"width": 64', '"width": 48'))
        np.save(path.with_name("frames.npy"), np.load(path.with_name("frames.npy"))[:, :, :48])
    start = runs.folder / "first" / "latest.safetensors"
    assert (
        runs.train(
            "second", "model.width=48", f"init_from={start}", "learning_rate=1e-12", "steps=1"
        )
        == 0
    )
    before = runs.weights("first")
    after = runs.weights("second")
    assert all(torch.allclose(before[name], after[name], atol=1e-6) for name in before)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("model.image_mean=0.4", "model.image_mean is 0.5, the configuration's is 0.4"),
        ("model.resize_mode=pad", "model.resize_mode is crop, the configuration's is pad"),
        (
            "model.depth.encoder_widths=[4, 8, 16]",
            "model.depth.encoder_widths is (4, 8, 8), the configuration's is (4, 8, 16)",
        ),
        ("model.pose.frames=3", "model.pose.frames is 5, the configuration's is 3"),
    ],
)
def test_init_from_reports_the_setting_of_other_networks(runs, capsys, setting, message):
    assert runs.train("first", "steps=1") == 0
    assert (
        runs.train("second", setting, f"init_from={runs.folder / 'first' / 'latest.safetensors'}")
        == 2
    )
    assert message in capsys.readouterr().err


def test_a_pose_network_is_trained_without_the_depth_network(runs):
    before = [
        "objective.photometric=0",
        "objective.smoothness=0",
        "objective.explainability=0",
        "objective.motion_supervision=1",
    ]
    assert runs.train("start", "steps=1", "learning_rate=1e-12") == 0
    runs.add_truth(depth=np.ones((1, 1, 1)), poses=np.eye(4))
    assert (
        runs.train("warm", *before, f"init_from={runs.folder / 'start' / 'latest.safetensors'}")
        == 0
    )
    old = runs.weights("start")
    new = runs.weights("warm")
    assert all(torch.equal(old[name], new[name]) for name in old if name.startswith("depth_net"))
    assert not torch.equal(old["pose_net.encoder.0.0.weight"], new["pose_net.encoder.0.0.weight"])


def test_a_share_of_the_scenes_is_held_out_without_patterns(runs):
    assert runs.train("run", "validation_scenes=[]", "validation_fraction=0.5") == 0
    assert any("validation" in entry for entry in runs.log("run"))


def test_without_held_out_scenes_there_is_no_validation(runs, capsys):
    assert runs.train("run", "validation_scenes=[]") == 0
    assert "no validation" in capsys.readouterr().out
    assert not (runs.folder / "run" / "best.safetensors").exists()


def test_why_there_is_no_validation_is_said(runs, capsys):
    for more, message in (
        (
            ["validation_scenes=['none*']"],
            "no scene matches validation_scenes ['none*'], the",
        ),
        (["validation_scenes=[]"], "validation_scenes is empty, and validation_fraction is 0"),
    ):
        assert runs.train(f"run{len(message)}", "steps=1", *more) == 0
        assert f"no validation: {message}" in capsys.readouterr().out
    (runs.data / "index.json").write_text(
        json.dumps({"format": FORMAT, "version": VERSION, "scenes": ["drive"]})
    )
    assert runs.train("one", "steps=1", "validation_scenes=[]", "validation_fraction=0.1") == 0
    printed = capsys.readouterr().out
    assert "no validation: there is one drive only, and it is learned from" in printed


def test_settings_among_the_folders_of_data_are_settings(runs, capsys):
    arguments = ["--config", str(runs.recipe), "--out", str(runs.folder / "run"), "--data"]
    assert main([*arguments, str(runs.data), "steps=1", "objective.smoothness=0.2"]) == 0
    config = json.loads((runs.folder / "run" / "config.json").read_text())
    assert (config["steps"], config["objective"]["smoothness"]) == (1, 0.2)
    assert main([*arguments, str(runs.data), "stesp=1"]) == 2
    assert "did you mean 'steps'" in capsys.readouterr().err
    assert main([*arguments, "steps=1"]) == 2
    assert "no folder, expected prepared data" in capsys.readouterr().err
    # A folder that is called so is a folder.
    strange = runs.folder / "data=1"
    runs.data.rename(strange)
    arguments[3] = str(runs.folder / "other")
    assert main([*arguments, str(strange), "steps=1"]) == 0


@pytest.mark.parametrize(("width", "height"), [(70, 34), (33, 45), (100, 60)])
def test_networks_learn_from_images_of_any_size(runs, width, height):
    runs.resize(width, height)
    size = (f"model.width={width}", f"model.height={height}")
    masks = ("objective.explainability=0.2", "pictures_every=1", "steps=1")
    assert runs.train("stacked", *size, *masks) == 0
    matching = (
        "model.pose={kind: matching, image_channels: 1, frames: 3, feature_widths: [4, 8], "
        "motion_widths: [8, 8], mask_widths: [8, 4, 4]}"
    )
    assert runs.train("matching", *size, *masks, matching) == 0
    losses = [entry["loss"] for entry in runs.log("matching") if "loss" in entry]
    assert losses and np.isfinite(losses).all()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("model.height=16",), "'model.height' must be at least 32, got 16"),
        (("model.width=-3",), "'model.width' must be at least 32, got -3"),
        (
            (
                "objective.explainability=0.2",
                "model.pose.mask_widths=[8, 8, 8, 4]",
                "model.pose.mask_kernels=[3, 3, 3, 3]",
            ),
            "masks begin at 1/2 of the image, but depth at 1/1",
        ),
        (("stesp=3",), "did you mean 'steps'"),
        (("steps=many",), "'steps' must be int, got 'many'"),
        (("objective.smoothness",), "expected key=value"),
        (("model.pose.masks=false",), "explainability"),
        (("device=cuda:7",), "cuda:7"),
        (("init_from=/nowhere.safetensors",), "no such model file"),
        (("data_weights=[1, 2]",), "data_weights"),
        (("model.width=128",), "scene drive is 64x32, but the model's input is 128x32"),
        (
            ("validation_fraction=1.5",),
            "'validation_fraction' must be 0 or more and less than 1, got 1.5",
        ),
        (("gradient_clip=-1",), "'gradient_clip' must be 0 or more, got -1"),
        (("data_weights=[1",), "'data_weights=[1': the value is not YAML"),
        (("steps.more=3",), "'steps' is not a group of settings"),
        (
            ("precision=float16",),
            "'precision' must be one of auto, float32, bfloat16, "
            "got 'float16': did you mean 'bfloat16'?",
        ),
    ],
)
def test_wrong_settings_are_reported_in_one_line_with_exit_code_two(runs, capsys, more, message):
    assert runs.train("run", *more) == 2
    error = capsys.readouterr().err.strip()
    assert message in error
    assert "\n" not in error


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"- steps", "expected settings"), (b"steps: [", "not YAML"), (b"steps: \xff", "not YAML")],
)
def test_an_invalid_recipe_is_reported_with_its_path(tmp_path, content, message):
    (tmp_path / "recipe.yaml").write_bytes(content)
    with pytest.raises(InputError, match=rf"recipe\.yaml: .*{message}"):
        load_config(tmp_path / "recipe.yaml", ["steps=3"])


def test_validation_uses_at_most_the_configured_snippets(runs):
    assert runs.train("all", "steps=1") == 0
    assert runs.train("some", "steps=1", "validation_snippets=2") == 0
    everything, some = (runs.log(run)[-1]["validation"]["loss"] for run in ("all", "some"))
    assert some != everything


def test_missing_data_is_reported_with_its_path(runs, capsys):
    assert runs.train("run", "--data", str(runs.data / "nowhere")) == 2
    assert "nowhere" in capsys.readouterr().err


@pytest.mark.parametrize("path", RECIPES, ids=[path.stem for path in RECIPES])
def test_the_packaged_recipes_are_valid(path):
    assert isinstance(load_config(path), TrainConfig)
    with pytest.raises(InputError, match=path.name):
        load_config(path, ["batch_size=0"])


def test_the_cosine_falls_from_the_full_rate_to_a_fiftieth():
    config = TrainConfig(schedule="cosine", steps=100, learning_rate=1.0)
    assert learning_rate(config, 0) == 1.0
    assert learning_rate(config, 50) == pytest.approx(0.51)
    assert learning_rate(config, 100) == pytest.approx(0.02)
