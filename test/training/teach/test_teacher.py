import cv2
import numpy as np
import pytest

from sfm_odometry.inference.checkpoint import save_model
from sfm_odometry.inference.estimator import Estimator
from training.data.lesson import FILE, read_lesson
from training.data.scenes import open_data
from training.prepare.command import main as prepare
from training.teach.__main__ import main
from training.teach.teacher import Teacher


@pytest.fixture(scope="module")
def footage(planes):
    poses = planes.poses(14)
    return poses, planes.images(poses)


@pytest.fixture(scope="module")
def lesson(planes, footage):
    """Lesson of a slanted plane by networks that know nothing."""
    teacher = Teacher(Estimator(planes.tiny_model(), "cpu"), planes.CAMERA, "pad")
    for index, image in enumerate(footage[1]):
        teacher.add(image, index * 100_000_000)
    return teacher.lesson()


def test_motions_are_found_up_to_scale(footage, lesson):
    poses = footage[0]
    posed = np.flatnonzero(lesson.segment >= 0)
    assert len(posed) >= 12
    found, true = lesson.poses[posed, :3, 3], poses[posed, :3, 3]
    found, true = found - found[0], true - true[0]
    scale = (found * true).sum() / (found**2).sum()
    assert np.abs(scale * found - true).max() < 0.1 * np.abs(true).max()


def test_depths_are_those_of_the_plane(planes, footage, lesson):
    ratios = []
    for index, pose in enumerate(footage[0]):
        points = lesson.points(index)
        # The lesson is in the pixels of the networks' input, 96x64, padded left and right.
        u = (points[:, 0] - (96 - 1) / 2) * 120 / 64 + planes.CAMERA.cx
        v = (points[:, 1] - (64 - 1) / 2) * 120 / 64 + planes.CAMERA.cy
        true = planes.depth_map(pose)[np.round(v).astype(int), np.round(u).astype(int)]
        ratios.append(points[:, 2] * true)
    ratios = np.concatenate(ratios)
    assert len(ratios) > 500
    assert np.median(np.abs(ratios / np.median(ratios) - 1)) < 0.05


def test_a_cut_begins_another_segment(planes, footage):
    teacher = Teacher(Estimator(planes.tiny_model(), "cpu"), planes.CAMERA, "pad")
    for turn in range(2):
        for index, image in enumerate(footage[1]):
            teacher.add(image, (turn * 20 + index) * 100_000_000)
        teacher.cut()
    segments = teacher.lesson().segment
    assert set(segments[:14]) - {-1} == {0} and set(segments[14:]) - {-1} == {1}


def test_a_camera_that_stands_teaches_nothing(planes, footage):
    teacher = Teacher(Estimator(planes.tiny_model(), "cpu"), planes.CAMERA, "pad")
    for index in range(8):
        teacher.add(footage[1][0], index * 100_000_000)
    lesson = teacher.lesson()
    assert (lesson.segment == -1).all() and not len(lesson.pixels)


def test_the_command_writes_lessons_that_training_finds(planes, footage, tmp_path, capsys):
    images = tmp_path / "images"
    images.mkdir()
    for index, image in enumerate(footage[1]):
        cv2.imwrite(str(images / f"{index:06d}.png"), image)
    source = ["images", "--root", str(images), "--fov", "56", "--size", "160x128", "--grey"]
    assert prepare([*source, "--out", str(tmp_path / "data"), "--resize-mode", "pad"]) == 0
    save_model(tmp_path / "tiny.safetensors", planes.tiny_model(160, 128), {})
    arguments = ["--data", str(tmp_path / "data"), "--model", str(tmp_path / "tiny.safetensors")]
    assert main(arguments) == 0
    (scene,) = open_data(tmp_path / "data")
    assert scene.lesson is not None and (scene.lesson.segment >= 0).sum() >= 12
    assert scene.lesson.pixels[:, 1].min() > 4  # no corner on the black margin's edge
    assert read_lesson(tmp_path / "data" / scene.name, len(scene.frames)) is not None
    # It is not made twice, and a model of another size is refused.
    capsys.readouterr()
    assert main(arguments) == 0
    assert f"{FILE}: is there already" in capsys.readouterr().out
    save_model(tmp_path / "tiny.safetensors", planes.tiny_model(96, 64), {})
    assert main([*arguments, "--overwrite"]) == 2
    assert "expected data prepared with --size 96x64" in capsys.readouterr().err
