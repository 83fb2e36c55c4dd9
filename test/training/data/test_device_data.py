"""Batches gathered on the device equal the sampler's; on the CPU, and on a GPU if available."""

import json
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from sfm_odometry.errors import InputError
from training.config import TrainConfig
from training.data.device_data import DeviceSampler, bytes_on_device, device_sampler
from training.data.sampler import SnippetSampler, open_data

CPU = torch.device("cpu")
DEVICES = [
    "cpu",
    pytest.param(
        "cuda",
        marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device"),
    ),
]


def write_scene(folder: Path, seed: int, channels: int, truth: bool, count: int = 9) -> None:
    """Writes a scene of noise, optionally with truth; one frame number is missing."""
    random = np.random.default_rng(seed)
    size = (count, 32, 48)
    folder.mkdir(parents=True)
    np.save(folder / "frames.npy", random.integers(0, 256, (*size, channels), np.uint8))
    if truth:
        np.save(folder / "depth.npy", random.uniform(0, 50, size).astype(np.float16))
        np.save(folder / "motion_mask.npy", random.integers(0, 2, size, np.uint8) * 255)
        poses = np.tile(np.eye(4), (count, 1, 1))
        poses[:, 2, 3] = 1000 + np.arange(count)
        np.save(folder / "poses.npy", poses)
    description = {
        "frame_numbers": [*range(4), *range(5, count + 1)],
        "width": 48,
        "height": 32,
        "channels": channels,
        "intrinsics": [[40.0 + seed, 0.0, 23.5], [0.0, 40.0, 15.5], [0.0, 0.0, 1.0]],
        **dict.fromkeys(("has_depth", "has_motion_mask", "has_poses", "poses_supervise"), truth),
        "resize_mode": "crop",
    }
    (folder / "scene.json").write_text(json.dumps(description))


@pytest.fixture
def groups(tmp_path):
    """Two data sets: a rendered grey scene, and three real ones in grey and colour."""
    kinds = {"rendered": [(1, True)], "real": [(1, False), (3, False), (3, True)]}
    for name, scenes in kinds.items():
        names = [f"{name}_{index}" for index in range(len(scenes))]
        for index, (channels, truth) in enumerate(scenes):
            write_scene(tmp_path / name / names[index], 10 * len(name) + index, channels, truth)
        index = {"format": "sfm_odometry prepared data", "version": 1, "scenes": names}
        (tmp_path / name / "index.json").write_text(json.dumps(index))
    return [open_data(tmp_path / name) for name in kinds]


@pytest.mark.parametrize("name", DEVICES)
@pytest.mark.parametrize(("channels", "with_truth"), [(1, True), (3, True), (3, False)])
def test_batches_on_the_device_equal_the_samplers(groups, name, channels, with_truth):
    device = torch.device(name)
    sampler = SnippetSampler(
        groups, 3, channels, 8, seed=5, weights=(1.0, 2.0), with_truth=with_truth
    )
    on_device = DeviceSampler(sampler, device)
    for step in range(6):
        mine = on_device.batch(step)
        theirs = sampler.batch(step)
        for field in fields(mine):
            value = getattr(mine, field.name)
            other = getattr(theirs, field.name)
            assert value.device.type == device.type and value.dtype == other.dtype, field.name
            assert torch.equal(value.cpu(), other), field.name
    assert on_device.batch(0).frames.is_contiguous() == sampler.batch(0).frames.is_contiguous()


def test_the_parts_of_the_processes_make_up_the_batch(groups):
    sampler = SnippetSampler(groups, 3, 1, 8, seed=5)
    whole = sampler.batch(2).frames
    on_device = DeviceSampler(sampler, CPU)
    assert torch.equal(torch.cat([on_device.batch(2, rank, 2).frames for rank in (0, 1)]), whole)


def test_the_predicted_memory_is_the_used_memory(groups):
    for channels, with_truth in ((1, True), (3, False)):
        sampler = SnippetSampler(groups, 3, channels, 8, seed=5, with_truth=with_truth)
        assert bytes_on_device(sampler) == DeviceSampler(sampler, CPU).nbytes


def test_auto_keeps_no_data_on_a_cpu(groups):
    sampler = SnippetSampler(groups, 3, 1, 8, seed=5)
    config = TrainConfig()
    assert device_sampler(sampler, config, CPU) is None
    assert device_sampler(sampler, replace(config, data_on_device=False), CPU) is None
    assert isinstance(
        device_sampler(sampler, replace(config, data_on_device=True), CPU), DeviceSampler
    )


@pytest.mark.parametrize("free", [3 * 10**5, 10**4])
def test_auto_fills_at_most_half_of_a_gpus_memory(groups, monkeypatch, free):
    """The free memory is that of an imaginary GPU."""
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free, free))
    sampler = SnippetSampler(groups, 3, 1, 8, seed=5)
    gpu = torch.device("cuda")
    assert 10**5 < bytes_on_device(sampler) < 2 * 10**5
    if free < 10**5:
        assert device_sampler(sampler, TrainConfig(), gpu) is None
        with pytest.raises(InputError, match="data_on_device: true"):
            device_sampler(sampler, TrainConfig(data_on_device=True), gpu)


def test_a_run_with_data_on_the_device_is_identical(runs):
    for name, value in (("host", "false"), ("device", "true")):
        assert runs.train(name, f"data_on_device={value}") == 0
    assert runs.losses("host") == runs.losses("device")
    for mine, other in zip(
        runs.weights("host").values(), runs.weights("device").values(), strict=True
    ):
        assert torch.equal(mine, other)
