"""Share of time that training waits for data."""

import time

import torch

from benchmarks.training.random_dataset import random_sampler
from benchmarks.training.steps import make_learner
from training.config import TrainConfig
from training.data.augment import SnippetRandom
from training.data.device_data import device_sampler
from training.data.prefetch import Prefetcher
from training.engine.captured_step import training_step


def data_wait(config: TrainConfig, device: torch.device, steps: int = 200) -> float:
    """Returns the share of time that training steps wait for snippets, drawn as in a run."""
    # Prepare learner and data.
    learner, optimiser = make_learner(config, device)
    learn = training_step(learner.config, learner, learner, optimiser, 1)
    frames = config.model.pose.frames
    with random_sampler(frames, config.model.image_channels, config.batch_size) as sampler:
        on_device = device_sampler(sampler, config, device)
        prefetched = Prefetcher(sampler, 0, steps)
        batches = (
            iter(prefetched)
            if on_device is None
            else ((step, on_device.batch(step)) for step in range(steps))
        )

        # Train, and compare the time spent waiting with the whole.
        started = time.perf_counter()
        for step, batch in batches:
            learn(batch, SnippetRandom(torch.Generator(device).manual_seed(step)), step)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return prefetched.waited_s / (time.perf_counter() - started)
