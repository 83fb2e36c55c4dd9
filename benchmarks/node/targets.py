"""Performance targets of the node on two processor cores."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.node.load import Load
from benchmarks.node.networks import NetworkTimes
from benchmarks.node.scenarios import (
    ALL_CONSUMERS,
    DEPTH_AND_MASK,
    NO_CONSUMERS,
    NodeResult,
    StageResult,
)
from benchmarks.node.stages import OVERHEAD_STAGES


@dataclass(frozen=True)
class Target:
    """Limit on a measured value, `at_least` or at most; the value is None where not measured."""

    name: str
    limit: float
    unit: str
    value: float | None
    at_least: bool = False

    @property
    def met(self) -> bool:
        """Whether the value was measured and keeps to the limit."""
        return self.value is not None and (
            self.value >= self.limit if self.at_least else self.value <= self.limit
        )

    def as_json(self) -> dict[str, Any]:
        """Returns the fields by their names in the JSON file."""
        return {
            "what": self.name,
            "limit": self.limit,
            "unit": self.unit,
            "seen": self.value,
            "at_least": self.at_least,
            "met": self.met,
        }


def performance_targets(
    nodes: Sequence[NodeResult], stages: Sequence[StageResult], networks: Sequence[NetworkTimes]
) -> list[Target]:
    """Returns all targets with the values measured of nodes, stages and networks."""
    conversions = "conversions, publishing, bookkeeping"
    return [
        *_load_targets(nodes),
        Target(
            name="papers' networks, times as fast as plain eager",
            limit=1.8,
            unit="",
            value=_papers_speed_up(networks),
            at_least=True,
        ),
        Target("resident memory, any consumers", 600.0, "MiB", _default_memory_mib(nodes)),
        Target(f"{conversions}, odometry alone", 3.0, "ms", _overhead_ms(stages, NO_CONSUMERS)),
        Target(f"{conversions}, all consumers", 3.0, "ms", _overhead_ms(stages, ALL_CONSUMERS)),
    ]


def _load_targets(nodes: Sequence[NodeResult]) -> list[Target]:
    """Rates and latencies of the default node."""
    loads = {(node.setup, node.consumers): node.load for node in nodes}
    alone: Load | None = loads.get(("default", NO_CONSUMERS))
    with_depth: Load | None = loads.get(("default", DEPTH_AND_MASK))
    return [
        Target(
            name="default, odometry and TF: frames/s without loss",
            limit=40.0,
            unit="",
            value=alone.held_hz if alone else None,
            at_least=True,
        ),
        Target(
            name="default, odometry and TF: median latency",
            limit=25.0,
            unit="ms",
            value=alone.easy_latency_ms_median if alone else None,
        ),
        Target(
            name="default, odometry and TF: 99th percentile of latency",
            limit=50.0,
            unit="ms",
            value=alone.easy_latency_ms_p99 if alone else None,
        ),
        Target(
            name="default, depth and mask: frames/s without loss",
            limit=30.0,
            unit="",
            value=with_depth.held_hz if with_depth else None,
            at_least=True,
        ),
    ]


def _papers_speed_up(networks: Sequence[NetworkTimes]) -> float | None:
    """Returns how many times as fast as plain the papers' networks are."""
    return next((times.speed_up for times in networks if times.model == "papers' networks"), None)


def _default_memory_mib(nodes: Sequence[NodeResult]) -> float | None:
    """Returns the largest resident memory of the default nodes."""
    return max(
        (node.load.resident_mib for node in nodes if node.setup.startswith("default")),
        default=None,
    )


def _overhead_ms(stages: Sequence[StageResult], consumers: tuple[str, ...]) -> float | None:
    """Returns the processor time of ROS's stages in ms per frame, with this group of consumers."""
    results = [
        result.stages_ms for result in stages if result.consumers == consumers and result.stages_ms
    ]
    return sum(results[0].get(stage, 0.0) for stage in OVERHEAD_STAGES) if results else None
