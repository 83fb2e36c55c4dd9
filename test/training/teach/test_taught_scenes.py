"""Footage written with its lesson as prepared data."""

import numpy as np
import pytest

from sfm_odometry.geometry.camera import Intrinsics
from training.data.lesson import Lesson
from training.data.scenes import open_data
from training.teach.__main__ import main
from training.teach.footage import Footage
from training.teach.taught_scenes import lesson_of_frames, write_scenes

COUNT = 11


@pytest.fixture
def footage():
    rng = np.random.default_rng(2)
    points = rng.integers(0, 6, COUNT)
    total = int(points.sum())
    poses = np.tile(np.eye(4), (COUNT, 1, 1))
    poses[:, 2, 3] = np.arange(COUNT)
    lesson = Lesson(
        segment=np.repeat([0, 1], [6, 5]),
        poses=poses,
        covariance=rng.normal(size=(COUNT, 6, 6)),
        first_point=np.concatenate([[0], np.cumsum(points)]),
        pixels=rng.uniform(0, 32, (total, 2)).astype(np.float32),
        inverse_depth=rng.uniform(0.1, 1, total).astype(np.float32),
        sigma=rng.uniform(0.01, 0.1, total).astype(np.float32),
    )
    return Footage(
        frames=rng.integers(0, 256, (COUNT, 32, 64, 1), np.uint8),
        stamps_ns=np.arange(COUNT) * 10**8,
        intrinsics=Intrinsics(40.0, 40.0, 31.5, 15.5, 64, 32),
        window=np.array([8, 0, 55, 31], np.float32),
        resize_mode="pad",
        lesson=lesson,
    )


@pytest.mark.parametrize("every", [1, 3])
def test_every_frame_is_in_one_scene_with_its_lesson(footage, tmp_path, every):
    folders = write_scenes(tmp_path, "walk", footage, every)
    scenes = open_data(tmp_path)
    assert [scene.name for scene in scenes] == [folder.name for folder in folders]
    assert len(scenes) == every
    for first, scene in enumerate(scenes):
        chosen = np.arange(first, COUNT, every)
        assert np.array_equal(scene.frames, footage.frames[chosen])
        np.testing.assert_allclose(scene.intrinsics, footage.intrinsics.matrix())
        assert scene.resize_mode == "pad" and scene.depth is None
        assert np.array_equal(scene.lesson.poses, footage.lesson.poses[chosen])
        for index, frame in enumerate(chosen):
            assert np.array_equal(scene.lesson.points(index), footage.lesson.points(frame))


def test_a_lesson_of_no_frames_is_empty(footage):
    lesson = lesson_of_frames(footage.lesson, np.zeros(0, int))
    assert len(lesson.pixels) == len(lesson.poses) == 0 and lesson.first_point.tolist() == [0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "expected --images or --data, and not both"),
        (["--images", "x", "--data", "y"], "expected --images or --data, and not both"),
        (["--images", "x"], "expected --out too"),
        (["--images", "x", "--out", "o", "--every", "0"], "--every 0: expected 1 or more"),
    ],
)
def test_options_that_do_not_fit_are_refused(options, message, capsys):
    assert main(options) == 2
    assert message in capsys.readouterr().err
