"""Scenarios of the node benchmark: node parameters and groups of consumers, and their measuring."""

from dataclasses import dataclass
from pathlib import Path

from benchmarks.node.harness import CAMERA_FRAME, NodeHarness
from benchmarks.node.load import (
    Load,
    LoadTestConfig,
    measure_load,
    run_at_rate,
    wait_until_tracking,
)
from benchmarks.node.stages import median_ms, read_frames
from demo.processes import Child, child_environment, python_command

BASE_FROM_CAMERA = [0.0, 0.0, 1.65, -0.5, 0.5, -0.5, 0.5]
"""Camera 1.65 m over the road; its z axis (ahead) is the x axis of base_link."""
NO_CONSUMERS: tuple[str, ...] = ()
"""Odometry and TF alone."""
DEPTH_AND_MASK = ("depth", "mask")
ALL_CONSUMERS = ("depth", "mask", "cloud")


@dataclass(frozen=True)
class NodeSetup:
    """Node parameters, and the groups of consumers that the node is measured with."""

    name: str
    parameters: dict[str, str]
    consumers: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class NodeResult:
    """Result of one node under load with one group of consumers."""

    setup: str
    consumers: tuple[str, ...]
    load: Load
    heard: dict[str, int]
    """Number of messages that the consumers received, by topic."""
    status: dict[str, str]
    """Last status that the node published."""


@dataclass(frozen=True)
class StageResult:
    """Median processor milliseconds by stage, with one group of consumers at an easy rate."""

    consumers: tuple[str, ...]
    rate_hz: float
    stages_ms: dict[str, float]


def node_setups(device: str, model: Path | None, papers_model: Path) -> list[NodeSetup]:
    """Returns all setups of the whole benchmark; `model` None is the packaged one."""
    default = {"model.device": device} | (
        {} if model is None else {"model.path": str(model.absolute())}
    )
    # Refinement has no use with random weights; without it, depth is only inferred while somebody
    # subscribes to it.
    papers = {"model.device": device, "model.path": str(papers_model), "refine": "false"}
    eager = {"model.backend": "eager"}
    full_size = {"depth.output_size": "input"}
    return [
        NodeSetup("default", default, (NO_CONSUMERS, DEPTH_AND_MASK, ALL_CONSUMERS)),
        NodeSetup("default, depth at the image's size", default | full_size, (DEPTH_AND_MASK,)),
        NodeSetup("default, model.backend eager", default | eager, (NO_CONSUMERS,)),
        NodeSetup("papers' networks", papers, (DEPTH_AND_MASK,)),
        NodeSetup("papers' networks, model.backend eager", papers | eager, (DEPTH_AND_MASK,)),
    ]


def measure_setup(
    setup: NodeSetup, harness: NodeHarness, config: LoadTestConfig, folder: Path
) -> list[NodeResult]:
    """Start the node and measure it with each of its groups of consumers.

    Raises ChildError where the node fails; its log is in `folder`.
    """
    results = []
    log = folder / "odometry_node.log"
    with Child("odometry node", node_command(setup), log, child_environment()) as node:
        wait_until_tracking(harness, node)
        for consumers in setup.consumers:
            with harness.consumers(consumers):
                load = measure_load(harness, node, config)
            results.append(
                NodeResult(
                    setup=setup.name,
                    consumers=consumers,
                    load=load,
                    heard=harness.heard,
                    status=harness.status,
                )
            )
        node.stop()
        node.check_success()
    return results


def measure_stages(
    setup: NodeSetup, harness: NodeHarness, rate_hz: float, config: LoadTestConfig, folder: Path
) -> list[StageResult]:
    """Measure processor time by stage at a rate, with no and with all consumers.

    Raises ChildError where the node fails; its log is in `folder`.
    """
    # Run the node with a clock on its stages.
    spans_s = {}
    path = folder / "stages.json"
    command = node_command(setup, "benchmarks.node.stages", str(path))
    with Child("odometry node", command, folder / "stages.log", child_environment()) as node:
        wait_until_tracking(harness, node)
        for consumers in (NO_CONSUMERS, ALL_CONSUMERS):
            with harness.consumers(consumers):
                run = run_at_rate(harness, rate_hz, config.base_s, config)
                spans_s[consumers] = run.seconds
        node.stop()
        node.check_success()

    # The node writes its times when it ends.
    frames = read_frames(path)
    return [
        StageResult(consumers, rate_hz, median_ms(frames, span_s))
        for consumers, span_s in spans_s.items()
    ]


def node_command(
    setup: NodeSetup, module: str = "sfm_odometry.nodes.odometry_node", *arguments: str
) -> list[str]:
    """Returns the command that starts the node with the parameters of a setup."""
    parameters = {
        "camera.base_from_camera": str(BASE_FROM_CAMERA),
        "camera_frame": CAMERA_FRAME,
    } | setup.parameters
    assignments = [
        word for name, value in parameters.items() for word in ("-p", f"{name}:={value}")
    ]
    return python_command(module, *arguments, "--ros-args", *assignments)
