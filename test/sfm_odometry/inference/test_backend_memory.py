"""What `model.backend: auto` chose is kept in a file, which nothing depends on."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from sfm_odometry.backends import choice
from sfm_odometry.backends.timing import Seconds
from sfm_odometry.inference import backend_memory
from sfm_odometry.inference.backend_memory import (
    MAX_CHOICES,
    BackendMemory,
    Situation,
    cache_folder,
    memory_of,
)
from sfm_odometry.inference.estimator import Estimator
from sfm_odometry.networks.depth_net import DepthNetConfig
from sfm_odometry.networks.matching_net import MatchingNetConfig
from sfm_odometry.networks.model import Model, ModelConfig

HERE = Situation("a processor (2 cores, AVX2)", 1, "1ae0", "416x128", "2.13.0", "0.1.0")
ELSEWHERE = {
    "processor": "another",
    "threads": 2,
    "model_sha256": "2bf1",
    "input_size": "832x256",
    "torch": "2.14.0",
    "sfm_odometry": "0.2.0",
}


@pytest.fixture
def folder(monkeypatch, tmp_path) -> Path:
    """The folder of the cache for this test."""
    monkeypatch.setenv("SFM_ODOMETRY_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_a_choice_is_known_in_the_same_situation_only(tmp_path):
    path = tmp_path / "new" / "folder" / "backends.json"
    assert BackendMemory(path, HERE).recall() == ""
    assert BackendMemory(path, HERE).remember("packed") == ""
    assert BackendMemory(path, HERE).recall() == "packed"
    for name, value in ELSEWHERE.items():
        assert BackendMemory(path, replace(HERE, **{name: value})).recall() == "", name
    assert set(ELSEWHERE) == set(Situation.__dataclass_fields__)


def test_situations_share_the_file_and_the_newest_choice_counts(tmp_path):
    path = tmp_path / "backends.json"
    other = replace(HERE, threads=4)
    BackendMemory(path, HERE).remember("packed")
    BackendMemory(path, other).remember("eager")
    BackendMemory(path, HERE).remember("bfloat16")
    assert BackendMemory(path, HERE).recall() == "bfloat16"
    assert BackendMemory(path, other).recall() == "eager"
    assert [entry.name for entry in tmp_path.iterdir()] == ["backends.json"]


def test_the_file_does_not_grow_without_end(tmp_path):
    path = tmp_path / "backends.json"
    for threads in range(1, MAX_CHOICES + 3):
        BackendMemory(path, replace(HERE, threads=threads)).remember("packed")
    assert len(json.loads(path.read_text())["choices"]) == MAX_CHOICES
    assert BackendMemory(path, replace(HERE, threads=1)).recall() == ""
    assert BackendMemory(path, replace(HERE, threads=MAX_CHOICES + 2)).recall() == "packed"


DAMAGE = {
    "empty": b"",
    "cut": b'{"choices": [{"situation',
    "binary": bytes(range(256)),
    "list": b"[]",
    "number": b'{"choices": 3}',
    "entries": b'{"choices": [1, null, {"backend": "packed"}]}',
    "deep": b"[" * 50_000,
    "long": b" " * 200_000,
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_file_is_ignored_and_replaced(kind, tmp_path):
    path = tmp_path / "backends.json"
    path.write_bytes(DAMAGE[kind])
    memory = BackendMemory(path, HERE)
    assert memory.recall() == ""
    assert memory.remember("packed") == ""
    assert memory.recall() == "packed"


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    memory = BackendMemory(tmp_path / "file" / "backends.json", HERE)
    assert memory.recall() == ""
    assert memory.remember("packed").startswith(f"{tmp_path / 'file' / 'backends.json'}: ")
    directory = tmp_path / "backends.json"
    directory.mkdir()
    assert BackendMemory(directory, HERE).recall() == ""
    assert BackendMemory(directory, HERE).remember("packed") != ""
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["backends.json", "file"]


def test_the_folder_is_the_users_cache_unless_a_variable_names_another(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    for named, user_cache, expected in (
        ("off", "", None),
        ("/var/robot", "/elsewhere", Path("/var/robot")),
        ("", "/elsewhere", Path("/elsewhere/sfm_odometry")),
        ("", "relative", tmp_path / ".cache" / "sfm_odometry"),
        ("", "", tmp_path / ".cache" / "sfm_odometry"),
    ):
        monkeypatch.setenv("SFM_ODOMETRY_CACHE", named)
        monkeypatch.setenv("XDG_CACHE_HOME", user_cache)
        assert cache_folder() == expected

    def homeless():
        raise RuntimeError("no home")

    monkeypatch.setattr(backend_memory.Path, "home", homeless)
    assert cache_folder() is None


def tiny_model() -> Model:
    torch.manual_seed(3)
    depth = DepthNetConfig(1, (8, 16), (5, 3), (16, 16), scales=1)
    widths = MatchingNetConfig(
        feature_widths=(4, 8, 8), motion_widths=(8, 8, 8), mask_widths=(8, 8, 4)
    )
    return Model(ModelConfig(96, 64, depth=depth, pose=widths)).eval().requires_grad_(False)


def test_a_model_without_a_file_and_a_cache_that_is_off_have_no_memory(folder, monkeypatch):
    assert memory_of(tiny_model(), "") is None
    assert memory_of(tiny_model(), "1ae0") is not None
    monkeypatch.setenv("SFM_ODOMETRY_CACHE", "off")
    assert memory_of(tiny_model(), "1ae0") is None


def test_auto_measures_once_and_then_takes_the_same_backend(folder, monkeypatch):
    """The times are given, so that the choice is another one at each measurement."""
    monkeypatch.setattr(choice, "AUTO_CANDIDATES", ("packed",))
    seconds = iter([Seconds((0.2, 0.1), True), Seconds((0.1, 0.2), True)])
    monkeypatch.setattr(choice, "model_seconds", lambda *_: next(seconds))

    def estimator(sha256: str = "1ae0") -> Estimator:
        return Estimator(tiny_model(), "cpu", "tiny", sha256, "auto")

    first, second = estimator(), estimator()
    assert (first.backend, first.backend_reason) == (
        "packed",
        "measured: eager 200.0 ms, packed 100.0 ms",
    )
    assert second.backend == "packed"
    assert second.backend_reason == f"measured at an earlier start: {folder / 'backends.json'}"
    assert estimator("another model").backend == "eager"  # the second measurement
    # A file of a later version may name what auto does not take.
    text = (folder / "backends.json").read_text().replace('"eager"', '"compiled"')
    (folder / "backends.json").write_text(text)
    with pytest.raises(StopIteration):  # measured anew
        estimator("another model")


def test_a_backend_that_does_not_work_any_more_is_measured_anew(folder, monkeypatch):
    monkeypatch.setattr(choice, "AUTO_CANDIDATES", ("bfloat16", "packed"))
    monkeypatch.setattr("sfm_odometry.backends.bfloat16.cpu_flags", set)
    monkeypatch.setattr(choice, "model_seconds", lambda *_: Seconds((0.2, 0.1), True))
    memory = memory_of(tiny_model(), "1ae0")
    memory.remember("bfloat16")
    assert Estimator(tiny_model(), "cpu", "tiny", "1ae0", "auto").backend == "packed"
    assert memory.recall() == "packed"


def test_a_busy_machine_gives_the_safe_backend_and_no_memory(folder, monkeypatch):
    monkeypatch.setattr(choice, "AUTO_CANDIDATES", ("packed",))
    monkeypatch.setattr(choice, "model_seconds", lambda *_: Seconds((0.1, 0.2), False))
    busy = Estimator(tiny_model(), "cpu", "tiny", "1ae0", "auto")
    assert (busy.backend, busy.backend_reason) == ("packed", "the machine is too busy to measure")
    assert memory_of(tiny_model(), "1ae0").recall() == ""


def test_an_unwritable_cache_is_said_once_and_is_no_error(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("SFM_ODOMETRY_CACHE", str(tmp_path / "file"))
    monkeypatch.setattr(choice, "AUTO_CANDIDATES", ("packed",))
    monkeypatch.setattr(choice, "model_seconds", lambda *_: Seconds((0.2, 0.1), True))
    estimator = Estimator(tiny_model(), "cpu", "tiny", "1ae0", "auto")
    assert estimator.backend == "packed"
    assert f"; not remembered: {tmp_path / 'file' / 'backends.json'}: " in estimator.backend_reason
