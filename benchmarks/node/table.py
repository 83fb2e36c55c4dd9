"""The benchmark's results as text and as JSON."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.node.networks import NetworkTimes
from benchmarks.node.scenarios import NodeResult, StageResult
from benchmarks.node.wanted import goals

STATUS = (
    "frames_received",
    "frames_dropped",
    "frames_unrefined",
    "losses",
    "gaps",
    "device",
    "model_sha256",
)
"""What is kept of the node's status: all else is in the table, or nothing to do with cost."""


@dataclass(frozen=True)
class Results:
    """Everything that was measured, and on what."""

    machine: dict[str, Any]
    image: str
    nodes: Sequence[NodeResult]
    stages: Sequence[StageResult]
    networks: Sequence[NetworkTimes]
    seconds: float

    def as_json(self) -> dict[str, Any]:
        """All numbers by name."""
        values = asdict(self)
        for node in values["nodes"]:
            node["status"] = {
                name: node["status"][name] for name in STATUS if name in node["status"]
            }
        for times, known in zip(values["networks"], self.networks, strict=True):
            times["speed_up"] = known.speed_up
        found = goals(self.nodes, self.stages, self.networks)
        values["wanted"] = [asdict(goal) | {"met": goal.met} for goal in found]
        return values

    def text(self) -> str:
        """The tables for people."""
        machine = self.machine
        head = [
            f"{machine['cores']} cores of {machine['processor']}, load {machine['load_before']} before the start",
            f"Python {machine['python']}, {machine['packages']}, {machine['ros']}",
            f"images: {self.image}, published by one process to the node in another over DDS",
        ]
        tables = [
            node_table(self.nodes),
            stage_table(self.stages),
            network_table(self.networks),
            self._goal_table(),
        ]
        return "\n\n".join(["\n".join(head), *tables, f"measured in {self.seconds:.0f} s"])

    def _goal_table(self) -> str:
        rows = [["wanted of two cores", "limit", "seen", ""]]
        for goal in goals(self.nodes, self.stages, self.networks):
            limit = f"{'>=' if goal.at_least else '<='} {goal.limit:g} {goal.unit}".rstrip()
            seen = "not measured" if goal.seen is None else f"{goal.seen:.1f} {goal.unit}".rstrip()
            rows.append(
                [
                    goal.what,
                    limit,
                    seen,
                    "" if goal.seen is None else "met" if goal.met else "missed",
                ]
            )
        return aligned(rows)


def node_table(nodes: Sequence[NodeResult]) -> str:
    """Rates, latencies, processor time and memory."""
    rows = [
        [
            "node",
            "who listens",
            "frames/s",
            "latency then",
            "latency",
            "at",
            "CPU a frame",
            "memory",
        ]
    ]
    rows.append(
        [
            "",
            "beside odom, TF",
            "without loss",
            "median / p99 ms",
            "median / p99 ms",
            "Hz",
            "ms",
            "MiB",
        ]
    )
    for node in nodes:
        load = node.load
        then = pair(load.held_latency_ms_median, load.held_latency_ms_p99)
        easy = pair(load.easy_latency_ms_median, load.easy_latency_ms_p99)
        held = "none" if load.held_hz is None else f"{load.held_hz:.1f}"
        rest = [f"{load.easy_hz:.0f}", f"{load.cpu_ms_per_frame:.1f}", f"{load.resident_mib:.0f}"]
        rows.append([node.setup, ", ".join(node.consumers) or "nobody", held, then, easy, *rest])
    return aligned(rows)


def stage_table(stages: Sequence[StageResult]) -> str:
    """Processor time by stage, one column for each group of consumers."""
    names = list(dict.fromkeys(name for result in stages for name in result.stages_ms))
    columns = [", ".join(result.consumers) or "odom, TF alone" for result in stages]
    rows = [["CPU by stage, ms a frame, median", *columns]]
    rows += [
        [name, *(f"{result.stages_ms.get(name, 0.0):.2f}" for result in stages)] for name in names
    ]
    rows.append(["together", *(f"{sum(result.stages_ms.values()):.2f}" for result in stages)])
    return aligned(rows)


def network_table(networks: Sequence[NetworkTimes]) -> str:
    """The networks alone, and how many times as fast as plain they are."""
    rows = [
        ["networks of one frame, ms, median", "plain", "eager", "auto", "auto is", "plain / auto"]
    ]
    for times in networks:
        numbers = [f"{value:.1f}" for value in (times.plain_ms, times.eager_ms, times.auto_ms)]
        rows.append([times.model, *numbers, times.backend, f"{times.speed_up:.2f}"])
    return aligned(rows)


def pair(median: float | None, p99: float | None) -> str:
    """Two latencies, or a dash."""
    return "-" if median is None or p99 is None else f"{median:.1f} / {p99:.1f}"


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as their widest cell, the first to the left and the others to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        others = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  ".join([row[0].ljust(widths[0]), *others]).rstrip())
    return "\n".join(lines)
