"""Benchmark of training steps: equal objectives, throughput table, waiting for data."""

import json
from dataclasses import replace
from functools import partial

import pytest
import torch
import yaml

from benchmarks.training import steps
from benchmarks.training.__main__ import main
from benchmarks.training.data_wait import data_wait
from benchmarks.training.random_dataset import random_sampler, snippets_per_s
from benchmarks.training.steps import (
    compact_config,
    make_learner,
    papers_config,
    plain_step,
    random_batch,
)
from benchmarks.training.throughput import (
    QUICK_KINDS,
    MarkdownTable,
    ThroughputConfig,
    ThroughputRow,
    planned_rows,
)
from training.config import load_config
from training.engine import precision

CPU = torch.device("cpu")
NARROWING = 4


@pytest.fixture(autouse=True)
def small_images(monkeypatch):
    """Use images of a sixteenth of the size, also to measure the precisions.

    The networks take any.
    """
    monkeypatch.setattr(steps, "WIDTH", 104)
    monkeypatch.setattr(steps, "HEIGHT", 32)
    monkeypatch.setattr(precision, "MAX_CPU_SIZE", (32, 104))


@pytest.fixture
def narrow_networks(monkeypatch, tmp_path):
    """Use the papers' networks at a quarter of their widths, where only their steps count."""
    config = load_config(steps.CONFIGS / "sfmlearner.yaml").model
    groups = {"depth": ("encoder", "decoder"), "pose": ("encoder", "pose", "mask")}
    widths = {
        network: {
            f"{name}_widths": [
                width // NARROWING for width in getattr(getattr(config, network), f"{name}_widths")
            ]
            for name in names
        }
        for network, names in groups.items()
    }
    for path in steps.CONFIGS.glob("*.yaml"):
        recipe = yaml.safe_load(path.read_text())
        if path.stem == "sfmlearner":
            for network, values in widths.items():
                recipe["model"][network] |= values
        (tmp_path / path.name).write_text(yaml.safe_dump(recipe))
    monkeypatch.setattr(steps, "CONFIGS", tmp_path)
    for name in ("PlainDispNet", "PlainPoseExpNet"):
        monkeypatch.setattr(steps, name, partial(getattr(steps, name), narrowing=NARROWING))


@pytest.mark.parametrize("frames", [3, 5])
def test_the_plain_step_has_the_same_loss_and_gradients_as_ours(frames):
    config = replace(papers_config(frames), precision="float32")
    learner, _ = make_learner(config, CPU)
    plain = plain_step(config, CPU, 2).run
    plain.copy_weights(learner.model)
    ours = sum(learner.evaluate(random_batch(config, 2).to(CPU))[2].values())
    theirs = plain.loss()
    assert float(ours.detach()) == pytest.approx(float(theirs.detach()), rel=1e-5)
    ours.backward()
    theirs.backward()
    for mine, other in (
        (learner.model.depth_net, plain.depth_net),
        (learner.model.pose_net, plain.pose_net),
    ):
        for parameter, same in zip(mine.parameters(), other.parameters(), strict=True):
            assert float((parameter.grad - same.grad).norm()) <= 0.02 * float(same.grad.norm())


@pytest.mark.usefixtures("narrow_networks")
def test_both_steps_reduce_the_loss():
    config = replace(papers_config(3), learning_rate=1e-4, precision="float32")
    plain = plain_step(config, CPU, 1).run
    first, *_, last = [plain() for _ in range(3)]
    assert last < first
    learner, optimiser = make_learner(config, CPU)
    batch = random_batch(config, 1).to(CPU)
    losses = []
    for step in range(3):
        losses.append(sum(learner.evaluate(batch)[2].values()))
        optimiser.step(losses[-1], step)
    assert losses[-1] < losses[0]


def test_all_steps_have_the_same_objective():
    assert papers_config(5).objective == compact_config(5).objective
    assert papers_config(5).model.pose.frames == compact_config(5).model.pose.frames == 5


@pytest.mark.usefixtures("narrow_networks")
def test_samples_per_second_and_ratios_are_printed(monkeypatch, capsys):
    monkeypatch.setattr(
        "benchmarks.training.__main__.snippets_per_s", partial(snippets_per_s, seconds=0.1)
    )
    monkeypatch.setattr("benchmarks.training.__main__.BATCH", 1)  # to be quick
    assert (
        main(["--frames", "3", "--steps", "1", "--rounds", "1", "--device", "cpu", "--json"]) == 0
    )
    result = json.loads(capsys.readouterr().out)
    figures_of = result["3 frames"]["steps"]
    assert len(figures_of) == 3
    assert figures_of["plain eager step"]["times_plain"] == 1.0
    assert all(figures["samples_per_s"] > 0 for figures in figures_of.values())
    assert result["3 frames"]["data_snippets_per_s"] > 0


@pytest.mark.usefixtures("narrow_networks")
def test_the_table_has_a_row_for_each_kind_of_step(capsys):
    command = "--table --steps 1 --rounds 1 --device cpu --recipes sfmlearner default --batches 1"
    assert main(command.split()) == 0
    rows = [
        line.strip("| ").split(" | ")
        for line in capsys.readouterr().out.splitlines()
        if line.startswith("| ")
    ]
    assert [row[:3] for row in rows[1:]] == [
        ["sfmlearner", "1", "plain"],
        ["sfmlearner", "1", "eager"],
        ["sfmlearner", "1", "graph"],
        ["default", "1", "eager"],
        ["default", "1", "graph"],
    ]
    assert all(float(row[4]) > 0 for row in rows[1:])
    assert rows[1][5] == rows[2][6] == "1.00"


def test_compiled_rows_come_with_their_batch_size():
    config = ThroughputConfig(recipes=("sfmlearner", "vid2depth"), batches=(64, 4), compiled=(64,))
    rows = list(planned_rows(config))
    assert rows[:5] == [(kind, 64, "sfmlearner") for kind in QUICK_KINDS] + [
        (kind, 64, "vid2depth") for kind in ("eager", "graph")
    ]
    assert rows[5:7] == [
        ("graph, float32", 64, "sfmlearner"),
        ("compile + graph", 64, "sfmlearner"),
    ]
    assert [batch for _, batch, _ in rows[7:]] == [4] * 5


def test_a_step_that_fails_is_a_row_with_its_error():
    row = ThroughputRow(
        recipe="default",
        batch=256,
        kind="graph",
        precision="bfloat16",
        snippets_per_s=float("nan"),
        gib=0.0,
        error="out of memory",
    )
    line = MarkdownTable().line(row)
    assert line == "| default | 256 | graph | bfloat16 | out of memory | | | |"


def test_no_row_is_begun_after_the_limit(capsys):
    assert main(["--table", "--limit-s", "-1", "--device", "cpu"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("|---")


def test_a_table_of_unknown_recipes_is_refused(capsys):
    assert main(["--table", "--recipes", "none", "--device", "cpu"]) == 2
    assert "expected some of sfmlearner" in capsys.readouterr().err


def test_data_wait_is_a_share():
    config = replace(compact_config(3), precision="float32")
    assert 0 <= data_wait(config, CPU, steps=3) <= 1


def test_random_data_is_drawn_as_prepared_data_is():
    with random_sampler(5, 1, 2) as sampler:
        assert sampler.batch(0).frames.shape == (2, 5, 1, 128, 416)
