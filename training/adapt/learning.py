"""Learning from footage for a limited time; the best state by the held-out frames is kept."""

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn

from sfm_odometry.networks.model import Model
from training.adapt.measure import Measures, measure
from training.adapt.rendered import RenderedDrive, draw_rendered, joined
from training.adapt.snippets import SnippetPool
from training.config import TrainConfig
from training.data.augment import AugmentConfig, SnippetRandom
from training.engine.learner import Learner
from training.engine.optimiser import Optimiser
from training.objective.objective_config import ObjectiveConfig

SCHEDULE_STEPS = 1000
"""Steps of the learning rate's schedule, over which the time is spread."""
CHECKS = 20
"""Measurements on held-out frames, spread over the time."""
PATIENCE = 8
"""Measurements without a better one after which learning stops."""
HELD_OUT_SNIPPETS = 24
"""Held-out snippets of a measurement."""


@dataclass(frozen=True)
class AdaptConfig:
    """Settings of an adaptation."""

    minutes: float = 20.0
    batch_size: int = 4
    """Snippets of a step, rendered ones included."""
    rendered: int = 1
    """Rendered snippets of each batch."""
    learning_rate: float = 3e-4
    photometric: float = 1.0
    ssim_weight: float = 0.85
    point_supervision: float = 2.0
    taught_motion: float = 0.5
    smoothness: float = 0.1
    seed: int = 0


@dataclass
class Learned:
    """Result: the best state and how it came about."""

    before: Measures
    after: Measures
    state: dict[str, torch.Tensor]
    """Weights of the networks at the best measurement."""
    steps: int = 0
    history: list[tuple[float, Measures]] = field(default_factory=list)
    """Seconds, and measures."""
    reason: str = "the time is over"
    """Why learning ended."""


def train_config(model: Model, config: AdaptConfig) -> TrainConfig:
    """The settings of training that adapt a model."""
    masks = model.config.pose.masks
    objective = ObjectiveConfig(
        scales=min(3, model.config.depth.scales),
        photometric=config.photometric,
        ssim_weight=config.ssim_weight,
        explainability=0.1 if masks else 0.0,
        auto_mask=True,
        smoothness=config.smoothness,
        smoothness_kind="edge_aware",
        normalised_smoothness=True,
        depth_supervision=1.0,
        motion_supervision=1.0,
        mask_supervision=0.5 if masks else 0.0,
        given_motion=True,
        point_supervision=config.point_supervision,
        taught_motion=config.taught_motion,
    )
    augment = AugmentConfig(
        max_zoom=1.15, flip=True, brightness=0.2, contrast=0.2, gamma=0.2, noise=0.01
    )
    return TrainConfig(
        model=model.config,
        objective=objective,
        augment=augment,
        steps=SCHEDULE_STEPS,
        batch_size=config.batch_size,
        learning_rate=config.learning_rate,
        schedule="cosine",
        warmup_steps=20,
        gradient_clip=10.0,
        precision="float32",
        device="cpu",
        seed=config.seed,
    )


class Adaptation:
    """Learning loop over footage and rendered drives."""

    def __init__(
        self,
        model: Model,
        pool: SnippetPool,
        drives: list[RenderedDrive],
        config: AdaptConfig,
        device: torch.device,
        clock: Callable[[], float] = time.monotonic,
        started: float | None = None,
    ) -> None:
        """clock: seconds that count against the time, from `started` on, by default from now."""
        self._started = clock() if started is None else started
        self.config = config
        self.train = train_config(model, config)
        trainable = copy.deepcopy(model).requires_grad_(True)
        self.learner = Learner(trainable, nn.Identity(), self.train, device).train()
        self.optimiser = Optimiser(self.learner.model.parameters(), [], self.train)
        self._pool = pool
        self._drives = drives
        self._clock = clock
        self._held_out = pool.held_out_batches(HELD_OUT_SNIPPETS, config.batch_size)

    def run(
        self,
        report: Callable[[float, Measures, bool], None],
        interrupted: Callable[[], bool] = lambda: False,
    ) -> Learned:
        """Learn until the time is over, nothing improves or `interrupted`.

        report: called after each measurement with the share of the time, the measures, and whether
        they are the best ones.
        """
        # The state before.
        before = self.measure()
        learned = Learned(before, before, self._state())
        report(0.0, before, True)
        best, waited = 1.0, 0
        start, limit = self._started, self.config.minutes * 60.0
        check = int((self._clock() - start) / limit * CHECKS) + 1
        while True:
            # A step.
            self._step(learned.steps, (self._clock() - start) / limit)
            learned.steps += 1
            share = (self._clock() - start) / limit
            stop = interrupted() or share >= 1.0
            if share * CHECKS < check and not stop:
                continue
            # Measure, and keep the best.
            check = int(share * CHECKS) + 1
            measures = self.measure()
            learned.history.append((share * limit, measures))
            score = measures.score(before)
            is_best = score < best
            report(share, measures, is_best)
            waited = 0 if is_best else waited + 1
            if is_best:
                best, learned.after, learned.state = score, measures, self._state()
            if stop or waited >= PATIENCE:
                learned.reason = _reason(interrupted(), share)
                return learned

    def measure(self) -> Measures:
        """Measure the networks on the held-out frames."""
        return measure(self.learner, self._held_out)

    def _step(self, number: int, share: float) -> None:
        """Take one step; `share` of the time decides the learning rate."""
        random = np.random.default_rng([self.config.seed, number])
        length = self._pool.length
        batch = self._pool.draw(self.config.batch_size - self.config.rendered, random)
        if self.config.rendered:
            old = draw_rendered(self._drives, self.config.rendered, length, random)
            batch = joined(batch, old)
        generator = torch.Generator(self.learner.device).manual_seed(
            self.config.seed * 1_000_003 + number
        )
        terms = self.learner(batch.to(self.learner.device), SnippetRandom(generator))
        loss = torch.stack(list(terms.values())).sum()
        if not torch.isfinite(loss):
            return
        schedule = min(int(share * SCHEDULE_STEPS), SCHEDULE_STEPS - 1)
        self.optimiser.step(loss, max(schedule, min(number, 20)))

    def _state(self) -> dict[str, torch.Tensor]:
        """A copy of the networks' weights."""
        state: dict[str, Any] = self.learner.model.state_dict()
        return {name: value.detach().cpu().clone() for name, value in state.items()}


def _reason(interrupted: bool, share: float) -> str:
    if interrupted:
        return "interrupted"
    return "the time is over" if share >= 1.0 else "nothing improves any more"
