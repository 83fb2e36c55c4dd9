"""Processor time and memory of another process, as Linux tells them in /proc."""

import os
from collections import Counter
from pathlib import Path

TICK_S = 1.0 / os.sysconf("SC_CLK_TCK")


def thread_seconds(pid: int) -> dict[str, float]:
    """Processor seconds that the process has used since it began: of its main thread, of the
    middleware's threads, and of all others."""
    seconds: Counter[str] = Counter()
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            name, used_s = _thread(task / "stat")
        except FileNotFoundError:  # it ended while we looked
            continue
        kind = (
            "main"
            if task.name == str(pid)
            else "middleware"
            if name.startswith("dds.")
            else "worker and others"
        )
        seconds[kind] += used_s
    return dict(seconds)


def process_seconds(pid: int) -> float:
    """Processor seconds of the whole process since it began, with those of threads that have
    ended."""
    return _thread(Path(f"/proc/{pid}/stat"))[1]


def resident_mib(pid: int) -> float:
    """Resident memory now."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) / 1024.0 for line in lines if line.startswith("VmRSS:"))


def _thread(stat: Path) -> tuple[str, float]:
    """Name and processor seconds; proc(5): fields 14 and 15 are utime and stime, and the name
    stands in brackets."""
    head, _, tail = stat.read_text(encoding="utf-8").rpartition(")")
    user, system = tail.split()[11:13]
    return head.partition("(")[2], (int(user) + int(system)) * TICK_S
