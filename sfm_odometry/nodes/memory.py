"""Memory of this process."""

import ctypes
import mmap
import re
from collections.abc import Iterator
from pathlib import Path

MAPPING = re.compile(r"^([0-9a-f]+)-([0-9a-f]+) r-xp \S+ \S+ \S+ +/")
"""Line of /proc/self/smaps that begins the mapping of a library's or the program's code."""


def resident_memory_mib() -> float:
    """Resident memory of this process in MiB; 0 where /proc is not available."""
    try:
        with open("/proc/self/status", encoding="ascii") as lines:
            return next(
                int(line.split()[1]) / 1024.0 for line in lines if line.startswith("VmRSS:")
            )
    except (OSError, StopIteration, ValueError):
        return 0.0


def release_freed_memory() -> None:
    """Return freed heap memory to the system, where the C library can (malloc_trim of glibc).

    Loading and trying out a model leaves much of it.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def release_startup_code() -> None:
    """Unmap the code of libraries, of which the start needed twice as much as tracking does.

    What runs again is mapped again; the pages stay in the system's cache while memory is free. The
    system does the same by itself where memory is short. Without effect where it is not Linux.
    """
    advise = getattr(ctypes.CDLL(None), "madvise", None)
    if advise is None or not hasattr(mmap, "MADV_DONTNEED"):
        return
    for begin, end in _unchanged_code():
        address, size = ctypes.c_void_p(begin), ctypes.c_size_t(end - begin)
        advise(address, size, mmap.MADV_DONTNEED)


def _unchanged_code() -> Iterator[tuple[int, int]]:
    """Addresses of mapped code, first and one past the last.

    Left out are mappings with pages that are not the file's any more, as a debugger makes.
    """
    try:
        lines = Path("/proc/self/smaps").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return
    addresses = None
    for line in lines:
        if match := MAPPING.match(line):
            addresses = int(match[1], 16), int(match[2], 16)
        elif line.startswith("Anonymous:") and addresses is not None:
            if line.split()[1] == "0":
                yield addresses
            addresses = None
