"""Memory that the node gives back after its start."""

import ctypes
import mmap
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from sfm_odometry.nodes import memory
from sfm_odometry.nodes.memory import release_startup_code

LINUX = Path("/proc/self/smaps").exists()
pytestmark = pytest.mark.skipif(not LINUX, reason="there is no /proc/self/smaps")


def resident_code_kib() -> int:
    """Resident memory of files that are mapped to be executed."""
    total, counts = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if memory.MAPPING.match(line):
            counts = True
        elif line.startswith("Rss:") and counts:
            total += int(line.split()[1])
            counts = False
    return total


def test_code_that_does_not_run_is_unmapped_and_all_of_it_works_afterwards():
    torch.linspace(0, 1, 100).sort()
    before = resident_code_kib()
    release_startup_code()
    assert resident_code_kib() < before / 2
    assert torch.linspace(0, 1, 100).sort().values[-1] == 1.0


def test_code_that_something_changed_in_memory_is_left_as_it_is(tmp_path):
    """As a debugger's breakpoints change it: they would be lost."""
    size = mmap.PAGESIZE
    path = tmp_path / "library"
    path.write_bytes(b"a" * size)
    with path.open("rb") as file:
        mapped = mmap.mmap(file.fileno(), size, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_WRITE)
    address = ctypes.addressof(ctypes.c_char.from_buffer(mapped))
    mapped[:1] = b"b"
    code = ctypes.c_int(mmap.PROT_READ | mmap.PROT_EXEC)
    assert ctypes.CDLL(None).mprotect(ctypes.c_void_p(address), ctypes.c_size_t(size), code) == 0
    line = next(
        line
        for line in Path("/proc/self/smaps").read_text().splitlines()
        if line.startswith(f"{address:x}-")
    )
    assert memory.MAPPING.match(line)
    release_startup_code()
    assert ctypes.string_at(address, 2) == b"ba"


def test_where_there_is_no_smaps_nothing_happens(monkeypatch):
    def absent(*_, **__):
        raise FileNotFoundError

    advised = []
    library = SimpleNamespace(madvise=lambda *arguments: advised.append(arguments))
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda _: library)
    with monkeypatch.context() as no_files:
        no_files.setattr(memory.Path, "read_text", absent)
        release_startup_code()
    assert advised == []
    release_startup_code()
    assert advised
