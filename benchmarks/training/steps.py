"""Training steps to compare, each on random data and from random weights."""

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

CONFIGS = Path(__file__).resolve().parents[2] / "config" / "training"
WIDTH = 416
HEIGHT = 128
INTRINSICS = [[241.67, 0.0, 203.7], [0.0, 246.28, 58.65], [0.0, 0.0, 1.0]]
"""KITTI's, at 416x128."""
MAX_DISTINCT_SNIPPETS = 16
"""Snippets of a random batch that differ; larger batches repeat them."""


@dataclass(frozen=True)
class BenchmarkStep:
    """A training step that is ready to be timed."""

    name: str
    run: Callable[[], object]


def papers_config(frames: int) -> TrainConfig:
    """Returns SfMLearner's recipe in the paper's unit of length, as the plain step has it.

    Its precision is the one that is faster on the device.
    """
    papers_unit = (
        "model.pose.translation_gain=0.01",
        "model.depth.inverse_depth_offset=0.01",
        "inverse_depth_start=0",
    )
    return load_config(
        CONFIGS / "sfmlearner.yaml",
        [f"model.pose.frames={frames}", *papers_unit, "precision=auto"],
    )


def recipe_config(name: str) -> TrainConfig:
    """Returns a recipe of config/training.

    SfMLearner's has snippets of 3 frames, with which the paper trains its pose network for depth.
    """
    return load_config(
        CONFIGS / f"{name}.yaml", ["model.pose.frames=3"] if name == "sfmlearner" else []
    )


def compact_config(frames: int) -> TrainConfig:
    """Returns the compact networks of the default recipe under SfMLearner's objective.

    They end at half size, with three scales.
    """
    model = load_config(CONFIGS / "default.yaml", [f"model.pose.frames={frames}"]).model
    return replace(papers_config(frames), model=model)


def random_batch(config: TrainConfig, count: int, seed: int = 0) -> Batch:
    """Returns `count` snippets of blurred noise, laid out as a sampler draws them.

    The blur makes views resemble each other. Frames are uint8, channels last in memory.
    """
    # Blurred noise.
    frames = config.model.pose.frames
    channels = config.model.image_channels
    random = torch.Generator().manual_seed(seed)
    distinct = min(count, MAX_DISTINCT_SNIPPETS)
    noise = torch.rand(distinct * frames, channels, HEIGHT // 8, WIDTH // 8, generator=random)
    images = nn.functional.interpolate(noise, size=(HEIGHT, WIDTH), mode="bilinear")

    # As uint8 snippets (count, frames, channels, H, W).
    snippets = (
        (images * 255)
        .to(torch.uint8)
        .permute(0, 2, 3, 1)
        .contiguous()
        .unflatten(0, (distinct, frames))
    )
    repeats = -(-count // distinct)
    stored = snippets.repeat(repeats, 1, 1, 1, 1)[:count].permute(0, 1, 4, 2, 3)
    return Batch(
        frames=stored,
        intrinsics=torch.tensor(INTRINSICS).repeat(count, 1, 1),
        camera=torch.zeros(count, dtype=torch.int64),
        depth=torch.zeros(count, 1, HEIGHT, WIDTH, dtype=torch.float16),
        moving=torch.zeros(count, 1, HEIGHT, WIDTH, dtype=torch.uint8),
        camera_from_frame=torch.eye(4).repeat(count, frames, 1, 1),
        has_depth=torch.zeros(count, dtype=torch.bool),
        has_motion=torch.zeros(count, dtype=torch.bool),
    )


def make_learner(config: TrainConfig, device: torch.device) -> tuple[Learner, Optimiser]:
    """Returns learner and optimiser as in a training run, from random weights.

    `precision: auto` is resolved for the device.
    """
    config = resolve_precision(config, device)
    torch.manual_seed(0)
    learner = UnaugmentedLearner(Model(config.model), nn.Identity(), config, device).train()
    capturable = device.type == "cuda" and is_captured(config, device, 1)
    return learner, Optimiser(learner.model.parameters(), [], config, capturable)


class UnaugmentedLearner(Learner):
    """Learner without augmentation, as in the plain step."""

    def augment(self, batch: Batch, random: SnippetRandom) -> tuple[Batch, Tensor]:
        """Returns the batch unchanged, and its frames."""
        return batch, batch.frames


def our_step(name: str, config: TrainConfig, device: torch.device, count: int) -> BenchmarkStep:
    """Returns the training code's step on `count` snippets, without augmentation.

    From uint8 on the device to networks, objective, backward and optimiser.
    """
    learner, optimiser = make_learner(config, device)
    drawn = random_batch(config, count)
    batch = Batch(*(getattr(drawn, field.name).to(device) for field in fields(drawn)))
    learn = training_step(learner.config, learner, learner, optimiser, 1)
    random = SnippetRandom(torch.Generator(device))
    return BenchmarkStep(name, lambda: learn(batch, random, 0))


class PlainStep:
    """SfMLearner's step as it is usually written; see :mod:`benchmarks.training.plain`."""

    def __init__(self, config: TrainConfig, device: torch.device, count: int) -> None:
        # Networks and optimiser.
        frames = config.model.pose.frames
        self.config = config
        self.depth_net = PlainDispNet().to(device)
        self.pose_net = PlainPoseExpNet(frames).to(device)
        self.optimiser = torch.optim.Adam(
            [*self.depth_net.parameters(), *self.pose_net.parameters()], lr=config.learning_rate
        )

        # One batch, whose middle frame is the target view.
        batch = random_batch(config, count).to(device)
        images = [image.contiguous() for image in batch.frames.unbind(1)]
        self.target = images[frames // 2]
        self.sources = images[: frames // 2] + images[frames // 2 + 1 :]
        self.intrinsics = batch.intrinsics

    def copy_weights(self, model: Model) -> None:
        """Copy the weights of the papers' networks."""
        for plain, other in ((self.depth_net, model.depth_net), (self.pose_net, model.pose_net)):
            for parameter, value in zip(plain.parameters(), other.parameters(), strict=True):
                assert parameter.shape == value.shape
                parameter.data.copy_(value)

    def loss(self) -> Tensor:
        """Returns the objective as one number."""
        target, *sources = (2 * image - 1 for image in (self.target, *self.sources))
        inverse_depths = self.depth_net(target)
        pose, logits = self.pose_net(target, sources)
        objective = self.config.objective
        weights = {
            name: getattr(objective, name)
            for name in ("photometric", "explainability", "smoothness")
        }
        return plain_loss(
            target=self.target,
            sources=self.sources,
            intrinsics=self.intrinsics,
            inverse_depths=inverse_depths,
            pose=pose,
            logits=logits,
            weights=weights,
        )

    def __call__(self) -> float:
        """Take one step; returns the loss, fetched for the log as usual."""
        loss = self.loss()
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        return loss.item()


def plain_step(config: TrainConfig, device: torch.device, count: int) -> BenchmarkStep:
    """Returns the plain step on `count` snippets, with the same initial weights as the others."""
    torch.manual_seed(0)
    model = Model(config.model)
    step = PlainStep(config, device, count)
    step.copy_weights(model)
    return BenchmarkStep("plain eager step", step)
