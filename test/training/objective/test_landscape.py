"""Objective of each recipe at the truth against flat depth maps, at the networks' initial scale."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from sfm_odometry.geometry.preprocess import to_grey
from sfm_odometry.geometry.projection import invert_transform
from sfm_odometry.inference.checkpoint import load_model
from sfm_odometry.io.images import read_image
from sfm_odometry.io.kitti import open_sequence
from training.config import TrainConfig, load_config
from training.objective.landscape import KnownSnippets, label_free_terms, starting_inverse_depth
from training.synthetic.drive import DriveSpec
from training.synthetic.render import Renderer

RECIPES = sorted((Path(__file__).resolve().parents[3] / "config" / "training").glob("*.yaml"))
WIDTH, HEIGHT = 208, 64
MAX_DEPTH_M = 200.0

FLAT_FACTORS = np.geomspace(0.1, 10.0, 9)
"""Flat inverse depths, as factors of the true median."""


@pytest.fixture(scope="module")
def rendered() -> KnownSnippets:
    spec = DriveSpec(frames=60, seed=9103, width=WIDTH, height=HEIGHT)
    renderer = Renderer(spec.seed, spec.frames, spec.intrinsics())
    numbers = [range(first, first + 5) for first in (10, 45)]
    drawn = {number: renderer.render(number) for snippet in numbers for number in snippet}
    images = {
        number: torch.from_numpy(frame.image).permute(2, 0, 1) / 255
        for number, frame in drawn.items()
    }
    rho = {number: _inverse(torch.from_numpy(frame.depth_m)) for number, frame in drawn.items()}
    poses = torch.from_numpy(renderer.world_from_camera)
    return _street(numbers, images, rho, poses, torch.from_numpy(spec.intrinsics().matrix()))


def _inverse(depth_m: Tensor) -> Tensor:
    """Returns the inverse depth (1, H, W) of depth (H, W); unknown and sky are at MAX_DEPTH_M."""
    known = (depth_m > 0) & depth_m.isfinite()
    return (
        torch.where(known, 1 / depth_m.clamp_min(1e-3), 0.0)
        .clamp_min(1 / MAX_DEPTH_M)[None]
        .float()
    )


@pytest.fixture(scope="module")
def real(kitti) -> KnownSnippets:
    """Frames of KITTI 03 with their true motion.

    Their depth was not measured: it is the packaged model's, in metres.
    """
    sequence = open_sequence(kitti / "odometry" / "sequences" / "03")
    assert sequence.poses is not None
    numbers = [range(first, first + 5) for first in (450, 490)]
    model = load_model()
    scale = torch.diag(
        torch.tensor(
            [WIDTH / sequence.intrinsics.width, HEIGHT / sequence.intrinsics.height, 1.0],
            dtype=torch.float64,
        )
    )
    images = {}
    rho = {}
    for number in (number for snippet in numbers for number in snippet):
        resized = cv2.resize(
            read_image(sequence.image_paths[number]), (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA
        )
        grey = (
            torch.from_numpy(
                resized if resized.ndim == 2 else cv2.cvtColor(resized, cv2.COLOR_RGB2GRAY)
            )[None]
            / 255
        )
        images[number] = grey.expand(3, -1, -1)
        network_input = cv2.resize(
            to_grey(read_image(sequence.image_paths[number])),
            (model.config.width, model.config.height),
            interpolation=cv2.INTER_AREA,
        )
        predicted = model.inverse_depth(torch.from_numpy(network_input)[None, None] / 255)[0]
        rho[number] = F.interpolate(predicted, (HEIGHT, WIDTH), mode="bilinear")[0]
    return _street(
        numbers,
        images,
        rho,
        torch.from_numpy(sequence.poses),
        scale @ torch.from_numpy(sequence.intrinsics.matrix()),
    )


def _street(
    numbers: list[range],
    images: dict[int, Tensor],
    rho: dict[int, Tensor],
    poses: Tensor,
    intrinsics: Tensor,
) -> KnownSnippets:
    """Returns snippets of poses world_from_camera (F, 4, 4), images and inverse depths.

    numbers: frames of each snippet; images, rho: by frame number.
    """
    middle = [invert_transform(poses[snippet[2]]) @ poses[list(snippet)] for snippet in numbers]
    return KnownSnippets(
        torch.stack([torch.stack([images[number] for number in snippet]) for snippet in numbers]),
        torch.stack([torch.stack([rho[number] for number in snippet]) for snippet in numbers]),
        torch.stack(middle).float(),
        intrinsics.float().expand(len(numbers), 3, 3),
    )


def lowest_flat(config: TrainConfig, snippets: KnownSnippets, unit_m: float) -> float:
    """Returns the lowest objective of any flat depth map with the true motion."""
    flat = torch.full_like(snippets.inverse_depth, float(snippets.inverse_depth.median()))
    return min(
        sum(label_free_terms(config, snippets, flat * factor, unit_m).values())
        for factor in FLAT_FACTORS
    )


def at_truth(config: TrainConfig, snippets: KnownSnippets, unit_m: float) -> float:
    """Returns the objective at the true depth and motion."""
    return sum(label_free_terms(config, snippets, snippets.inverse_depth, unit_m).values())


def unit_of_start(config: TrainConfig, snippets: KnownSnippets) -> float:
    """Returns the unit of length, in metres, of the networks' initial predictions.

    In this unit the scene's median inverse depth equals the initial one.
    """
    return starting_inverse_depth(config) / float(snippets.inverse_depth.median())


@pytest.mark.parametrize("street", ["rendered", "real"])
@pytest.mark.parametrize("recipe", RECIPES, ids=[recipe.stem for recipe in RECIPES])
def test_the_truth_has_a_lower_objective_than_any_flat_depth(recipe, street, request):
    config = load_config(recipe)
    snippets = request.getfixturevalue(street).middle(config.model.pose.frames)
    unit_m = unit_of_start(config, snippets)
    assert at_truth(config, snippets, unit_m) < 0.95 * lowest_flat(config, snippets, unit_m)


def test_at_the_papers_initial_depth_flat_depth_has_a_lower_objective(rendered):
    """SfMLearner's objective at inverse depth 5, the middle of 10 sigmoid(x): why the recipe
    departs from it."""
    config = load_config(
        next(recipe for recipe in RECIPES if recipe.stem == "sfmlearner"), ["inverse_depth_start=0"]
    )
    snippets = rendered.middle(config.model.pose.frames)
    unit_m = unit_of_start(config, snippets)
    assert starting_inverse_depth(config) == pytest.approx(5.0, rel=0.01)
    assert at_truth(config, snippets, unit_m) > lowest_flat(config, snippets, unit_m)
