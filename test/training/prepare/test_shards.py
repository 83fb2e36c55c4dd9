"""Preparation in shards, as by several machines, into one data set."""

import cv2
import numpy as np
import pytest

from sfm_odometry.errors import InputError
from training.data.index import Shard
from training.data.sampler import SnippetSampler, open_data
from training.prepare import main

SCENES = ("a", "b", "c", "d", "e")


@pytest.fixture(scope="module")
def port(tmp_path_factory):
    """Five scenes in SfMLearner's port layout, of 6 frames each."""
    root = tmp_path_factory.mktemp("port")
    random = np.random.default_rng(0)
    for scene in SCENES:
        (root / scene).mkdir()
        (root / scene / "cam.txt").write_text("36 0 31\n0 36 15\n0 0 1\n")
        for index in range(6):
            image = random.integers(0, 256, (32, 64, 3), np.uint8)
            cv2.imwrite(str(root / scene / f"{index:06d}.png"), image)
    return root


def prepare(port, out, *options):
    command = ["kitti-odometry", "--root", str(port), "--out", str(out), "--size", "64x32"]
    return main([*command, "--workers", "1", *options])


def all_frames(folder):
    sampler = SnippetSampler([open_data(folder)], 5, 3, 2, seed=4)
    return [sampler.batch(number).frames.numpy() for number in range(4)]


@pytest.mark.parametrize("count", [2, 3, 7])
def test_shards_are_the_data_set_of_one_run(port, tmp_path, count, capsys):
    for number in reversed(range(1, count + 1)):
        assert prepare(port, tmp_path / "shards", "--shard", f"{number}/{count}") == 0
    if count == 7:
        assert "5 recordings, none for shard 7/7" in capsys.readouterr().out
    assert prepare(port, tmp_path / "whole") == 0
    assert [scene.name for scene in open_data(tmp_path / "shards")] == list(SCENES)
    # The same seed draws the same snippets in the same order.
    for sharded, whole in zip(
        all_frames(tmp_path / "shards"), all_frames(tmp_path / "whole"), strict=True
    ):
        assert np.array_equal(sharded, whole)


def test_missing_shards_are_named(port, tmp_path):
    for number in (1, 4):
        prepare(port, tmp_path, "--shard", f"{number}/4")
    with pytest.raises(InputError, match="2 of 4 shards are there, expected all; missing: 2, 3"):
        open_data(tmp_path)


def test_another_number_of_shards_replaces_the_indices(port, tmp_path):
    assert prepare(port, tmp_path) == 0
    for number in (1, 2):
        assert prepare(port, tmp_path, "--shard", f"{number}/2") == 0
    assert sorted(path.name for path in tmp_path.glob("index*")) == [
        "index.1-of-2.json",
        "index.2-of-2.json",
    ]
    assert prepare(port, tmp_path) == 0
    assert [path.name for path in tmp_path.glob("index*")] == ["index.json"]


def test_shards_of_other_files_are_refused(port, tmp_path):
    prepare(port, tmp_path / "out", "--shard", "1/2")
    fewer = tmp_path / "fewer"
    fewer.mkdir()
    for scene in SCENES[:4]:
        (fewer / scene).symlink_to(port / scene)
    prepare(fewer, tmp_path / "out", "--shard", "2/2")
    with pytest.raises(InputError, match="its shards found 4 and 5 recordings, expected the same"):
        open_data(tmp_path / "out")


@pytest.mark.parametrize("text", ["0/4", "5/4", "1", "1/0", "a/b", "1/2/3"])
def test_shards_that_do_not_exist_are_refused(text):
    with pytest.raises(InputError, match=f"--shard {text}: expected I/N"):
        Shard.parse(text)
