"""What the node shall cost at most, beside what was seen."""

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.node.networks import NetworkTimes
from benchmarks.node.scenarios import ALL, ALONE, NodeResult, StageResult
from benchmarks.node.stages import OVERHEAD


@dataclass(frozen=True)
class Goal:
    """A limit, `at_least` or at most, and what was seen; None: it was not measured."""

    what: str
    limit: float
    unit: str
    seen: float | None
    at_least: bool = False

    @property
    def met(self) -> bool:
        """Whether what was seen keeps to the limit."""
        return self.seen is not None and (
            self.seen >= self.limit if self.at_least else self.seen <= self.limit
        )


def goals(
    nodes: Sequence[NodeResult], stages: Sequence[StageResult], networks: Sequence[NetworkTimes]
) -> list[Goal]:
    """The figures wanted of two processor cores."""
    loads = {(node.setup, node.consumers): node.load for node in nodes}
    alone, shown = loads.get(("default", ALONE)), loads.get(("default", ("depth", "mask")))
    papers = [times.speed_up for times in networks if times.model == "papers' networks"]
    memory = [node.load.resident_mib for node in nodes if node.setup.startswith("default")]
    return [
        Goal(
            "default, odometry and TF: frames/s without loss",
            40.0,
            "",
            alone and alone.held_hz,
            at_least=True,
        ),
        Goal(
            "default, odometry and TF: median latency",
            25.0,
            "ms",
            alone and alone.easy_latency_ms_median,
        ),
        Goal(
            "default, odometry and TF: 99th percentile of latency",
            50.0,
            "ms",
            alone and alone.easy_latency_ms_p99,
        ),
        Goal(
            "default, depth and mask: frames/s without loss",
            30.0,
            "",
            shown and shown.held_hz,
            at_least=True,
        ),
        Goal(
            "papers' networks, times as fast as plain eager",
            1.8,
            "",
            papers[0] if papers else None,
            at_least=True,
        ),
        Goal("resident memory, any consumers", 600.0, "MiB", max(memory) if memory else None),
        Goal(
            "conversions, publishing, bookkeeping, odometry alone",
            3.0,
            "ms",
            _overhead_ms(stages, ALONE),
        ),
        Goal(
            "conversions, publishing, bookkeeping, all consumers",
            3.0,
            "ms",
            _overhead_ms(stages, ALL),
        ),
    ]


def _overhead_ms(stages: Sequence[StageResult], consumers: tuple[str, ...]) -> float | None:
    found = [
        result.stages_ms for result in stages if result.consumers == consumers and result.stages_ms
    ]
    return sum(found[0].get(stage, 0.0) for stage in OVERHEAD) if found else None
