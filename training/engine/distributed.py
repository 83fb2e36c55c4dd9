"""Data-parallel training in the processes of torchrun, one per GPU, or in a single process.

`torchrun --nproc_per_node=N -m training.train ...` starts N processes. A single process has the
same interface, and the rest of the engine does not distinguish the two.
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

TIMEOUT = timedelta(hours=2)
"""Maximum wait for another process, such as the first one while it validates and writes."""


class PeerFailedError(SfmOdometryError):
    """Another process has failed and reports the error; this one prints nothing."""


class ProcessGroup:
    """Group of a single process; the interface of all groups."""

    rank = 0
    """Index of this process."""
    ranks = 1
    """Number of processes in the group."""

    @property
    def is_first(self) -> bool:
        """Whether this is the process that validates, writes files and prints."""
        return self.rank == 0

    def device(self, name: str) -> torch.device:
        """Returns this process's device for the configured `auto`, `cpu` or `cuda[:N]`."""
        return choose_device(name)

    def wrap(self, module: nn.Module) -> nn.Module:
        """Returns the module with its gradients averaged over the processes."""
        return module

    def mean(self, values: dict[str, float]) -> dict[str, float]:
        """Averages each value over the processes; all pass the same names in the same order."""
        return values

    def any(self, flag: bool) -> bool:
        """Returns whether the flag is set in any process."""
        return flag

    @contextmanager
    def barrier(self) -> Iterator[None]:
        """Leaves the block only when all processes have completed it.

        An error in one process ends all of them: that process raises its own error, the others
        PeerFailedError.
        """
        yield

    def close(self) -> None:
        """Leaves the group."""


class TorchrunProcessGroup(ProcessGroup):
    """Group of the processes that torchrun has started."""

    def __init__(self) -> None:
        self.rank = int(os.environ["RANK"])
        self.ranks = int(os.environ["WORLD_SIZE"])
        self._local_rank = int(os.environ["LOCAL_RANK"])
        # Flags and scalars are exchanged by gloo from the host's memory: exchanging them does not
        # synchronise with the GPU.
        dist.init_process_group(
            "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo", timeout=TIMEOUT
        )

    def device(self, name: str) -> torch.device:
        """Returns this process's device; on GPUs, the one of its local rank.

        Raises InputError where the machine has too few.
        """
        device = choose_device(name)
        if device.type != "cuda":
            return device
        if self._local_rank >= (count := torch.cuda.device_count()):
            raise InputError(
                f"{self._local_rank + 1} or more processes on a machine of {count} CUDA devices: "
                "start one process a device"
            )
        torch.cuda.set_device(self._local_rank)
        return torch.device("cuda", self._local_rank)

    def wrap(self, module: nn.Module) -> nn.Module:
        """Returns the module with the first process's weights and averaged gradients."""
        # The parameters that take part depend on the objective alone (a pose network alone, no
        # masks, fewer scales than heads): a static graph detects them in the first step.
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
    def barrier(self) -> Iterator[None]:
        failure = None
        try:
            yield
        except SfmOdometryError as error:
            failure = error
        # The failed process of the lowest rank reports its error.
        failed_rank = torch.tensor([self.ranks if failure is None else self.rank])
        dist.all_reduce(failed_rank, dist.ReduceOp.MIN)
        if failure is not None and failed_rank == self.rank:
            raise failure
        if failed_rank < self.ranks:
            raise PeerFailedError(f"process {int(failed_rank)} failed")

    def close(self) -> None:
        dist.destroy_process_group()


def open_process_group() -> ProcessGroup:
    """Returns torchrun's group where torchrun has started this process, else a single process."""
    return TorchrunProcessGroup() if "TORCHELASTIC_RUN_ID" in os.environ else ProcessGroup()
