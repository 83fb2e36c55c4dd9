import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from sfm_odometry.errors import InputError
from sfm_odometry.geometry.projection import invert_transform, transform_from_vector
from sfm_odometry.geometry.view_synthesis import synthesise_view
from sfm_odometry.io.kitti_calibration import read_calibration
from training.data.augment import AugmentConfig, SnippetRandom, augment
from training.data.batch import Batch
from training.data.scenes import Camera
from training.engine.learned_cameras import LearnedCameras, write_calibrations
from training.objective.losses import l1_error, masked_mean

WIDTH, HEIGHT = 64, 32
PHONE = np.array([[50.0, 0.0, 31.5], [0.0, 50.0, 15.5], [0.0, 0.0, 1.0]])
CAR = np.array([[40.0, 0.0, 30.0], [0.0, 41.0, 14.0], [0.0, 0.0, 1.0]])
BIKE = np.array([[100.0, 0.0, 63.0], [0.0, 100.0, 31.0], [0.0, 0.0, 1.0]])


@pytest.fixture
def cameras():
    return LearnedCameras(
        [Camera("phone", PHONE, False), Camera("car", CAR, True), Camera("bike", BIKE, False)],
        WIDTH,
        HEIGHT,
    )


def batch_of(camera, intrinsics, frames=None):
    count = len(camera)
    return Batch(
        frames=torch.rand(count, 3, 1, HEIGHT, WIDTH) if frames is None else frames,
        intrinsics=torch.as_tensor(intrinsics, dtype=torch.float32).expand(count, 3, 3),
        camera=torch.tensor(camera),
        depth=torch.zeros(count, 1, HEIGHT, WIDTH),
        moving=torch.zeros(count, 1, HEIGHT, WIDTH),
        camera_from_frame=torch.eye(4).expand(count, 3, 4, 4),
        has_depth=torch.zeros(count, dtype=torch.bool),
        has_motion=torch.zeros(count, dtype=torch.bool),
    )


def test_cameras_start_at_their_initial_guess(cameras):
    torch.testing.assert_close(
        cameras.matrices(), torch.tensor(np.stack([PHONE, CAR, BIKE]), dtype=torch.float32)
    )
    assert len(cameras.state_dict()) == 2


def test_only_uncalibrated_cameras_are_replaced_and_learned(cameras):
    with torch.no_grad():
        cameras.log_focal_ratio[1] = torch.tensor([math.log(1.5), math.log(0.5)])
        cameras.centre_shift[1] = torch.tensor([0.25, -0.125])
    calibrated = torch.tensor(CAR, dtype=torch.float32) + 0.1
    intrinsics = cameras(batch_of([1, 2, 0, 2], calibrated)).intrinsics
    assert torch.equal(intrinsics[0], calibrated)
    bike = torch.tensor([[150.0, 0.0, 79.0], [0.0, 50.0, 27.0], [0.0, 0.0, 1.0]])
    torch.testing.assert_close(intrinsics[1], bike)
    torch.testing.assert_close(intrinsics[2], torch.tensor(PHONE, dtype=torch.float32))
    assert torch.equal(intrinsics[1], intrinsics[3])
    intrinsics[0].sum().backward(retain_graph=True)
    assert not any(parameter.grad.any() for parameter in cameras.parameters())
    intrinsics[2, 0, 0].backward()
    torch.testing.assert_close(
        cameras.log_focal_ratio.grad, torch.tensor([[50.0, 0.0], [0.0, 0.0]])
    )


def test_intrinsics_get_gradients_through_augmentation(cameras):
    batch = cameras(batch_of([0, 2], PHONE))
    varied = augment(
        batch, AugmentConfig(max_zoom=1.3), SnippetRandom(torch.Generator().manual_seed(0))
    )
    varied.intrinsics.sum().backward()
    assert all(parameter.grad.abs().min() > 0 for parameter in cameras.parameters())


def test_written_calibrations_can_be_read_again(cameras, tmp_path):
    with torch.no_grad():
        cameras.log_focal_ratio[0] = 0.1
    write_calibrations(tmp_path, cameras)
    entries = json.loads((tmp_path / "cameras.json").read_text())
    assert [(entry["name"], entry["known"]) for entry in entries] == [
        ("phone", False),
        ("car", True),
        ("bike", False),
    ]
    assert entries[0]["fx"] == pytest.approx(50 * math.exp(0.1), rel=1e-6)
    assert (entries[1]["fx"], entries[1]["fy"], entries[1]["cx"], entries[1]["cy"]) == (
        40.0,
        41.0,
        30.0,
        14.0,
    )
    for entry, (_, intrinsics) in zip(entries, cameras.calibrations(), strict=True):
        # The cameras have images of different sizes; twice the usual one fits them all.
        again = read_calibration(tmp_path / entry["file"], 0, 2 * WIDTH, 2 * HEIGHT)
        np.testing.assert_allclose(again.matrix(), intrinsics.matrix(), rtol=1e-9)


def test_calibrated_cameras_alone_are_refused():
    with pytest.raises(InputError, match="all 1 cameras are calibrated"):
        LearnedCameras([Camera("car", CAR, True)], WIDTH, HEIGHT)


@pytest.mark.parametrize("factor", [0.82, 1.2])
def test_the_focal_length_is_learned_from_rotating_views(street, factor):
    """Depth and motion are true; only K is learned from the photometric error."""
    turns = torch.tensor(
        [
            [0.1, 0.0, 0.8, 0.00, 0.06, 0.0],
            [-0.2, 0.05, 0.6, 0.03, -0.07, 0.01],
            [0.0, -0.05, 0.7, -0.03, 0.05, -0.01],
            [0.1, 0.0, 0.5, 0.02, -0.05, 0.0],
        ]
    )
    source_from_target = transform_from_vector(turns)
    identity = torch.eye(4).expand(4, 4, 4)
    target = street.image(identity)
    depth = street.depth(identity)
    source = street.image(invert_transform(source_from_target))
    true = street.intrinsics
    guess = true.numpy().astype(np.float64) * np.array([[factor], [factor], [1.0]])
    guess[:2, 2] = true[0, 2] + 2.0, true[1, 2] - 1.5
    cameras = LearnedCameras([Camera("video", guess, False)], street.width, street.height)
    batch = replace(batch_of([0] * 4, guess), depth=depth)
    adam = torch.optim.Adam(cameras.parameters(), lr=0.01)
    for step in range(150):
        adam.param_groups[0]["lr"] = 0.01 * 0.98**step
        view = synthesise_view(source, batch.depth, source_from_target, cameras(batch).intrinsics)
        loss = masked_mean(l1_error(target, view.image), view.valid).mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
    found = cameras.matrices()[0].detach()
    assert found[0, 0].item() == pytest.approx(true[0, 0].item(), rel=0.02)
    assert found[1, 1].item() == pytest.approx(true[1, 1].item(), rel=0.03)
    assert found[0, 2].item() == pytest.approx(true[0, 2].item(), abs=1.0)
    assert found[1, 2].item() == pytest.approx(true[1, 2].item(), abs=1.0)
