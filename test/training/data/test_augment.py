"""Augmentation: augmented depth, motion and intrinsics synthesise the augmented target."""

import pytest
import torch

from sfm_odometry.geometry.projection import invert_transform, transform_from_vector
from sfm_odometry.geometry.view_synthesis import synthesise_view
from training.data.augment import (
    AugmentConfig,
    SnippetRandom,
    augment,
    jitter_colour,
    mirror_motion,
)
from training.data.batch import Batch

K = torch.tensor([[40.0, 0.0, 31.0], [0.0, 40.0, 22.0], [0.0, 0.0, 1.0]])
NORMAL = torch.tensor([0.05, -0.1, 1.0])
DISTANCE = 6.0


def seeded(seed=0, rank=0, ranks=1):
    return SnippetRandom(torch.Generator().manual_seed(seed), rank, ranks)


def plane_view(camera_from_world):
    """Renders depth (1, 48, 64) and colour (3, 48, 64) of a textured plane n . x = d."""
    v, u = torch.meshgrid(torch.arange(48.0), torch.arange(64.0), indexing="ij")
    rays = torch.linalg.inv(K) @ torch.stack([u, v, torch.ones_like(u)]).flatten(1)
    world_from_camera = invert_transform(camera_from_world)
    rotation = world_from_camera[:3, :3]
    centre = world_from_camera[:3, 3]
    depth = (DISTANCE - NORMAL @ centre) / (NORMAL @ (rotation @ rays))
    points = (rotation @ (rays * depth)) + centre[:, None]
    colour = (
        torch.stack(
            [
                torch.sin(1.1 * points[0]),
                torch.cos(0.9 * points[1] + points[0]),
                torch.sin(points[1]),
            ]
        )
        * 0.3
        + 0.5
    )
    return depth.view(1, 48, 64), colour.view(3, 48, 64)


@pytest.fixture
def batch():
    vectors = torch.tensor(
        [[-0.2, 0.05, -0.3, 0.0, 0.02, 0.0], [0.0] * 6, [0.2, 0.0, 0.3, 0.01, -0.02, 0.01]]
    )
    world_from_camera = transform_from_vector(vectors)
    views = [plane_view(invert_transform(pose)) for pose in world_from_camera]
    count = 16
    return Batch(
        frames=torch.stack([colour for _, colour in views]).expand(count, -1, -1, -1, -1),
        intrinsics=K.expand(count, 3, 3),
        camera=torch.zeros(count, dtype=torch.int64),
        depth=views[1][0].expand(count, -1, -1, -1),
        moving=torch.zeros(count, 1, 48, 64),
        camera_from_frame=world_from_camera.expand(count, -1, -1, -1),
        has_depth=torch.ones(count, dtype=torch.bool),
        has_motion=torch.ones(count, dtype=torch.bool),
    )


def residual(batch, source):
    source_from_target = (
        invert_transform(batch.camera_from_frame[:, source]) @ batch.camera_from_frame[:, 1]
    )
    view = synthesise_view(
        batch.frames[:, source], batch.depth, source_from_target, batch.intrinsics
    )
    error = (view.image - batch.frames[:, 1]).abs().mean(dim=1, keepdim=True)
    return torch.stack([e[v].mean() for e, v in zip(error, view.valid, strict=True)])


@pytest.mark.parametrize("source", [0, 2])
def test_augmented_geometry_synthesises_the_augmented_target(batch, source):
    config = AugmentConfig(max_zoom=1.3, flip=True, reverse=True)
    varied = augment(batch, config, seeded())
    assert (residual(varied, source) < 0.01).all()
    assert not torch.allclose(varied.frames[0], varied.frames[1])


def test_an_unmirrored_motion_does_not_fit_mirrored_images(batch):
    varied = augment(batch, AugmentConfig(max_zoom=1.0, flip=True), seeded())
    wrong = Batch(**{**varied.__dict__, "camera_from_frame": batch.camera_from_frame})
    assert residual(wrong, 0).max() > 3 * residual(varied, 0).max()


def test_mirroring_twice_is_the_identity():
    motion = transform_from_vector(torch.randn(4, 6))
    assert torch.allclose(mirror_motion(mirror_motion(motion)), motion)


def test_colour_jitter_is_equal_within_a_snippet(batch):
    config = AugmentConfig(brightness=0.3, contrast=0.3, gamma=0.3)
    still = batch.frames[:, 1:2].expand(-1, 3, -1, -1, -1)
    varied = jitter_colour(still, config, seeded())
    assert torch.allclose(varied[:, 0], varied[:, 2])
    assert (varied[0] - varied[1]).abs().max() > 0.02
    assert ((varied >= 0) & (varied <= 1)).all()


def test_the_same_generator_gives_the_same_augmentation(batch):
    config = AugmentConfig(max_zoom=1.2, noise=0.02)
    first, second = (augment(batch, config, seeded(3)) for _ in range(2))
    assert torch.equal(first.frames, second.frames)
