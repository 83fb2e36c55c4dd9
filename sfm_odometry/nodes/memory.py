"""This process's memory."""

import ctypes


def resident_memory_mib() -> float:
    """Resident memory of this process, or 0 where /proc does not tell."""
    try:
        with open("/proc/self/status", encoding="ascii") as lines:
            return next(
                int(line.split()[1]) / 1024.0 for line in lines if line.startswith("VmRSS:")
            )
    except (OSError, StopIteration, ValueError):
        return 0.0


def give_back_freed_memory() -> None:
    """Hand what was freed back to the system, where the C library knows how to (glibc): loading
    and trying a model leaves much behind."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
