"""What else is asked on a GPU: the best batch, the memory, the share of time that training waits for data."""

import time

import torch

from training.augment import SnippetRandom
from training.bench.contenders import our_learner, our_step
from training.bench.data import random_sampler
from training.bench.timing import seconds_a_step
from training.config import TrainConfig
from training.prefetch import Prefetcher

LARGEST_BATCH = 512
ENOUGH = 1.03
"""A batch twice as large that is not this many times as fast ends the search."""


def gpu_figures(config: TrainConfig, device: torch.device, steps: int = 20) -> dict[str, float]:
    """The papers' networks at batch 4 and at the best batch: samples a second and GiB; and the share of time waiting for data."""
    figures: dict[str, float] = {}
    batch, best = 4, 0.0
    while batch <= LARGEST_BATCH:
        try:
            speed, memory = _speed(config, device, batch, steps)
        except torch.cuda.OutOfMemoryError:
            break
        if batch == 4:
            figures |= {"samples/s at batch 4": round(speed, 1), "GiB at batch 4": round(memory, 2)}
        if speed < ENOUGH * best:
            break
        best, figures["best batch"] = speed, batch
        figures |= {"samples/s at the best batch": round(speed, 1), "GiB at the best batch": round(memory, 2)}
        batch *= 2
    figures["share of time waiting for data"] = round(data_wait(config, device), 4)
    return figures


def _speed(config: TrainConfig, device: torch.device, batch: int, steps: int) -> tuple[float, float]:
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats(device)
    contender = our_step("", config, device, batch)
    seconds_a_step(contender, device, 3)
    return batch / seconds_a_step(contender, device, steps), torch.cuda.max_memory_allocated(device) / 2**30


def data_wait(config: TrainConfig, device: torch.device, steps: int = 200) -> float:
    """Share of the time that steps with augmentation, on prepared data, wait for snippets."""
    learner, optimiser = our_learner(config, device)
    with random_sampler(config.model.pose.frames, config.model.image_channels, config.batch_size) as sampler:
        batches = Prefetcher(sampler, 0, steps)
        started = time.perf_counter()
        for step, batch in batches:
            random = SnippetRandom(torch.Generator(device).manual_seed(step))
            terms = learner(batch.to(device), random)
            optimiser.descend(torch.stack(list(terms.values())).sum(), step)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return batches.waited_s / (time.perf_counter() - started)
