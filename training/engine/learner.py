"""Module of everything that learns in a run, with one forward for data-parallel training."""

import contextlib

import torch
from torch import Tensor, nn

from sfm_odometry.networks.model import Model, channels_last
from training.config import TrainConfig
from training.data.augment import SnippetRandom, augment, jitter_colour
from training.data.batch import Batch
from training.data.taught import TaughtBatch, black_margins
from training.objective.objective import objective
from training.objective.predictions import Predictions, predict


class Learner(nn.Module):
    """Networks and cameras of a run, and their objective."""

    def __init__(
        self, model: Model, cameras: nn.Module, config: TrainConfig, device: torch.device
    ) -> None:
        """cameras: module that replaces the intrinsics of a batch, such as
        :class:`training.engine.learned_cameras.LearnedCameras`.
        """
        super().__init__()
        self.model = channels_last(model, device)
        self.cameras = cameras.to(device)
        self.config = config
        self.device = device
        if config.compile:
            self.model.depth_net.compile()
            self.model.pose_net.compile()
        # On a CPU compiling the objective would take minutes: most of it is sampling, which
        # compilation does not make faster.
        self._objective = (
            torch.compile(objective, dynamic=False)
            if config.compile and device.type == "cuda"
            else objective
        )

    def forward(self, batch: Batch, random: SnippetRandom) -> dict[str, Tensor]:
        """Computes the terms of the objective for a batch on the device, after augmentation."""
        return self.compute_terms(*self.augment(batch, random))

    def augment(self, batch: Batch, random: SnippetRandom) -> tuple[Batch, Tensor]:
        """Augments a batch on the device, with the cameras' intrinsics.

        Returns it with the networks' input frames (B, N, C, H, W), whose colours are jittered.
        """
        batch = augment(self.cameras(batch), self.config.augment, random)
        inputs = jitter_colour(batch.frames, self.config.augment, random)
        # Margins are black at run time, whatever the light.
        return batch, black_margins(inputs, batch.window) if isinstance(
            batch, TaughtBatch
        ) else inputs

    def compute_terms(self, batch: Batch, inputs: Tensor) -> dict[str, Tensor]:
        """Computes the terms of the objective for the result of :meth:`augment`.

        inputs: frames (B, N, C, H, W) for the networks.
        """
        return self._objective(batch, self.predict(inputs), self.config.objective)

    def evaluate(self, batch: Batch) -> tuple[Batch, Predictions, dict[str, Tensor]]:
        """Runs the networks in evaluation mode on a batch on the device.

        Returns the batch with the cameras' intrinsics, the predictions, and the objective's terms.
        """
        batch = self.cameras(batch)
        training = self.training
        self.eval()
        predictions = self.predict(batch.frames)
        self.train(training)
        return batch, predictions, objective(batch, predictions, self.config.objective)

    def predict(self, frames: Tensor) -> Predictions:
        """Runs the networks on frames (B, N, C, H, W) in [0, 1], in the configured precision."""
        with self._autocast(frames.device):
            return predict(self.model, frames, self.config.objective)

    def _autocast(self, device: torch.device) -> contextlib.AbstractContextManager:
        """Returns the context of the configured precision."""
        if self.config.precision == "float32":
            return contextlib.nullcontext()
        # Without a cache of cast weights: no weight is cast twice in a step, and a CUDA graph must
        # not hold the cached ones.
        return torch.autocast(device.type, dtype=torch.bfloat16, cache_enabled=False)
