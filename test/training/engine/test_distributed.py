"""Two processes of torchrun, one or two nodes, on the CPU, against one with twice the batch."""

import signal
import socket

import pytest
import torch

from training.engine.distributed import ProcessGroup

TORCHRUN = ("torch.distributed.run", "--standalone", "--nproc_per_node=2")
NODES = (
    "torch.distributed.run",
    "--nnodes=2",
    "--nproc_per_node=1",
    "--master_addr=127.0.0.1",
)
SETTINGS = (
    "log_every=1",
    "learning_rate=0.002",
    "augment.max_zoom=1.2",
    "augment.reverse=true",
    "objective.ssim_weight=0.5",
)


def free_port() -> int:
    """Port that no process listens to."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def test_two_nodes_of_one_process_train_like_one_with_twice_the_batch(runs):
    port = free_port()
    processes = [
        runs.start(
            *("two", *SETTINGS, "steps=12", "batch_size=2", "pictures_every=6"),
            launcher=(*NODES, f"--node_rank={rank}", f"--master_port={port}"),
        )
        for rank in (0, 1)
    ]
    outputs = [process.communicate(timeout=300) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    printed = [output.count("step     12 of 12") for output, _ in outputs]
    assert printed == [1, 0], "only the first process prints"
    assert runs.train("one", *SETTINGS, "steps=12", "batch_size=4", "pictures_every=6") == 0
    one = runs.losses("one")
    two = runs.losses("two")
    assert list(two) == list(range(1, 13))
    assert two == pytest.approx(one, rel=1e-4)
    assert two[12] < 0.9 * two[1], "the loss falls"
    scores = [
        [entry["validation"]["loss"] for entry in runs.log(run) if "validation" in entry]
        for run in ("one", "two")
    ]
    assert scores[1] == pytest.approx(scores[0], rel=1e-3)
    largest = max(
        float((a - b).abs().max())
        for a, b in zip(runs.weights("one").values(), runs.weights("two").values(), strict=True)
    )
    assert largest < 0.002


def test_an_interrupt_ends_all_processes_and_the_run_resumes(runs):
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


def test_all_processes_end_quietly_where_nobody_reads_their_output(runs):
    process = runs.start(
        "piped", "steps=100000", "log_every=1", "checkpoint_every=100000", launcher=TORCHRUN
    )
    while "loss" not in (line := process.stdout.readline()):
        assert line, process.stderr.read()
    process.stdout.close()
    error = process.stderr.read()
    assert process.wait(300) == 0
    assert "Traceback" not in error and "Error" not in error
    assert error.count("the reader of the output has gone: ended at step") == 1
    (state,) = (runs.folder / "piped" / "states").iterdir()
    reached = torch.load(state, weights_only=True)["step"]
    assert runs.train("piped", "--resume", f"steps={reached + 1}", "batch_size=4") == 0


def test_an_error_in_one_process_ends_all_and_is_printed_once(runs):
    """The processes are started like torchrun's, but each with its own output."""
    rendezvous = {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(free_port()),
        "WORLD_SIZE": "2",
        "TORCHELASTIC_RUN_ID": "test",
    }
    processes = []
    for rank in (0, 1):
        # Only the second one cannot open its data.
        data = [] if rank == 0 else ["--data", str(runs.folder / "nowhere")]
        environment = {**rendezvous, "RANK": str(rank), "LOCAL_RANK": str(rank)}
        processes.append(runs.start("run", *data, environment=environment))
    outputs = [process.communicate(timeout=300) for process in processes]
    assert [process.returncode for process in processes] == [2, 2], outputs
    assert "nowhere" in outputs[1][1] and len(outputs[1][1].splitlines()) == 1
    assert outputs[0][1] == ""


def test_a_group_of_one_process_returns_its_own_values():
    processes = ProcessGroup()
    module = torch.nn.Linear(1, 1)
    assert processes.is_first and processes.ranks == 1
    assert processes.wrap(module) is module
    assert processes.any(True) and not processes.any(False)
    assert processes.mean({"loss": 2.0}) == {"loss": 2.0}
    assert processes.device("cpu") == torch.device("cpu")
