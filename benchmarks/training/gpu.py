"""The share of time that training waits for data."""

import time

import torch

from benchmarks.training.contenders import our_learner
from benchmarks.training.data import random_sampler
from training.config import TrainConfig
from training.data.augment import SnippetRandom
from training.data.device_data import device_sampler
from training.data.prefetch import Prefetcher
from training.engine.captured_step import training_step


def data_wait(config: TrainConfig, device: torch.device, steps: int = 200) -> float:
    """Share of the time that steps on prepared data, drawn as a run draws it, wait for snippets."""
    learner, optimiser = our_learner(config, device)
    learn = training_step(learner.config, learner, learner, optimiser, 1)
    with random_sampler(
        config.model.pose.frames, config.model.image_channels, config.batch_size
    ) as sampler:
        on_device = device_sampler(sampler, config, device)
        drawn = Prefetcher(sampler, 0, steps)
        batches = (
            iter(drawn)
            if on_device is None
            else ((step, on_device.batch(step)) for step in range(steps))
        )
        started, waited_s = time.perf_counter(), 0.0
        for step, batch in batches:
            learn(batch, SnippetRandom(torch.Generator(device).manual_seed(step)), step)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        waited_s = drawn.waited_s
        return waited_s / (time.perf_counter() - started)
