"""Runs that end early (interrupted, killed, disk full, diverged), and their resumption."""

import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from sfm_odometry.errors import OutputError
from sfm_odometry.inference.checkpoint import read_provenance
from training.config import TrainConfig
from training.engine.run_folder import RunFolder
from training.engine.run_log import NullBoard, RunLog
from training.engine.signals import InterruptHandler


def same(first: dict, second: dict) -> bool:
    return first.keys() == second.keys() and all(
        torch.equal(first[name], second[name]) for name in first
    )


def wait_for(process: subprocess.Popen, path: Path) -> None:
    """Waits until a process has written a file."""
    deadline = time.monotonic() + 300
    while not path.exists():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline, f"{path} was not written"
        time.sleep(0.005)


def test_a_resumed_run_equals_an_uninterrupted_one_bit_for_bit(runs):
    assert runs.train("whole") == 0
    assert runs.train("parts", "steps=3") == 0
    assert runs.train("parts", "--resume") == 0
    assert same(runs.weights("whole"), runs.weights("parts"))
    assert same(runs.weights("whole", "best"), runs.weights("parts", "best"))


def test_a_run_whose_output_nobody_reads_ends_quietly_with_its_state(runs):
    process = runs.start("piped", "steps=100000", "log_every=1", "checkpoint_every=100000")
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(300) == 141
    assert "Error" not in process.stderr.read()
    (state,) = (runs.folder / "piped" / "states").glob("step_*.pt")
    step = int(state.stem.removeprefix("step_"))
    assert runs.train("piped", "--resume", "log_every=1", f"steps={step + 1}") == 0


def test_a_killed_run_resumes_from_its_last_checkpoint_bit_for_bit(runs):
    process = runs.start("killed", "steps=100000", "log_every=1", "checkpoint_every=5")
    wait_for(process, runs.folder / "killed" / "states" / "step_00000015.pt")
    process.kill()
    process.communicate()
    states = sorted((runs.folder / "killed" / "states").glob("step_*.pt"))
    reached = int(states[-1].stem.removeprefix("step_"))
    logged = max(runs.losses("killed"))
    assert reached >= 15
    assert logged - reached <= 5, "more than a checkpoint interval was lost"
    settings = ("log_every=1", "checkpoint_every=5", f"steps={reached + 8}")
    assert runs.train("killed", "--resume", *settings) == 0
    assert runs.train("whole", *settings) == 0
    assert same(runs.weights("whole"), runs.weights("killed"))
    assert runs.losses("whole") == runs.losses("killed")
    steps = [entry["step"] for entry in runs.log("killed") if "loss" in entry]
    assert steps == list(range(1, reached + 9)), "every step is in the log once"


