"""Reading and writing of files in the safetensors format, named tensors with metadata.

Format: https://huggingface.co/docs/safetensors. Eight bytes (the header's length, little-endian),
the header (JSON: name -> dtype, shape, offsets in the data; `__metadata__` -> strings), the data.
It is implemented here because no ROS distribution packages the library, while `rosdep install`
must suffice to run the node.
"""

import json
import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sfm_odometry.errors import CheckpointError

DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "U8": "u1"}
DTYPE_NAMES = {np.dtype(dtype): name for name, dtype in DTYPES.items()}
MAX_HEADER_BYTES = 100_000_000
LENGTH_BYTES = 8


@dataclass(frozen=True)
class Entry:
    """Tensor in the header; `begin` and `end` are offsets in the file, in bytes."""

    dtype: np.dtype
    shape: tuple[int, ...]
    begin: int
    end: int


class TensorFile:
    """A complete file: every entry has the bytes of its shape, and all data belongs to an entry."""

    def __init__(self, path: Path) -> None:
        """Reads and checks the header.

        Raises CheckpointError naming the file if it is missing or no complete safetensors file.
        """
        self.path = path
        if not path.is_file():
            raise CheckpointError(f"{path}: no such model file")
        try:
            header, data_begin = _read_header(path)
            self.metadata: dict[str, str] = header.pop("__metadata__", {})
            self._entries = {
                name: _entry(name, fields, data_begin) for name, fields in header.items()
            }
            _check_covered(self._entries, data_begin, path.stat().st_size)
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise CheckpointError(
                f"{path}: not a complete safetensors file ({error}); "
                "pickled checkpoints are never read"
            ) from error

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of the tensors by name."""
        return {name: entry.shape for name, entry in self._entries.items()}

    def read(self, name: str) -> torch.Tensor:
        """Reads a tensor into new memory."""
        entry = self._entries[name]
        values = np.fromfile(self.path, entry.dtype, math.prod(entry.shape), offset=entry.begin)
        return torch.from_numpy(values.reshape(entry.shape))


def write_tensors(path: Path, tensors: dict[str, torch.Tensor], metadata: dict[str, str]) -> None:
    """Writes tensors (on the CPU) and metadata; raises OSError when that fails."""
    # Header, with the offsets of all tensors.
    arrays = {name: tensor.numpy() for name, tensor in tensors.items()}
    header: dict[str, Any] = {"__metadata__": metadata}
    end = 0
    for name, array in arrays.items():
        begin = end
        end = begin + array.nbytes
        header[name] = {
            "dtype": DTYPE_NAMES[array.dtype.newbyteorder("<")],
            "shape": list(array.shape),
            "data_offsets": [begin, end],
        }
    text = json.dumps(header).encode()
    # The data begins at a multiple of eight, for programs that map the file into memory.
    text += b" " * (-len(text) % LENGTH_BYTES)
    # File.
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for array in arrays.values():
            file.write(array.tobytes())


def _read_header(path: Path) -> tuple[dict[str, Any], int]:
    """Returns the parsed header and the offset of the data; raises ValueError."""
    with path.open("rb") as file:
        start = file.read(LENGTH_BYTES)
        length = int.from_bytes(start, "little")
        if len(start) < LENGTH_BYTES or not 2 <= length <= MAX_HEADER_BYTES:
            raise ValueError("it does not begin with the length of a header")
        text = file.read(length)
    if len(text) < length:
        raise ValueError("it ends within its header")
    header = json.loads(text)
    if not isinstance(header, dict) or not isinstance(header.get("__metadata__", {}), dict):
        raise ValueError("its header is not a JSON object")
    return header, LENGTH_BYTES + length


def _entry(name: str, fields: dict[str, Any], data_begin: int) -> Entry:
    """Returns a checked entry of the header; raises ValueError, KeyError or TypeError."""
    if fields["dtype"] not in DTYPES:
        raise ValueError(
            f"tensor '{name}' is of type {fields['dtype']}, expected one of {', '.join(DTYPES)}"
        )
    dtype = np.dtype(DTYPES[fields["dtype"]])
    shape = tuple(fields["shape"])
    begin, end = fields["data_offsets"]
    if not all(isinstance(number, int) and number >= 0 for number in (*shape, begin, end)):
        raise ValueError(f"tensor '{name}' has a shape or place that is not made of whole numbers")
    if end - begin != math.prod(shape) * dtype.itemsize:
        raise ValueError(
            f"tensor '{name}' of shape {list(shape)} does not fit its {end - begin} bytes"
        )
    return Entry(dtype, shape, data_begin + begin, data_begin + end)


def _check_covered(entries: dict[str, Entry], data_begin: int, file_end: int) -> None:
    """Raises ValueError unless the entries cover the data without gaps, in any order of names."""
    reached = data_begin
    for entry in sorted(entries.values(), key=lambda entry: (entry.begin, entry.end)):
        if entry.begin != reached:
            raise ValueError("its tensors overlap or leave a gap")
        reached = entry.end
    if reached != file_end:
        raise ValueError(f"it has {file_end} bytes, expected {reached}")
