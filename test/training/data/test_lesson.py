import numpy as np
import pytest

from sfm_odometry.errors import InputError
from training.data.lesson import Lesson, read_lesson


@pytest.fixture
def lesson():
    """Three frames of one segment and one without a pose, two points a frame."""
    return Lesson(
        segment=np.array([0, 0, 0, -1]),
        poses=np.tile(np.eye(4), (4, 1, 1)),
        covariance=np.tile(1e-6 * np.eye(6), (4, 1, 1)),
        first_point=np.array([0, 2, 4, 6, 6]),
        pixels=np.zeros((6, 2), np.float32),
        inverse_depth=np.full(6, 0.5, np.float32),
        sigma=np.array([0.0, 0.1, 0.0, 0.1, 0.0, 0.1], np.float32),
    )


def test_a_lesson_is_read_as_it_was_written(lesson, tmp_path):
    assert read_lesson(tmp_path, 4) is None
    lesson.save(tmp_path)
    read = read_lesson(tmp_path, 4)
    for name, value in vars(lesson).items():
        np.testing.assert_array_equal(getattr(read, name), value)


def test_points_weigh_by_their_sigma(lesson):
    np.testing.assert_allclose(lesson.points(1)[:, 3], [1.0, 0.5])
    assert not len(lesson.points(3))


def test_a_motion_weighs_by_the_shift_that_its_covariance_makes(lesson):
    frames = np.arange(3)
    # 100 pixels x sqrt(3 x 1e-6 x (1 + 0.5^2)): 0.19 pixels.
    assert lesson.weight(frames, 100.0) == pytest.approx(1 / (1 + 0.0375 / 0.25))
    assert lesson.weight(frames, 1000.0) < lesson.weight(frames, 100.0)
    assert lesson.weight(np.array([1, 2, 3]), 100.0) == 0.0


def test_wrong_files_are_refused(lesson, tmp_path):
    lesson.save(tmp_path)
    with pytest.raises(InputError, match="is of 4 frames, expected 5"):
        read_lesson(tmp_path, 5)
    (tmp_path / "lesson.npz").write_bytes(b"no archive")
    with pytest.raises(InputError, match=r"expected a file written by training\.teach"):
        read_lesson(tmp_path, 4)
