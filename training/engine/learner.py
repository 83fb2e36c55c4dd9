"""What learns in a run, behind one forward, as data-parallel training wants it."""

import contextlib

import torch
from torch import Tensor, nn

from sfm_odometry.networks.model import Model, channels_last
from training.config import TrainConfig
from training.data.augment import SnippetRandom, augment, vary_colour
from training.data.batch import Batch
from training.objective.objective import objective
from training.objective.predictions import Predictions, predict


class Learner(nn.Module):
    """The networks and the cameras of a run, and the objective that they are judged by."""

    def __init__(
        self, model: Model, cameras: nn.Module, config: TrainConfig, device: torch.device
    ) -> None:
        """cameras: from a batch to one with their intrinsics in it, such as
        :class:`training.engine.learned_cameras.LearnedCameras`."""
        super().__init__()
        self.model = channels_last(model, device)
        self.cameras = cameras.to(device)
        self.config, self.device = config, device
        if config.compile:
            self.model.depth_net.compile()
            self.model.pose_net.compile()
        # On a processor the compiler would take minutes for the objective: most of it is sampling,
        # which it does not make faster.
        self._objective = (
            torch.compile(objective, dynamic=False)
            if config.compile and device.type == "cuda"
            else objective
        )

    def forward(self, batch: Batch, random: SnippetRandom) -> dict[str, Tensor]:
        """The objective's terms of a batch on the device, which is varied first."""
        return self.learn(*self.vary(batch, random))

    def vary(self, batch: Batch, random: SnippetRandom) -> tuple[Batch, Tensor]:
        """A batch on the device with the cameras' intrinsics, varied; and its frames (B, N, C,
        H, W) as the networks see them."""
        batch = augment(self.cameras(batch), self.config.augment, random)
        return batch, vary_colour(batch.frames, self.config.augment, random)

    def learn(self, batch: Batch, seen: Tensor) -> dict[str, Tensor]:
        """The objective's terms of what :meth:`vary` gives."""
        return self._objective(batch, self.predict(seen), self.config.objective)

    def judge(self, batch: Batch) -> tuple[Batch, Predictions, dict[str, Tensor]]:
        """A batch on the device with the cameras' intrinsics, the networks' predictions in
        evaluation mode, and the objective's terms."""
        batch = self.cameras(batch)
        training = self.training
        self.eval()
        predictions = self.predict(batch.frames)
        self.train(training)
        return batch, predictions, objective(batch, predictions, self.config.objective)

    def predict(self, frames: Tensor) -> Predictions:
        """Run the networks on frames (B, N, C, H, W) in [0, 1], in the configured precision."""
        with self._autocast(frames.device):
            return predict(self.model, frames, self.config.objective)

    def _autocast(self, device: torch.device) -> contextlib.AbstractContextManager:
        if self.config.precision == "float32":
            return contextlib.nullcontext()
        # No weight is cast twice in a step; and a CUDA graph must not hold what is in the cache.
        return torch.autocast(device.type, dtype=torch.bfloat16, cache_enabled=False)
