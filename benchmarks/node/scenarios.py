"""What is measured: nodes with their parameters, and who listens to them."""

from dataclasses import dataclass
from pathlib import Path

from benchmarks.node.load import Effort, Load, drive, measure_load, wait_until_tracking
from benchmarks.node.rig import CAMERA_FRAME, Rig
from benchmarks.node.stages import median_ms, read_frames
from demo.processes import Child, child_environment, python_command

BASE_FROM_CAMERA = [0.0, 0.0, 1.65, -0.5, 0.5, -0.5, 0.5]
"""z ahead becomes x ahead, 1.65 m over the road."""
ALONE: tuple[str, ...] = ()
ALL = ("depth", "mask", "cloud")


@dataclass(frozen=True)
class Setup:
    """A node by its parameters, and the groups of consumers that it is measured with."""

    name: str
    parameters: dict[str, str]
    consumers: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class NodeResult:
    """One node with one group of consumers under load."""

    setup: str
    consumers: tuple[str, ...]
    load: Load
    heard: dict[str, int]
    """Messages that the consumers got, by topic."""
    status: dict[str, str]
    """What the node last said of itself."""


@dataclass(frozen=True)
class StageResult:
    """Median processor milliseconds by stage, with one group of consumers at an easy rate."""

    consumers: tuple[str, ...]
    rate_hz: float
    stages_ms: dict[str, float]


def setups(device: str, model: Path | None, papers: Path) -> list[Setup]:
    """All nodes of the whole benchmark."""
    ours = {"model.device": device} | (
        {} if model is None else {"model.path": str(model.absolute())}
    )
    # Random weights have nothing to refine; without that, depth is only inferred while somebody
    # listens to it.
    bare = {"model.device": device, "model.path": str(papers), "refine": "false"}
    return [
        Setup("default", ours, (ALONE, ("depth", "mask"), ALL)),
        Setup(
            "default, depth at the image's size",
            ours | {"depth.output_size": "input"},
            (("depth", "mask"),),
        ),
        Setup("default, model.backend eager", ours | {"model.backend": "eager"}, (ALONE,)),
        Setup("papers' networks", bare, (("depth", "mask"),)),
        Setup(
            "papers' networks, model.backend eager",
            bare | {"model.backend": "eager"},
            (("depth", "mask"),),
        ),
    ]


def measure_setup(setup: Setup, rig: Rig, effort: Effort, folder: Path) -> list[NodeResult]:
    """Start the node and measure it with each of its groups of consumers; ChildError when it
    fails."""
    results = []
    with Child(
        "odometry node", node_command(setup), folder / "odometry_node.log", child_environment()
    ) as node:
        wait_until_tracking(rig, node)
        for consumers in setup.consumers:
            with rig.consumers(consumers):
                load = measure_load(rig, node, effort)
            results.append(NodeResult(setup.name, consumers, load, rig.heard, rig.status))
        node.stop()
        node.check_success()
    return results


def measure_stages(
    setup: Setup, rig: Rig, rate_hz: float, seconds: float, folder: Path
) -> list[StageResult]:
    """The same node with a clock on its stages, alone and with all consumers."""
    spans = {}
    path = folder / "stages.json"
    command = node_command(setup, "benchmarks.node.stages", str(path))
    with Child("odometry node", command, folder / "stages.log", child_environment()) as node:
        wait_until_tracking(rig, node)
        for consumers in (ALONE, ALL):
            with rig.consumers(consumers):
                spans[consumers] = drive(rig, rate_hz, seconds).seconds
        node.stop()
        node.check_success()
    frames = read_frames(path)
    return [
        StageResult(consumers, rate_hz, median_ms(frames, span))
        for consumers, span in spans.items()
    ]


def node_command(
    setup: Setup, module: str = "sfm_odometry.nodes.odometry_node", *arguments: str
) -> list[str]:
    """The command that starts the node."""
    parameters = {
        "camera.base_from_camera": str(BASE_FROM_CAMERA),
        "camera_frame": CAMERA_FRAME,
    } | setup.parameters
    assignments = [
        word for name, value in parameters.items() for word in ("-p", f"{name}:={value}")
    ]
    return python_command(module, *arguments, "--ros-args", *assignments)
