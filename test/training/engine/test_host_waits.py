"""Training steps neither synchronise with the device nor copy to it; checked on the CPU."""

from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from sfm_odometry.networks.model import Model
from training.config import TrainConfig, load_config
from training.data.augment import SnippetRandom
from training.data.batch import Batch
from training.engine.learner import Learner
from training.engine.optimiser import Optimiser

RECIPES = Path(__file__).resolve().parents[3] / "config" / "training"
RECIPE_NAMES = sorted(path.stem for path in RECIPES.glob("*.yaml"))
CPU = torch.device("cpu")
META = torch.device("meta")
"""Device whose tensors have shapes but no values; tensors elsewhere are on the host."""
SYNCHRONISING = {
    "lift_fresh": "creates a tensor from Python's numbers",
    "lift": "creates a tensor from Python's numbers",
    "_local_scalar_dense": "fetches a number",
    "is_nonzero": "fetches a number",
    "item": "fetches a number",
    "equal": "fetches an answer",
    "nonzero": "fetches a count",
    "masked_select": "fetches a count",
    "_unique2": "fetches a count",
    "unique_dim": "fetches a count",
    "bincount": "fetches a count",
    "index": "takes an index, which is made on the host, or a mask, which is counted",
    "index_put": "takes an index, which is made on the host, or a mask, which is counted",
    "index_put_": "takes an index, which is made on the host, or a mask, which is counted",
    "_linalg_check_errors": "fetches error codes",
    "linalg_inv": "fetches error codes",
    "linalg_cholesky": "fetches error codes",
    "_linalg_svd": "computes on the host or waits",
    "linalg_eigh": "computes on the host or waits",
}


class HostWait(AssertionError):
    """An operation that would synchronise with a GPU."""


class NoHostWaits(TorchDispatchMode):
    """Raises HostWait at the first operation that synchronises with a GPU or copies to it."""

    def __torch_dispatch__(self, operation, types, arguments=(), options=None):
        name = operation.overloadpacket.__name__
        sized = len(arguments) > 1 and isinstance(arguments[1], int)
        if name in SYNCHRONISING or (
            name == "repeat_interleave" and not sized and not (options or {}).get("output_size")
        ):
            raise HostWait(f"{operation} {SYNCHRONISING.get(name, 'fetches a count')}")
        return operation(*arguments, **(options or {}))


class OneDevice(TorchDispatchMode):
    """Raises HostWait at the first operation with a tensor in the host's memory."""

    def __torch_dispatch__(self, operation, types, arguments=(), options=None):
        result = operation(*arguments, **(options or {}))
        tensors = [
            value
            for value in tree_leaves((arguments, options, result))
            if isinstance(value, Tensor)
        ]
        if any(tensor.device.type == "cpu" for tensor in tensors):
            raise HostWait(f"{operation} works in the host's memory")
        return result


class ShapesOfRandom(SnippetRandom):
    """Random numbers on the meta device."""

    def uniform(self, count: int, *shape: int) -> Tensor:
        return torch.rand(count, *shape, device=META)

    def normal(self, count: int, *shape: int) -> Tensor:
        return torch.randn(count, *shape, device=META)


def load_narrow(recipe: str, settings: Sequence[str] = ()) -> TrainConfig:
    """Returns a recipe in float32, its networks with an eighth of their channels.

    The operations of a step do not depend on the widths.
    """
    config = load_config(RECIPES / f"{recipe}.yaml", settings)
    model = replace(config.model, depth=narrow(config.model.depth), pose=narrow(config.model.pose))
    return replace(config, model=model, precision="float32", compile=False, init_from=None)


