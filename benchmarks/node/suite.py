"""The whole benchmark of the node, step by step; and a quick version of it."""

import argparse
from pathlib import Path

from benchmarks.node.corridor import CAMERA, render_corridor
from benchmarks.node.harness import NodeHarness
from benchmarks.node.load import BASE_RATE_HZ, LoadTestConfig
from benchmarks.node.networks import WARM_UPS, NetworkTimes, time_networks, write_papers_model
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
QUICK_FRAMES = 12
QUICK_CONFIG = LoadTestConfig(trial_s=0.25, trials=1, base_s=1.5, last_s=20.0, lead_in=4)
TIMED_FRAMES = 15
QUICK_TIMED_FRAMES = 2
QUICK_WARM_UPS = 1
QUICK_NARROWING = 4
"""Divisor of the widths of the papers' networks: their full size takes seconds to load."""


def measure_all(
    arguments: argparse.Namespace, folder: Path, progress: Progress
) -> tuple[list[NodeResult], list[StageResult], list[NetworkTimes]]:
    """Measure nodes, stages and networks; `folder` takes logs and the papers' model.

    Raises ChildError or InputError with the reason where something fails.
    """
    quick = arguments.quick

    # Time the networks without the node.
    papers_model = folder / "papers.safetensors"
    write_papers_model(papers_model, QUICK_NARROWING if quick else 1)
    networks = []
    for name, path in (("default", arguments.model), ("papers' networks", papers_model)):
        progress.say(f"networks alone: {name}")
        frames = QUICK_TIMED_FRAMES if quick else TIMED_FRAMES
        warm_ups = QUICK_WARM_UPS if quick else WARM_UPS
        networks.append(time_networks(path, name, arguments.device, frames, warm_ups))

    # Measure every node under load, then the default one by stages.
    setups = node_setups(arguments.device, arguments.model, papers_model)
    if quick:
        setups = quick_setups(setups)
    config = QUICK_CONFIG if quick else LoadTestConfig()
    nodes = []
    images = render_corridor(CAMERA, QUICK_FRAMES if quick else FRAMES)
    with NodeHarness(images, CAMERA) as harness:
        for setup in setups:
            progress.say(f"node: {setup.name}")
            nodes += measure_setup(setup, harness, config, folder)
        progress.say("node: its stages")
        rate_hz = min(BASE_RATE_HZ, nodes[0].load.easy_hz)
        stages = measure_stages(setups[0], harness, rate_hz, config, folder)
    return nodes, stages, networks


def quick_setups(setups: list[NodeSetup]) -> list[NodeSetup]:
    """Returns the default node, alone and with all consumers, and the papers' networks.

    Gaps do not flush their windows: on a busy machine images come late.
    """
    patience = {"window.max_gap": "60.0"}
    default = setups[0]
    papers = setups[-2]
    return [
        NodeSetup(default.name, default.parameters | patience, (NO_CONSUMERS, ALL_CONSUMERS)),
        NodeSetup(papers.name, papers.parameters | patience, papers.consumers),
    ]
