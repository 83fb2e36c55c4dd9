"""Results of the node benchmark as text tables and as JSON."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.node.networks import NetworkTimes
from benchmarks.node.scenarios import NodeResult, StageResult
from benchmarks.node.targets import Target, performance_targets

STATUS_KEYS = (
    "frames_received",
    "frames_dropped",
    "frames_unrefined",
    "losses",
    "gaps",
    "device",
    "model_sha256",
)
"""Entries of the node's status in the JSON; the others are in the table, or unrelated to cost."""


@dataclass(frozen=True)
class Results:
    """All measurements, and the machine and images that they were made with."""

    machine: dict[str, Any]
    image: str
    """Size and encoding of the images."""
    nodes: Sequence[NodeResult]
    stages: Sequence[StageResult]
    networks: Sequence[NetworkTimes]
    seconds: float
    """Duration of the benchmark."""

    def as_json(self) -> dict[str, Any]:
        """Returns all numbers by name."""
        values = asdict(self)
        for node in values["nodes"]:
            node["status"] = {
                key: node["status"][key] for key in STATUS_KEYS if key in node["status"]
            }
        for times_json, times in zip(values["networks"], self.networks, strict=True):
            times_json["speed_up"] = times.speed_up
        values["wanted"] = [target.as_json() for target in self._targets()]
        return values

    def text(self) -> str:
        """Returns the tables for the terminal."""
        machine = self.machine
        head = [
            f"{machine['cores']} cores of {machine['processor']}, "
            f"load {machine['load_before']} before the start",
            f"Python {machine['python']}, {machine['packages']}, {machine['ros']}",
            f"images: {self.image}, published by one process to the node in another over DDS",
        ]
        tables = [
            node_table(self.nodes),
            stage_table(self.stages),
            network_table(self.networks),
            target_table(self._targets()),
        ]
        return "\n\n".join(["\n".join(head), *tables, f"measured in {self.seconds:.0f} s"])

    def _targets(self) -> list[Target]:
        return performance_targets(self.nodes, self.stages, self.networks)


def node_table(nodes: Sequence[NodeResult]) -> str:
    """Returns the table of rates, latencies, processor time and memory."""
    columns = (
        ("node", ""),
        ("who listens", "beside odom, TF"),
        ("frames/s", "without loss"),
        ("latency then", "median / p99 ms"),
        ("latency", "median / p99 ms"),
        ("at", "Hz"),
        ("CPU a frame", "ms"),
        ("memory", "MiB"),
    )
    rows = [[name for name, _ in columns], [unit for _, unit in columns]]
    for node in nodes:
        load = node.load
        rows.append(
            [
                node.setup,
                ", ".join(node.consumers) or "nobody",
                "none" if load.held_hz is None else f"{load.held_hz:.1f}",
                latency_text(load.held_latency_ms_median, load.held_latency_ms_p99),
                latency_text(load.easy_latency_ms_median, load.easy_latency_ms_p99),
                f"{load.easy_hz:.0f}",
                f"{load.cpu_ms_per_frame:.1f}",
                f"{load.resident_mib:.0f}",
            ]
        )
    return align_columns(rows)


def stage_table(stages: Sequence[StageResult]) -> str:
    """Returns the table of processor time by stage, one column for each group of consumers."""
    names = list(dict.fromkeys(name for result in stages for name in result.stages_ms))
    columns = [", ".join(result.consumers) or "odom, TF alone" for result in stages]
    rows = [["CPU by stage, ms a frame, median", *columns]]
    rows += [
        [name, *(f"{result.stages_ms.get(name, 0.0):.2f}" for result in stages)] for name in names
    ]
    rows.append(["together", *(f"{sum(result.stages_ms.values()):.2f}" for result in stages)])
    return align_columns(rows)


def network_table(networks: Sequence[NetworkTimes]) -> str:
    """Returns the table of the networks' times, and their ratio to plain."""
    rows = [
        ["networks of one frame, ms, median", "plain", "eager", "auto", "auto is", "plain / auto"]
    ]
    for times in networks:
        numbers = [f"{value:.1f}" for value in (times.plain_ms, times.eager_ms, times.auto_ms)]
        rows.append([times.model, *numbers, times.backend, f"{times.speed_up:.2f}"])
    return align_columns(rows)


def target_table(targets: Sequence[Target]) -> str:
    """Returns the table of performance targets and measured values."""
    rows = [["wanted of two cores", "limit", "seen", ""]]
    for target in targets:
        limit = f"{'>=' if target.at_least else '<='} {target.limit:g} {target.unit}".rstrip()
        if target.value is None:
            rows.append([target.name, limit, "not measured", ""])
        else:
            value = f"{target.value:.1f} {target.unit}".rstrip()
            rows.append([target.name, limit, value, "met" if target.met else "missed"])
    return align_columns(rows)


def latency_text(median_ms: float | None, p99_ms: float | None) -> str:
    """Returns both latencies as text, or a dash where they are unknown."""
    return "-" if median_ms is None or p99_ms is None else f"{median_ms:.1f} / {p99_ms:.1f}"


def align_columns(rows: Sequence[Sequence[str]]) -> str:
    """Returns the rows as lines with columns as wide as their widest cell.

    The first column is aligned to the left, the others to the right.
    """
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        others = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  ".join([row[0].ljust(widths[0]), *others]).rstrip())
    return "\n".join(lines)
