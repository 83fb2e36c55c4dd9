"""One process or several: `torchrun --nproc_per_node=N -m training.train ...` trains data-parallel,
one process a GPU.

Both kinds answer the same questions, so that nobody else asks which it is.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from sfm_odometry.errors import InputError, SfmOdometryError
from sfm_odometry.inference.estimator import choose_device

# The others wait while the first one validates and writes.
PATIENCE = timedelta(hours=2)


class PeerFailedError(SfmOdometryError):
    """Another process failed and says why; this one has nothing to add."""


class Processes:
    """One process: nobody to share with, nobody to wait for."""

    rank = 0
    ranks = 1

    @property
    def first(self) -> bool:
        """Whether this process is the one that validates, writes and speaks."""
        return self.rank == 0

    def device(self, name: str) -> torch.device:
        """This process's device for the configured one: `auto`, `cpu` or `cuda[:N]`."""
        return choose_device(name)

    def wrap(self, module: nn.Module) -> nn.Module:
        """The module whose gradients are averaged over the processes."""
        return module

    def mean(self, values: dict[str, float]) -> dict[str, float]:
        """Each value averaged over the processes, which all have the same names in the same
        order."""
        return values

    def any(self, flag: bool) -> bool:
        """Whether the flag is raised in any process."""
        return flag

    @contextmanager
    def together(self) -> Iterator[None]:
        """Nobody leaves the block before everybody has done it; what one process fails at ends
        all, and only that one says so."""
        yield

    def close(self) -> None:
        """Part from the others."""


class TorchrunProcesses(Processes):
    """One of the processes that torchrun has started."""

    def __init__(self) -> None:
        self.rank, self.ranks = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
        self._local_rank = int(os.environ["LOCAL_RANK"])
        # Flags and figures travel by gloo from the host's memory: asking for them does not make the
        # GPU wait.
        dist.init_process_group(
            "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo", timeout=PATIENCE
        )

    def device(self, name: str) -> torch.device:
        """As for one process, but every process takes the GPU of its local rank; InputError
        where there are too few."""
        device = choose_device(name)
        if device.type != "cuda":
            return device
        if self._local_rank >= (count := torch.cuda.device_count()):
            raise InputError(
                f"{self._local_rank + 1} or more processes on a machine of {count} CUDA devices: start one process a device"
            )
        torch.cuda.set_device(self._local_rank)
        return torch.device("cuda", self._local_rank)

    def wrap(self, module: nn.Module) -> nn.Module:
        """The module with its weights as in the first process and its gradients averaged."""
        # Which parameters take part depends on the objective (a pose network alone, no masks, fewer
        # scales than heads) and on nothing else: it is found out in the first step.
        return DistributedDataParallel(module, static_graph=True, broadcast_buffers=False)

    def mean(self, values: dict[str, float]) -> dict[str, float]:
        sums = torch.tensor(list(values.values()), dtype=torch.float64)
        dist.all_reduce(sums)
        return dict(zip(values, (sums / self.ranks).tolist(), strict=True))

    def any(self, flag: bool) -> bool:
        flags = torch.tensor([int(flag)])
        dist.all_reduce(flags, dist.ReduceOp.MAX)
        return bool(flags)

    @contextmanager
    def together(self) -> Iterator[None]:
        failure = None
        try:
            yield
        except SfmOdometryError as error:
            failure = error
        speaker = torch.tensor([self.ranks if failure is None else self.rank])
        dist.all_reduce(speaker, dist.ReduceOp.MIN)
        if failure is not None and speaker == self.rank:
            raise failure
        if speaker < self.ranks:
            raise PeerFailedError(f"process {int(speaker)} failed")

    def close(self) -> None:
        dist.destroy_process_group()


def open_processes() -> Processes:
    """Where torchrun has started this process, one of its processes; otherwise the only one."""
    return TorchrunProcesses() if "TORCHELASTIC_RUN_ID" in os.environ else Processes()
