"""Processor time and memory of another process, read from Linux's /proc."""

import os
from collections import defaultdict
from pathlib import Path

TICK_S = 1.0 / os.sysconf("SC_CLK_TCK")


def thread_seconds(pid: int) -> dict[str, float]:
    """Returns processor seconds since the process began, by kind of thread.

    The kinds are the main thread, the middleware's threads, and all others.
    """
    seconds: defaultdict[str, float] = defaultdict(float)
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            name, used_s = _read_stat(task / "stat")
        except FileNotFoundError:  # the thread ended meanwhile
            continue
        if task.name == str(pid):
            kind = "main"
        elif name.startswith("dds."):
            kind = "middleware"
        else:
            kind = "worker and others"
        seconds[kind] += used_s
    return dict(seconds)


def process_seconds(pid: int) -> float:
    """Returns processor seconds of the process since it began, those of ended threads included."""
    return _read_stat(Path(f"/proc/{pid}/stat"))[1]


def resident_mib(pid: int) -> float:
    """Returns the resident memory of the process in MiB."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) / 1024.0 for line in lines if line.startswith("VmRSS:"))


def _read_stat(stat: Path) -> tuple[str, float]:
    """Returns name and processor seconds of a process or thread from its stat file.

    proc(5): fields 14 and 15 are utime and stime, and the name stands in brackets.
    """
    head, _, tail = stat.read_text(encoding="utf-8").rpartition(")")
    user, system = tail.split()[11:13]
    return head.partition("(")[2], (int(user) + int(system)) * TICK_S
