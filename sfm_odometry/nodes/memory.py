"""Memory of this process."""

import ctypes


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