def test_an_interrupted_run_saves_its_state_and_resumes(runs):
    process = runs.start("run", "steps=100000", "checkpoint_every=100000")
    while "loss" not in (line := process.stdout.readline()):
        assert line, process.stderr.read()
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 130
    assert "--resume" in output
    reached = read_provenance(runs.folder / "run" / "latest.safetensors")["step"]
    assert reached >= 2
    assert runs.train("run", "--resume", f"steps={reached + 2}", "checkpoint_every=100000") == 0
    assert runs.train("whole", f"steps={reached + 2}", "checkpoint_every=100000") == 0
    assert same(runs.weights("whole"), runs.weights("run"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_sets_the_flag_and_the_previous_handler_is_restored(number):
    before = signal.getsignal(number)
    with InterruptHandler() as handler:
        assert not handler.requested
        signal.raise_signal(number)
        assert handler.requested
    assert signal.getsignal(number) is before


def test_only_a_later_second_ctrl_c_interrupts_at_once(monkeypatch):
    with InterruptHandler():
        for _ in range(3):
            signal.raise_signal(signal.SIGINT)
        monkeypatch.setattr("training.engine.signals.REPEAT_S", -1.0)
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_a_truncated_state_falls_back_to_the_one_before(runs, capsys):
    assert runs.train("run", "steps=5") == 0
    newest = sorted((runs.folder / "run" / "states").iterdir())[-1]
    newest.write_bytes(newest.read_bytes()[:1000])
    assert runs.train("run", "--resume") == 0
    assert "cannot be read" in capsys.readouterr().out
    assert runs.train("whole") == 0
    assert same(runs.weights("whole"), runs.weights("run"))
    assert [entry["step"] for entry in runs.log("run") if "loss" in entry] == [2, 4, 6]


def test_incomplete_lines_and_files_are_deleted_on_resume(runs):
    assert runs.train("run", "steps=3") == 0
    run = runs.folder / "run"
    with (run / "log.jsonl").open("a") as log:
        log.write('{"step": 4, "lo')
    incomplete = run / "states" / ".step_00000006.pt.1234.tmp"
    incomplete.write_bytes(b"half")
    assert runs.train("run", "--resume") == 0
    assert [entry["step"] for entry in runs.log("run") if "loss" in entry] == [2, 3, 4, 6]
    assert not incomplete.exists()


def test_a_folder_with_a_run_is_not_overwritten_without_resume(runs, capsys):
    assert runs.train("run") == 0
    assert runs.train("run") == 2
    assert "--resume" in capsys.readouterr().err


def test_a_changed_model_is_refused_and_the_folder_unchanged(runs, capsys):
    assert runs.train("run") == 0
    before = (runs.folder / "run" / "config.json").read_text()
    assert runs.train("run", "--resume", "steps=9", "model.depth.inverse_depth_gain=5") == 2
    assert (
        "'model.depth.inverse_depth_gain' is 5.0, but the run was begun with 10.0"
        in capsys.readouterr().err
    )
    assert (runs.folder / "run" / "config.json").read_text() == before


def test_other_changes_are_reported_and_made(runs, capsys):
    assert runs.train("run") == 0
    capsys.readouterr()
    assert runs.train("run", "--resume", "steps=8", "learning_rate=0.001") == 0
    output = capsys.readouterr().out
    assert "note: learning_rate is 0.001, it was 0.0002" in output
    assert "note: steps" not in output
    assert runs.log("run")[-2]["learning_rate"] == 0.001


def test_a_state_without_newer_settings_is_resumed(runs, capsys):
    assert runs.train("run") == 0
    path = runs.folder / "run" / "states" / "step_00000006.pt"
    state = torch.load(path, weights_only=True)
    for name in ("inverse_depth_start", "cuda_graph", "warmup_steps"):
        del state["identity"]["config"][name]
    del state["identity"]["config"]["model"]["depth"]["batch_norm"], state["identity"]["device"]
    torch.save(state, path)
    capsys.readouterr()
    assert runs.train("run", "--resume", "steps=8") == 0
    assert "note:" not in capsys.readouterr().out
    assert runs.log("run")[-1]["step"] == 8


@pytest.mark.parametrize("quantity", ["depth", "poses"])
def test_a_batch_with_nan_stops_the_run_and_keeps_the_last_good_state(runs, capsys, quantity):
    settings = ["objective.depth_supervision=1", "objective.motion_supervision=1"]
    runs.add_truth(depth=np.full((1, 1, 1), 5.0), poses=np.eye(4))
    assert runs.train("run", *settings) == 0
    good = runs.weights("run")
    for path in runs.data.glob(f"*/{quantity}.npy"):
        np.save(path, np.full_like(np.load(path), np.nan))
    assert runs.train("run", *settings, "--resume", "steps=20", "log_every=1") == 2
    error = capsys.readouterr().err
    assert "diverged by step 7" in error
    assert str(runs.folder / "run" / "states" / "step_00000006.pt") in error
    assert same(runs.weights("run"), good)
    assert (
        torch.load(runs.folder / "run" / "states" / "step_00000006.pt", weights_only=True)["step"]
        == 6
    )


def test_divergence_is_reported_and_keeps_the_last_good_state(runs, capsys):
    assert runs.train("run") == 0
    assert runs.train("run", "--resume", "steps=20", "learning_rate=1e30") == 2
    assert "diverged" in capsys.readouterr().err
    assert (
        max(path.name for path in (runs.folder / "run" / "states").iterdir()) == "step_00000006.pt"
    )


def test_a_full_disk_is_reported_and_keeps_the_last_good_state(runs):
    """A limit on file sizes replaces the full disk: both make a write fail half way."""
    assert runs.train("run") == 0
    states = runs.folder / "run" / "states"
    limit = (states / "step_00000006.pt").stat().st_size - 1000
    process = runs.start("run", "--resume", "steps=9", file_limit=limit)
    _, error = process.communicate(timeout=300)
    assert process.returncode == 2, error
    assert (
        error.strip() == f"error: {states / 'step_00000009.pt'}: cannot be written: File too large"
    )
    assert [path.name for path in sorted(states.iterdir())] == [
        "step_00000003.pt",
        "step_00000006.pt",
    ]
    assert runs.train("run", "--resume", "steps=9") == 0
    assert runs.train("whole", "steps=9") == 0
    assert same(runs.weights("whole"), runs.weights("run"))


def test_a_disk_too_full_for_the_log_is_reported(tmp_path):
    folder = RunFolder(tmp_path / "run", TrainConfig())
    folder.prepare()
    log = RunLog(folder, NullBoard(), step=0)
    (tmp_path / "run" / "log.jsonl").unlink()
    (tmp_path / "run" / "log.jsonl").symlink_to("/dev/full")
    with pytest.raises(
        OutputError, match=r"log\.jsonl: cannot be written: No space left on device"
    ):
        log.validation(1, {"loss": 1.0})
