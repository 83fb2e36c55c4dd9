"""Backend of torch.compile: fewer passes over memory.

It takes half a minute of compilation at the first start and needs a C++ compiler on the machine.
"""

import torch
from torch import Tensor

from sfm_odometry.backends.backend import Compute
from sfm_odometry.errors import InputError
from sfm_odometry.networks.stage import Stage


class Compiled:
    """Kernels that torch generates for the exact shapes, on any device that it supports."""

    def __init__(self, device: torch.device) -> None:
        pass

    def prepare(self, stage: Stage, examples: tuple[Tensor, ...]) -> Compute:
        """Returns the compiled stage; compilation happens here, not at the first frame.

        Raises InputError without a compiler.
        """
        # Frozen: weights are constants, whose reordering for the kernels is done once.
        compiled = torch.compile(stage, dynamic=False, options={"freezing": True})
        try:
            compiled(*examples)
        except torch._dynamo.exc.TorchDynamoException as error:
            first_line = str(error).strip().partition("\n")[0]
            raise InputError(
                f"backend compiled cannot be used here, it needs a C++ compiler: {first_line}"
            ) from error
        return compiled
