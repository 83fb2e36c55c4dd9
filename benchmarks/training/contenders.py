"""The training steps that are compared, each on random data and random weights."""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from benchmarks.training.plain import PlainDispNet, PlainPoseExpNet, plain_loss
from sfm_odometry.networks.model import Model
from training.config import TrainConfig, load_config
from training.data.augment import SnippetRandom
from training.data.batch import Batch
from training.engine.captured_step import is_captured, training_step
from training.engine.learner import Learner
from training.engine.optimiser import Optimiser
from training.engine.precision import resolve_precision

RECIPES = Path(__file__).resolve().parents[2] / "config" / "training"
WIDTH, HEIGHT = 416, 128
DIFFERENT = 16
"""Snippets of a random batch that differ; larger batches repeat them."""


@dataclass(frozen=True)
class Contender:
    """A training step, ready to be timed."""

    name: str
    step: Callable[[], object]


def papers_config(frames: int) -> TrainConfig:
    """SfMLearner's recipe in the paper's unit of length, as the plain step has it, and in the
    precision that is faster on the device."""
    of_the_paper = (
        "model.pose.translation_gain=0.01",
        "model.depth.inverse_depth_offset=0.01",
        "inverse_depth_start=0",
    )
    return load_config(
        RECIPES / "sfmlearner.yaml",
        [f"model.pose.frames={frames}", *of_the_paper, "precision=auto"],
    )


def recipe_config(name: str) -> TrainConfig:
    """A recipe of config/training; SfMLearner's with snippets of 3 frames, as the paper trains
    its pose network for depth."""
    return load_config(
        RECIPES / f"{name}.yaml", ["model.pose.frames=3"] if name == "sfmlearner" else []
    )


def compact_config(frames: int) -> TrainConfig:
    """The compact networks of the default recipe under SfMLearner's objective; they end at half
    size, with three scales."""
    model = load_config(RECIPES / "default.yaml", [f"model.pose.frames={frames}"]).model
    return replace(papers_config(frames), model=model)


def random_batch(config: TrainConfig, count: int, seed: int = 0) -> Batch:
    """Snippets of noise, blurred so that views resemble each other, as they would be drawn:
    uint8, channels last in memory."""
    frames, channels = config.model.pose.frames, config.model.image_channels
    random = torch.Generator().manual_seed(seed)
    different = min(count, DIFFERENT)
    noise = torch.rand(different * frames, channels, HEIGHT // 8, WIDTH // 8, generator=random)
    images = nn.functional.interpolate(noise, size=(HEIGHT, WIDTH), mode="bilinear")
    snippets = (
        (images * 255)
        .to(torch.uint8)
        .permute(0, 2, 3, 1)
        .contiguous()
        .unflatten(0, (different, frames))
    )
    stored = snippets.repeat(-(-count // different), 1, 1, 1, 1)[:count].permute(0, 1, 4, 2, 3)
    intrinsics = torch.tensor(
        [[241.67, 0.0, 203.7], [0.0, 246.28, 58.65], [0.0, 0.0, 1.0]]
    )  # KITTI's, at 416x128
    return Batch(
        frames=stored,
        intrinsics=intrinsics.repeat(count, 1, 1),
        camera=torch.zeros(count, dtype=torch.int64),
        depth=torch.zeros(count, 1, HEIGHT, WIDTH, dtype=torch.float16),
        moving=torch.zeros(count, 1, HEIGHT, WIDTH, dtype=torch.uint8),
        camera_from_frame=torch.eye(4).repeat(count, frames, 1, 1),
        has_depth=torch.zeros(count, dtype=torch.bool),
        has_motion=torch.zeros(count, dtype=torch.bool),
    )


def our_learner(config: TrainConfig, device: torch.device) -> tuple[Learner, Optimiser]:
    """What a run trains with, from random weights; `precision: auto` is settled for the device."""
    config = resolve_precision(config, device)
    torch.manual_seed(0)
    learner = UnvariedLearner(Model(config.model), nn.Identity(), config, device).train()
    capturable = device.type == "cuda" and is_captured(config, device, 1)
    return learner, Optimiser(learner.model.parameters(), [], config, capturable)


class UnvariedLearner(Learner):
    """Learns from batches as they are, as the plain step does."""

    def vary(self, batch: Batch, random: SnippetRandom) -> tuple[Batch, Tensor]:
        """The batch and its frames."""
        return batch, batch.frames


def our_step(name: str, config: TrainConfig, device: torch.device, count: int) -> Contender:
    """The code that trains, without augmentation: from uint8 on the device to networks,
    objective, backward, optimiser."""
    learner, optimiser = our_learner(config, device)
    drawn = random_batch(config, count)
    batch = Batch(*(getattr(drawn, field.name).to(device) for field in fields(drawn)))
    learn, random = (
        training_step(learner.config, learner, learner, optimiser, 1),
        SnippetRandom(torch.Generator(device)),
    )
    return Contender(name, lambda: learn(batch, random, 0))


class PlainStep:
    """SfMLearner's step as it is usually written; see :mod:`benchmarks.training.plain`."""

    def __init__(self, config: TrainConfig, device: torch.device, count: int) -> None:
        frames = config.model.pose.frames
        self.depth_net, self.pose_net = (
            PlainDispNet().to(device),
            PlainPoseExpNet(frames).to(device),
        )
        self.config = config
        self.optimiser = torch.optim.Adam(
            [*self.depth_net.parameters(), *self.pose_net.parameters()], lr=config.learning_rate
        )
        batch = random_batch(config, count).to(device)
        images = [image.contiguous() for image in batch.frames.unbind(1)]
        self.target, self.sources = (
            images[frames // 2],
            images[: frames // 2] + images[frames // 2 + 1 :],
        )
        self.intrinsics = batch.intrinsics

    def copy_weights(self, model: Model) -> None:
        """Take over the weights of the papers' networks."""
        for mine, theirs in ((self.depth_net, model.depth_net), (self.pose_net, model.pose_net)):
            for parameter, other in zip(mine.parameters(), theirs.parameters(), strict=True):
                assert parameter.shape == other.shape
                parameter.data.copy_(other)

    def loss(self) -> Tensor:
        """The objective as one number."""
        target, *sources = (2 * image - 1 for image in (self.target, *self.sources))
        inverse_depths = self.depth_net(target)
        pose, logits = self.pose_net(target, sources)
        objective = self.config.objective
        weights = {
            name: getattr(objective, name)
            for name in ("photometric", "explainability", "smoothness")
        }
        return plain_loss(
            self.target, self.sources, self.intrinsics, inverse_depths, pose, logits, weights
        )

    def __call__(self) -> float:
        """One step; the loss is fetched for the log, as usual."""
        loss = self.loss()
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        return loss.item()


def plain_step(config: TrainConfig, device: torch.device, count: int) -> Contender:
    """The plain step from the same first weights."""
    torch.manual_seed(0)
    model = Model(config.model)
    step = PlainStep(config, device, count)
    step.copy_weights(model)
    return Contender("plain eager step", step)
