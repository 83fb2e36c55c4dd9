"""Description of the processor and of its instructions that matter to the networks' speed."""

import os
import platform
from pathlib import Path

import torch

INSTRUCTIONS = {
    "avx2": "AVX2",
    "avx512f": "AVX-512",
    "avx512_bf16": "AVX-512 bf16",
    "amx_bf16": "AMX bf16",
    "bf16": "bf16",
}
"""Flags of /proc/cpuinfo that benchmarks name, and their usual names."""
BFLOAT16_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}
"""Flags of processors that multiply bfloat16: AMD and Intel, Intel's matrix unit, ARM. Others
compute it by way of float32, and slower."""


def cpu_flags() -> set[str]:
    """Flags of /proc/cpuinfo, such as avx512_bf16; empty without such a file."""
    return {flag for key in ("flags", "Features") for flag in _cpuinfo(key).split()}


def describe_device(device: torch.device) -> str:
    """Name of a device for benchmarks and logs.

    Example: 'Intel Xeon 8481C (2 cores, AVX2, AVX-512, AVX-512 bf16)'.
    """
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    flags = cpu_flags()
    present = [name for flag, name in INSTRUCTIONS.items() if flag in flags]
    missing = [] if BFLOAT16_FLAGS & flags else ["no bf16"]
    cores = f"{len(os.sched_getaffinity(0))} cores"
    return f"{_cpuinfo('model name') or 'processor'} ({', '.join([cores, *present, *missing])})"


def processor_identity() -> str:
    """Text that tells this processor from others, with the instructions and cores that it offers.

    ARM's have no name in /proc/cpuinfo, but numbers of the maker and the part.
    """
    numbers = (_cpuinfo(key) for key in ("CPU implementer", "CPU part"))
    parts = (describe_device(torch.device("cpu")), platform.machine(), *numbers)
    return " ".join(part for part in parts if part)


def _cpuinfo(key: str) -> str:
    """Value of the first line `key : value` of /proc/cpuinfo; empty without such a line."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:  # not Linux: no instruction may be assumed
        return ""
    return next(
        (line.partition(":")[2].strip() for line in lines if line.partition(":")[0].strip() == key),
        "",
    )
