"""Trains the networks of a recipe on prepared data.

`python -m training.train --config config/training/default.yaml --data D [D ...] --out RUN
[--resume] [key=value ...]`.

On several GPUs, one process each: `torchrun --nproc_per_node=N -m training.train ...`.
"""

import argparse
import contextlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from sfm_odometry.cli import EXIT_BAD_INPUT, EXIT_BROKEN_PIPE, run_cli
from training.config import load_config, split_settings
from training.engine.distributed import PeerFailedError, ProcessGroup, open_process_group
from training.engine.initial_model import initial_model
from training.engine.learned_cameras import LearnedCameras
from training.engine.learner import Learner
from training.engine.output import ReaderLeftError, guarded
from training.engine.resume import check_resumable, choose_precision, identity_of_run
from training.engine.run_data import RunData, open_run_data
from training.engine.run_folder import RunFolder, find_state
from training.engine.run_log import NullBoard, RunLog, TensorBoard
from training.engine.run_recorder import NullRecorder, RunRecorder
from training.engine.signals import InterruptHandler
from training.engine.subnormals import flush_subnormals
from training.engine.trainer import Trainer


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code."""
    arguments = _parser().parse_intermixed_args(argv)
    return run_cli(lambda: command(arguments))


def command(arguments: argparse.Namespace) -> int:
    """Trains in this process, alone or together with torchrun's others; only the first prints.

    Returns the exit code.
    """
    arguments.data, settings = split_settings(arguments.data)
    arguments.overrides = settings + arguments.overrides
    processes = open_process_group()
    try:
        with contextlib.ExitStack() as stack:
            stack.enter_context(flush_subnormals())
            interrupt = stack.enter_context(InterruptHandler())
            output = sys.stdout
            if not processes.is_first:
                output = stack.enter_context(open(os.devnull, "w"))
            stack.enter_context(guarded(output, interrupt.note_reader_left))
            train(arguments, processes, interrupt)
    except PeerFailedError:
        raise SystemExit(EXIT_BAD_INPUT) from None
    except ReaderLeftError:
        # torchrun reports any other code than 0 as a failure, with a traceback of its own.
        return EXIT_BROKEN_PIPE if processes.ranks == 1 else 0
    finally:
        processes.close()
    return 0


def train(
    arguments: argparse.Namespace, processes: ProcessGroup, interrupt: InterruptHandler
) -> None:
    """Opens the run and checks all inputs, then trains."""
    with processes.barrier():
        trainer = _open_run(arguments, processes)
    trainer.run(interrupt)
    print(f"{arguments.out}: done; the model is {arguments.out / 'latest.safetensors'}")


def _open_run(arguments: argparse.Namespace, processes: ProcessGroup) -> Trainer:
    """Creates the trainer of a run, restored from its newest state where it is resumed."""
    # Open configuration, data and state; the precision is measured after they are checked.
    config = load_config(arguments.config, arguments.overrides)
    device = processes.device(config.device)
    # All batches of a run have one shape: the fastest kernels are searched once.
    torch.backends.cudnn.benchmark = True
    data = open_run_data(arguments.data, config, processes.ranks)
    state = find_state(arguments.out, arguments.resume)
    config = choose_precision(config, device, processes, state)
    # Create the networks and the cameras.
    torch.manual_seed(config.seed)
    cameras = (
        LearnedCameras(data.cameras, config.model.width, config.model.height)
        if config.learn_intrinsics
        else nn.Identity()
    )
    learner = Learner(initial_model(config), cameras, config, device)
    # Check that the state is of this run.
    identity = identity_of_run(config, data, processes.ranks, device)
    folder = RunFolder(arguments.out, config)
    if state is not None:
        for change in check_resumable(state["identity"], identity):
            print(f"note: {change}")
    # Create the recorder and the trainer.
    recorder = (
        _open_recorder(learner, folder, data, identity, state)
        if processes.is_first
        else NullRecorder()
    )
    trainer = Trainer(config, learner, data.training, recorder, processes)
    if state is not None:
        trainer.resume(state)
    _print_size(len(data.training), learner, processes)
    return trainer


def _open_recorder(
    learner: Learner,
    folder: RunFolder,
    data: RunData,
    identity: dict[str, Any],
    state: dict[str, Any] | None,
) -> RunRecorder:
    """Creates the run's folder and its recorder, restored from `state`."""
    folder.prepare()
    step = state["step"] if state else 0
    board = (
        TensorBoard(folder.path / "tensorboard", step)
        if learner.config.tensorboard
        else NullBoard()
    )
    log = RunLog(folder, board, step)
    recorder = RunRecorder(learner, folder, log, data.validation, data.examples, identity)
    if state is not None:
        recorder.resume(state)
    return recorder


def _print_size(snippets: int, learner: Learner, processes: ProcessGroup) -> None:
    """Prints the numbers of snippets and parameters, and the devices."""
    parameters = sum(parameter.numel() for parameter in learner.parameters())
    devices = (
        f"{learner.device}"
        if processes.ranks == 1
        else f"{processes.ranks} processes, each on {learner.device.type}"
    )
    print(f"{snippets} snippets to learn from, {parameters:,} parameters, on {devices}", flush=True)


def _parser() -> argparse.ArgumentParser:
    """Creates the parser of the command line."""
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
