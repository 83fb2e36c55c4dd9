"""The benchmark compares like with like."""

import json
from dataclasses import replace

import pytest
import torch

from benchmarks.training import contenders
from benchmarks.training.__main__ import main
from benchmarks.training.contenders import (
    compact_config,
    our_learner,
    papers_config,
    plain_step,
    random_batch,
)
from benchmarks.training.data import random_sampler
from benchmarks.training.gpu import data_wait
from benchmarks.training.throughput import ALWAYS, Plan, Row, Table, _cells

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Images of a quarter of the size: the networks take any."""
    monkeypatch.setattr(contenders, "WIDTH", 208)
    monkeypatch.setattr(contenders, "HEIGHT", 64)


@pytest.mark.parametrize("frames", [3, 5])
def test_the_plain_step_has_the_same_loss_and_gradients_as_ours(frames):
    config = replace(papers_config(frames), precision="float32")
    learner, _ = our_learner(config, CPU)
    plain = plain_step(config, CPU, 2).step
    plain.copy_weights(learner.model)
    ours = sum(learner.judge(random_batch(config, 2).to(CPU))[2].values())
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


def test_both_learn():
    config = replace(papers_config(3), learning_rate=1e-4, precision="float32")
    plain = plain_step(config, CPU, 1).step
    first, *_, last = [plain() for _ in range(4)]
    assert last < first
    learner, optimiser = our_learner(config, CPU)
    batch, losses = random_batch(config, 1).to(CPU), []
    for step in range(4):
        losses.append(sum(learner.judge(batch)[2].values()))
        optimiser.descend(losses[-1], step)
    assert losses[-1] < losses[0]


def test_all_contenders_have_the_same_objective():
    assert papers_config(5).objective == compact_config(5).objective
    assert papers_config(5).model.pose.frames == compact_config(5).model.pose.frames == 5


def test_it_prints_samples_a_second_and_ratios(capsys):
    assert (
        main(["--frames", "3", "--steps", "1", "--rounds", "1", "--device", "cpu", "--json"]) == 0
    )
    result = json.loads(capsys.readouterr().out)
    steps = result["3 frames"]["steps"]
    assert len(steps) == 3
    assert steps["plain eager step"]["times_plain"] == 1.0
    assert all(figures["samples_per_s"] > 0 for figures in steps.values())
    assert result["3 frames"]["data_snippets_per_s"] > 0


def test_the_table_has_a_row_for_each_way(capsys):
    sizes = [
        "--steps",
        "1",
        "--rounds",
        "1",
        "--device",
        "cpu",
        "--recipes",
        "sfmlearner",
        "default",
        "--batches",
        "1",
    ]
    assert main(["--table", *sizes]) == 0
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


def test_a_row_that_takes_long_to_prepare_comes_with_its_batch():
    cells = list(_cells(Plan(recipes=("sfmlearner", "vid2depth"), batches=(64, 4), compiled=(64,))))
    assert cells[:5] == [(way, 64, "sfmlearner") for way in ALWAYS] + [
        (way, 64, "vid2depth") for way in ("eager", "graph")
    ]
    assert cells[5:7] == [
        ("graph, float32", 64, "sfmlearner"),
        ("compile + graph", 64, "sfmlearner"),
    ]
    assert [batch for _, batch, _ in cells[7:]] == [4] * 5


def test_what_does_not_run_is_a_row_too():
    line = Table().line(
        Row("default", 256, "graph", "bfloat16", float("nan"), 0.0, "out of memory")
    )
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
