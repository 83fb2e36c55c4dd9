"""Safetensors files: compatibility with the library in both directions, damaged files."""

import json
import struct
from pathlib import Path

import pytest
import torch

from sfm_odometry.errors import CheckpointError
from sfm_odometry.inference.safetensors_file import TensorFile, write_tensors

TENSORS = {
    "weight": torch.arange(6, dtype=torch.float32).reshape(2, 3),
    "half": torch.tensor([1.5, -2.0], dtype=torch.float16),
    "scalar": torch.tensor(7, dtype=torch.int64),
    "empty": torch.zeros(0, 3),
}
METADATA = {"format": "test", "note": "ä"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_tensors(tmp_path / "model.safetensors", TENSORS, METADATA)
    return tmp_path / "model.safetensors"


def assert_same(found: dict[str, torch.Tensor]) -> None:
    assert found.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor)


def test_round_trip(path: Path) -> None:
    file = TensorFile(path)
    assert file.metadata == METADATA
    assert file.shapes == {name: tuple(tensor.shape) for name, tensor in TENSORS.items()}
    assert_same({name: file.read(name) for name in file.shapes})


def test_the_library_reads_what_is_written(path: Path) -> None:
    safetensors = pytest.importorskip("safetensors")
    with safetensors.safe_open(path, framework="pt") as file:
        assert file.metadata() == METADATA
        assert_same({name: file.get_tensor(name) for name in TENSORS})


def test_what_the_library_writes_is_read(tmp_path: Path) -> None:
    pytest.importorskip("safetensors.torch").save_file(
        TENSORS, tmp_path / "theirs.safetensors", METADATA
    )
    file = TensorFile(tmp_path / "theirs.safetensors")
    assert file.metadata == METADATA
    assert_same({name: file.read(name) for name in file.shapes})


def test_a_tensor_read_is_not_tied_to_the_file(path: Path) -> None:
    tensor = TensorFile(path).read("weight")
    path.unlink()
    tensor += 1
    assert torch.equal(tensor, TENSORS["weight"] + 1)


@pytest.mark.parametrize("kept", [0, 4, 8, 60, -1])
def test_truncated_files_are_refused(path: Path, kept: int) -> None:
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(
        CheckpointError, match=r"model\.safetensors: not a complete safetensors file"
    ):
        TensorFile(path)


def test_bytes_too_many_are_refused(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(CheckpointError, match="expected"):
        TensorFile(path)


def entry(
    dtype: object = "F32", shape: object = (1,), offsets: object = (0, 4)
) -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


@pytest.mark.parametrize(
    "header",
    [
        [1, 2],
        {"a": 3},
        {"a": {"dtype": "F32"}},
        {"__metadata__": 3},
        {"a": entry(dtype="Q7")},
        {"a": entry(dtype=["F32"])},
        {"a": entry(shape=(2,))},
        {"a": entry(shape=(-1,), offsets=(0, -4))},
        {"a": entry(shape=(0.25,), offsets=(0, 1))},
        {"a": entry(shape=3)},
        {"a": entry(offsets=(0, 4, 8))},
        {"a": entry(), "b": entry()},
        {"a": entry(), "b": entry(offsets=(8, 12))},
    ],
)
def test_invalid_headers_are_refused(tmp_path: Path, header: object) -> None:
    text = json.dumps(header).encode()
    (tmp_path / "bad.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + bytes(4))
    with pytest.raises(CheckpointError, match="not a complete safetensors file"):
        TensorFile(tmp_path / "bad.safetensors")


@pytest.mark.parametrize(
    "content", [b"\x80\x04\x95 a pickle ...", b"PK\x03\x04 a zip of torch.save", b"\xff" * 32]
)
def test_other_kinds_of_files_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "other.safetensors").write_bytes(content)
    with pytest.raises(CheckpointError, match="pickled checkpoints are never read"):
        TensorFile(tmp_path / "other.safetensors")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"none\.safetensors: no such model file"):
        TensorFile(tmp_path / "none.safetensors")
