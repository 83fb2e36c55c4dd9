import numpy as np
import pytest
import torch

from sfm_odometry.errors import InputError
from sfm_odometry.geometry.camera import Intrinsics
from training.adapt.snippets import PARALLAX_RAD, SnippetPool, best_gap
from training.data.lesson import Lesson
from training.teach.footage import Footage, wanted_frames


def footage(planes, count=60, step=(0.05, 0.0, 0.0), turn_rad=0.0):
    """Footage whose lesson is exact: points 4 away, poses of a steady camera."""
    poses = planes.poses(count, step, turn_rad)
    points = 20
    lesson = Lesson(
        segment=np.zeros(count, int),
        poses=poses,
        covariance=np.tile(1e-8 * np.eye(6), (count, 1, 1)),
        first_point=np.arange(count + 1) * points,
        pixels=np.full((count * points, 2), 30.0, np.float32),
        inverse_depth=np.full(count * points, 0.25, np.float32),
        sigma=np.full(count * points, 0.01, np.float32),
    )
    frames = np.zeros((count, 32, 64, 1), np.uint8)
    frames += np.arange(count, dtype=np.uint8)[:, None, None, None]
    return Footage(
        frames=frames,
        stamps_ns=np.arange(count),
        intrinsics=Intrinsics(40.0, 40.0, 31.5, 15.5, 64, 32),
        window=np.array([0, 0, 63, 31], np.float32),
        resize_mode="crop",
        lesson=lesson,
    )


@pytest.mark.parametrize("speed", [0.004, 0.02, 0.3])
def test_gaps_give_the_same_parallax_at_any_speed(planes, speed):
    scene = footage(planes, 120, (speed, 0.0, 0.0))
    gap = best_gap(scene, 60, 3)
    parallax = gap * speed * 0.25
    one_frame = speed * 0.25
    assert PARALLAX_RAD - 1e-9 < parallax < PARALLAX_RAD + one_frame + 1e-9


def test_a_camera_that_only_turns_is_refused_with_the_reason(planes):
    with pytest.raises(InputError, match="the camera stands or only turns"):
        SnippetPool(footage(planes, 60, (0.0, 0.0, 0.0), 0.01), 3)


def test_too_few_frames_are_refused_with_their_number(planes):
    with pytest.raises(InputError, match=r"^12 frames; expected at least 20"):
        SnippetPool(footage(planes, 12), 3)


def test_frames_without_poses_are_refused(planes):
    scene = footage(planes)
    scene.lesson.segment[:] = -1
    with pytest.raises(InputError, match="only 0 of 60 frames could be followed"):
        SnippetPool(scene, 3)


def test_no_held_out_frame_is_learned_from(planes):
    pool = SnippetPool(footage(planes, 100), 3)
    random = np.random.default_rng(0)
    drawn = np.unique(pool.draw(200, random).frames.numpy())
    held_out = np.unique(torch.cat([b.frames[:, 1] for b in pool.held_out_batches(9, 4)]).numpy())
    assert len(held_out) == 9 and len(drawn) > 60
    assert not set(drawn) & set(held_out)


def test_batches_have_the_motions_between_their_own_frames(planes):
    scene = footage(planes, 100)
    batch = SnippetPool(scene, 3).draw(8, np.random.default_rng(1))
    numbers = batch.frames[:, :, 0, 0, 0].long()
    for poses, frames in zip(batch.taught_poses, numbers, strict=True):
        shift = 0.05 * (frames - frames[1])
        torch.testing.assert_close(poses[:, 0, 3], shift.float(), atol=1e-5, rtol=0)
    assert (batch.taught_weight > 0.5).all()
    assert len(np.unique(numbers[:, 2] - numbers[:, 1])) > 1  # several gaps


def test_long_recordings_are_read_in_stretches(planes):
    np.testing.assert_array_equal(wanted_frames(range(5, 25), 100), np.arange(5, 25))
    wanted = wanted_frames(range(10_000), 1000)
    assert len(wanted) == 1000 and wanted[0] == 0 and wanted[-1] == 9999
    assert (np.diff(wanted) > 1).sum() == 4
