"""The whole benchmark, step by step; and a quick one."""

import argparse
from pathlib import Path

from benchmarks.node.corridor import CAMERA, corridor
from benchmarks.node.load import EASY_HZ, Effort
from benchmarks.node.networks import NetworkTimes, time_networks, write_papers_model
from benchmarks.node.rig import Rig
from benchmarks.node.scenarios import (
    ALL,
    ALONE,
    NodeResult,
    Setup,
    StageResult,
    measure_setup,
    measure_stages,
    setups,
)
from demo.progress import Progress

FRAMES = 48
QUICK_EFFORT = Effort(stretch_s=0.5, trials=2, easy_s=1.5)


def measure_all(
    arguments: argparse.Namespace, folder: Path, progress: Progress
) -> tuple[list[NodeResult], list[StageResult], list[NetworkTimes]]:
    """Measure nodes, stages and networks; `folder` takes logs and the papers' model. ChildError
    or InputError says what failed."""
    quick, papers = arguments.quick, folder / "papers.safetensors"
    write_papers_model(papers)
    networks = []
    for name, path in (("default", arguments.model), ("papers' networks", papers)):
        progress.say(f"networks alone: {name}")
        networks.append(time_networks(path, name, arguments.device, 2 if quick else 15))
    planned = setups(arguments.device, arguments.model, papers)
    effort = QUICK_EFFORT if quick else Effort()
    nodes = []
    with Rig(corridor(CAMERA, FRAMES), CAMERA) as rig:
        for setup in quick_ones(planned) if quick else planned:
            progress.say(f"node: {setup.name}")
            nodes += measure_setup(setup, rig, effort, folder)
        progress.say("node: its stages")
        rate_hz = min(EASY_HZ, nodes[0].load.easy_hz)
        stages = measure_stages(planned[0], rig, rate_hz, effort.easy_s, folder)
    return nodes, stages, networks


def quick_ones(planned: list[Setup]) -> list[Setup]:
    """The default node alone and with all consumers, and the papers' networks."""
    default, papers = planned[0], planned[-2]
    return [Setup(default.name, default.parameters, (ALONE, ALL)), papers]
