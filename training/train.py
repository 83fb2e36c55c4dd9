"""Train: `python -m training.train --config config/training/default.yaml --data D [D ...] --out RUN
[--resume] [key=value ...]`.

On several GPUs, one process each: `torchrun --nproc_per_node=N -m training.train ...`.
"""

import argparse
import contextlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from sfm_odometry.cli import EXIT_BAD_INPUT, run_cli
from training.config import load_config
from training.engine.distributed import PeerFailedError, Processes, open_processes
from training.engine.initial_model import initial_model
from training.engine.learned_cameras import LearnedCameras
from training.engine.learner import Learner
from training.engine.resume import check_resumable, choose_precision, identity_of_run
from training.engine.run_data import RunData, open_run_data
from training.engine.run_folder import RunFolder, find_state
from training.engine.run_log import Board, RunLog, TensorBoard
from training.engine.run_recorder import NullRecorder, RunRecorder
from training.engine.signals import Interruption
from training.engine.subnormals import flush_subnormals
from training.engine.trainer import Trainer


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    arguments = _parser().parse_intermixed_args(argv)
    return run_cli(lambda: command(arguments))


def command(arguments: argparse.Namespace) -> None:
    """Train in this process, alone or with those that torchrun has started beside it; only the
    first one speaks."""
    processes = open_processes()
    try:
        with contextlib.ExitStack() as stack:
            stack.enter_context(flush_subnormals())
            if not processes.first:
                stack.enter_context(
                    contextlib.redirect_stdout(stack.enter_context(open(os.devnull, "w")))
                )
            train(arguments, processes, stack.enter_context(Interruption()))
    except PeerFailedError:
        raise SystemExit(EXIT_BAD_INPUT) from None
    finally:
        processes.close()


def train(arguments: argparse.Namespace, processes: Processes, interruption: Interruption) -> None:
    """Open everything that can be wrong first, then train."""
    with processes.together():
        trainer = _open_run(arguments, processes)
    trainer.run(interruption)
    print(f"{arguments.out}: done; the model is {arguments.out / 'latest.safetensors'}")


def _open_run(arguments: argparse.Namespace, processes: Processes) -> Trainer:
    config = load_config(arguments.config, arguments.overrides)
    device = processes.device(config.device)
    torch.backends.cudnn.benchmark = (
        True  # all batches of a run have one shape: the fastest kernels are looked for once
    )
    data = open_run_data(arguments.data, config, processes.ranks)
    state = find_state(arguments.out, arguments.resume)
    config = choose_precision(
        config, device, processes, state
    )  # measured last: what is wrong is said before
    torch.manual_seed(config.seed)
    cameras = (
        LearnedCameras(data.cameras, config.model.width, config.model.height)
        if config.learn_intrinsics
        else nn.Identity()
    )
    learner = Learner(initial_model(config), cameras, config, device)
    identity = identity_of_run(config, data, processes.ranks, device)
    folder = RunFolder(arguments.out, config)
    if state is not None:
        for change in check_resumable(state["identity"], identity):
            print(f"note: {change}")
    keeper = (
        _open_keeper(learner, folder, data, identity, state) if processes.first else NullRecorder()
    )
    trainer = Trainer(config, learner, data.training, keeper, processes)
    if state is not None:
        trainer.resume(state)
    parameters = sum(parameter.numel() for parameter in learner.parameters())
    places = (
        f"{learner.device}"
        if processes.ranks == 1
        else f"{processes.ranks} processes, each on {learner.device.type}"
    )
    print(
        f"{len(data.training)} snippets to learn from, {parameters:,} parameters, on {places}",
        flush=True,
    )
    return trainer


def _open_keeper(
    learner: Learner,
    folder: RunFolder,
    data: RunData,
    identity: dict[str, Any],
    state: dict[str, Any] | None,
) -> RunRecorder:
    folder.prepare()
    step = state["step"] if state else 0
    board = (
        TensorBoard(folder.path / "tensorboard", step) if learner.config.tensorboard else Board()
    )
    keeper = RunRecorder(
        learner, folder, RunLog(folder, board, step), data.validation, data.examples, identity
    )
    if state is not None:
        keeper.resume(state)
    return keeper


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training.train", description=__doc__)
    parser.add_argument(
        "--config", type=Path, required=True, help="a recipe, as config/training/default.yaml"
    )
    parser.add_argument(
        "--data", type=Path, nargs="+", required=True, help="folders written by training.prepare"
    )
    parser.add_argument("--out", type=Path, required=True, help="the run's folder")
    parser.add_argument(
        "--resume", action="store_true", help="go on from the newest state in the run's folder"
    )
    parser.add_argument(
        "overrides", nargs="*", metavar="key=value", help="settings that override the recipe's"
    )
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
