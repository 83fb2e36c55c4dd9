"""The whole benchmark of the node, step by step; and a quick version of it."""

import argparse
from pathlib import Path

from benchmarks.node.corridor import CAMERA, render_corridor
from benchmarks.node.harness import NodeHarness
from benchmarks.node.load import BASE_RATE_HZ, LoadTestConfig
from benchmarks.node.networks import NetworkTimes, time_networks, write_papers_model
from benchmarks.node.scenarios import (
    ALL_CONSUMERS,
    NO_CONSUMERS,
    NodeResult,
    NodeSetup,
    StageResult,
    measure_setup,
    measure_stages,
    node_setups,
)
from demo.progress import Progress

FRAMES = 48
"""Images of the corridor, after which it begins again."""
QUICK_CONFIG = LoadTestConfig(trial_s=0.5, trials=2, base_s=1.5)
TIMED_FRAMES = 15
QUICK_TIMED_FRAMES = 2


def measure_all(
    arguments: argparse.Namespace, folder: Path, progress: Progress
) -> tuple[list[NodeResult], list[StageResult], list[NetworkTimes]]:
    """Measure nodes, stages and networks; `folder` takes logs and the papers' model.

    Raises ChildError or InputError with the reason where something fails.
    """
    quick = arguments.quick

    # Time the networks without the node.
    papers_model = folder / "papers.safetensors"
    write_papers_model(papers_model)
    networks = []
    for name, path in (("default", arguments.model), ("papers' networks", papers_model)):
        progress.say(f"networks alone: {name}")
        frames = QUICK_TIMED_FRAMES if quick else TIMED_FRAMES
        networks.append(time_networks(path, name, arguments.device, frames))

    # Measure every node under load, then the default one by stages.
    setups = node_setups(arguments.device, arguments.model, papers_model)
    config = QUICK_CONFIG if quick else LoadTestConfig()
    nodes = []
    with NodeHarness(render_corridor(CAMERA, FRAMES), CAMERA) as harness:
        for setup in quick_setups(setups) if quick else setups:
            progress.say(f"node: {setup.name}")
            nodes += measure_setup(setup, harness, config, folder)
        progress.say("node: its stages")
        rate_hz = min(BASE_RATE_HZ, nodes[0].load.easy_hz)
        stages = measure_stages(setups[0], harness, rate_hz, config.base_s, folder)
    return nodes, stages, networks


def quick_setups(setups: list[NodeSetup]) -> list[NodeSetup]:
    """Returns the default node, alone and with all consumers, and the papers' networks."""
    default = setups[0]
    papers = setups[-2]
    return [NodeSetup(default.name, default.parameters, (NO_CONSUMERS, ALL_CONSUMERS)), papers]
