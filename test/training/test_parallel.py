"""Two real processes of torchrun with gloo on the CPU against one process with twice the batch."""

import signal

import pytest
import torch

from training.parallel import Processes

TORCHRUN = ("torch.distributed.run", "--standalone", "--nproc_per_node=2")
SETTINGS = ("log_every=1", "learning_rate=0.002", "augment.max_zoom=1.2", "augment.reverse=true", "objective.ssim_weight=0.5")


def test_two_processes_learn_as_one_with_twice_the_batch(runs):
    process = runs.start("two", *SETTINGS, "steps=12", "batch_size=2", "pictures_every=6", launcher=TORCHRUN)
    output, error = process.communicate(timeout=300)
    assert process.returncode == 0, error
    assert output.count("step     12 of 12") == 1, "only the first process speaks"
    assert runs.train("one", *SETTINGS, "steps=12", "batch_size=4", "pictures_every=6") == 0
    one, two = runs.losses("one"), runs.losses("two")
    assert list(two) == list(range(1, 13))
    assert two == pytest.approx(one, rel=1e-4)
    assert two[12] < 0.9 * two[1], "the curve is one of learning"
    scores = [[entry["validation"]["loss"] for entry in runs.log(run) if "validation" in entry] for run in ("one", "two")]
    assert scores[1] == pytest.approx(scores[0], rel=1e-3)
    largest = max(float((a - b).abs().max()) for a, b in zip(runs.weights("one").values(), runs.weights("two").values(), strict=True))
    assert largest < 0.002


def test_an_interrupt_ends_all_processes_and_the_run_goes_on(runs):
    process = runs.start("run", "steps=100000", "checkpoint_every=100000", launcher=TORCHRUN)
    while "loss" not in (line := process.stdout.readline()):
        assert line, process.stderr.read()
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=300)
    assert process.returncode != 0
    assert output.count("--resume goes on from there") == 1
    (state,) = (runs.folder / "run" / "states").iterdir()
    reached = torch.load(state, weights_only=True)["step"]
    assert runs.train("run", "--resume", f"steps={reached + 2}", "batch_size=4") == 0
    assert max(runs.losses("run")) == reached + 2


def test_what_one_process_fails_at_ends_all_with_one_word(runs):
    process = runs.start("run", "steps=40", "learning_rate=1e30", launcher=TORCHRUN)
    _, error = process.communicate(timeout=300)
    assert process.returncode != 0
    assert error.count("error: training diverged by step 2") == 1
    assert "Traceback" not in error.split("torch/distributed/")[0]


def test_one_process_has_nobody_to_ask():
    processes = Processes()
    module = torch.nn.Linear(1, 1)
    assert processes.first and processes.ranks == 1
    assert processes.wrap(module) is module
    assert processes.any(True) and not processes.any(False)
    assert processes.mean({"loss": 2.0}) == {"loss": 2.0}
    assert processes.device("cpu") == torch.device("cpu")
