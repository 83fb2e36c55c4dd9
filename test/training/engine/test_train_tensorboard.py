"""Log for TensorBoard, an optional dependency."""

import importlib.util
import sys

import pytest

installed = importlib.util.find_spec("tensorboard") is not None


@pytest.mark.skipif(not installed, reason="tensorboard is not installed: pip install tensorboard")
def test_tensorboard_gets_scalars_and_pictures_once_per_step_after_resuming(runs):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    assert (
        runs.train(
            "run",
            "tensorboard=true",
            "pictures_every=3",
            "steps=5",
            "checkpoint_every=3",
            "log_every=1",
        )
        == 0
    )
    (runs.folder / "run" / "states" / "step_00000005.pt").unlink()
    assert (
        runs.train(
            "run",
            "--resume",
            "tensorboard=true",
            "pictures_every=3",
            "checkpoint_every=3",
            "log_every=1",
        )
        == 0
    )
    events = EventAccumulator(str(runs.folder / "run" / "tensorboard"))
    events.Reload()
    assert {
        "loss",
        "terms/photometric",
        "validation/loss",
        "learning_rate",
        "samples_per_s",
    } <= set(events.Tags()["scalars"])
    assert [event.step for event in events.Scalars("loss")] == [1, 2, 3, 4, 5, 6]
    assert {event.step: event.value for event in events.Scalars("loss")} == pytest.approx(
        runs.losses("run")
    )
    assert 3 in [event.step for event in events.Images("pictures")]


def test_a_missing_package_is_reported_before_training_starts(runs, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    for name in [name for name in sys.modules if name.startswith("torch.utils.tensorboard")]:
        monkeypatch.delitem(sys.modules, name)
    assert runs.train("run", "tensorboard=true") == 2
    captured = capsys.readouterr()
    assert "pip install tensorboard" in captured.err
    assert "loss" not in captured.out