def narrow(network):
    """Returns the config of a network with an eighth of its channels, at least 4 a layer."""
    widths = {
        field.name: tuple(max(width // 8, 4) for width in getattr(network, field.name))
        for field in fields(network)
        if field.name.endswith("_widths")
    }
    assert widths
    return replace(network, **widths)


def tiny_batch(config: TrainConfig, seed: int = 0) -> Batch:
    """Returns two small snippets of noise with truth, in the types of the device."""
    random = torch.Generator().manual_seed(seed)
    frames = config.model.pose.frames
    height = 64
    width = 128
    return Batch(
        frames=torch.rand(2, frames, config.model.image_channels, height, width, generator=random),
        intrinsics=torch.eye(3).repeat(2, 1, 1) * 60,
        camera=torch.zeros(2, dtype=torch.int64),
        depth=1 + torch.rand(2, 1, height, width, generator=random),
        moving=torch.zeros(2, 1, height, width),
        camera_from_frame=torch.eye(4).repeat(2, frames, 1, 1),
        has_depth=torch.ones(2, dtype=torch.bool),
        has_motion=torch.ones(2, dtype=torch.bool),
    )


def make_step(config: TrainConfig):
    """Returns a function of the step's number: forward, backward and optimiser."""
    torch.manual_seed(0)
    learner = Learner(Model(config.model), nn.Identity(), config, CPU).train()
    optimiser = Optimiser(learner.model.parameters(), [], config)
    batch = tiny_batch(config)
    random = SnippetRandom(torch.Generator().manual_seed(0))

    def step(number: int) -> dict[str, Tensor]:
        terms = learner(batch, random)
        optimiser.step(torch.stack(list(terms.values())).sum(), number)
        return terms

    return step


@pytest.mark.parametrize("recipe", RECIPE_NAMES)
def test_all_tensors_of_a_step_are_on_the_device(recipe):
    config = load_narrow(recipe)
    learner = Learner(Model(config.model), nn.Identity(), config, META).train()
    batch = tiny_batch(config).to(META)
    with OneDevice():
        terms = learner(batch, ShapesOfRandom(torch.Generator()))
        torch.stack(list(terms.values())).sum().backward()
    assert all(
        parameter.grad is None or parameter.grad.is_meta for parameter in learner.parameters()
    )


def test_a_copy_from_the_host_is_detected():
    with pytest.raises(HostWait, match="host's memory"), OneDevice():
        torch.empty(3, device=META) + torch.ones(3).to(META)


SETTINGS = {
    "flip": ["augment.flip=true", "augment.reverse=true", "augment.noise=0.01"],
    "clip": ["gradient_clip=1.0", "schedule=cosine"],
    "best source": ["objective.minimum_over_sources=true"],
    "full size": ["objective.full_size=true", "objective.ssim_weight=0.5"],
}


@pytest.mark.parametrize("recipe", RECIPE_NAMES)
def test_no_step_of_a_recipe_synchronises_with_the_device(recipe):
    step = make_step(load_narrow(recipe))
    step(0)  # the first step allocates constants and moments
    with NoHostWaits():
        terms = step(1)
    assert all(bool(value.isfinite()) for value in terms.values())


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_no_setting_synchronises_with_the_device(settings):
    step = make_step(load_narrow("sfmlearner", settings))
    step(0)
    with NoHostWaits():
        terms = step(1)
    assert terms and all(bool(value.isfinite()) for value in terms.values())


@pytest.mark.parametrize(
    "wait",
    [
        lambda x: x.sum().item(),
        lambda x: float(x.sum()),
        lambda x: bool((x > 0).all()),
        lambda x: x.new_tensor([1.0, 2.0]),
        lambda x: torch.tensor([1.0], device=x.device),
        lambda x: x[x > 0],
        lambda x: x[:, [0, 1]],
        lambda x: (x > 0).nonzero(),
        lambda x: torch.linalg.inv(x),
    ],
)
def test_synchronising_operations_are_detected(wait):
    with pytest.raises(HostWait), NoHostWaits():
        wait(torch.rand(3, 3))


def test_a_step_that_fetches_its_loss_is_detected():
    step = make_step(load_narrow("sfmlearner"))
    with pytest.raises(HostWait, match="fetches a number"), NoHostWaits():
        sum(step(0).values()).item()


@pytest.mark.skipif(
    not torch.cuda.is_available(),
    reason="torch sees no CUDA device, whose own check is used here",
)
@pytest.mark.parametrize("recipe", RECIPE_NAMES)
def test_cuda_reports_no_synchronisation_in_a_step(recipe):
    device = torch.device("cuda")
    config = replace(
        load_config(RECIPES / f"{recipe}.yaml"),
        precision="bfloat16",
        compile=False,
        init_from=None,
        gradient_clip=1.0,
    )
    learner = Learner(Model(config.model), nn.Identity(), config, device).train()
    optimiser = Optimiser(learner.model.parameters(), [], config, capturable=True)
    batch = tiny_batch(config).to(device)
    random = SnippetRandom(torch.Generator(device).manual_seed(0))
    for number in range(3):
        torch.cuda.set_sync_debug_mode("error" if number else "default")
        try:
            loss = torch.stack(list(learner(batch, random).values())).sum()
            optimiser.step(loss, number)
        finally:
            torch.cuda.set_sync_debug_mode("default")
    assert loss.isfinite()
