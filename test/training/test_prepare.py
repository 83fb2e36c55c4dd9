import json

import cv2
import numpy as np
import pytest

from sfm_odometry.errors import InputError
from training.data import SnippetSampler, open_data, split_scenes
from training.prepare import main


def write_drive(folder, count=8, size=(208, 64), rendered=True, numbers=None):
    """A small drive in KITTI odometry layout, frame index written in its grey value."""
    numbers = range(count) if numbers is None else numbers
    for name in ("image_2", "depth", "motion_mask") if rendered else ("image_2",):
        (folder / name).mkdir(parents=True)
    for index, number in enumerate(numbers):
        cv2.imwrite(str(folder / "image_2" / f"{number:06d}.png"), np.full((size[1], size[0], 3), 10 * index, np.uint8))
        if rendered:
            depth = np.full((size[1], size[0]), 256 * 5, np.uint16)
            depth[:4] = 0
            cv2.imwrite(str(folder / "depth" / f"{number:06d}.png"), depth)
            cv2.imwrite(str(folder / "motion_mask" / f"{number:06d}.png"), np.zeros((size[1], size[0]), np.uint8))
    row = "120 0 103.5 0 0 120 31.5 0 0 0 1 0"
    (folder / "calib.txt").write_text("".join(f"P{camera}: {row}\n" for camera in range(4)))
    (folder / "times.txt").write_text("".join(f"{index / 10}\n" for index in range(len(list(numbers)))))
    (folder / "poses.txt").write_text("".join(f"1 0 0 0 0 1 0 0 0 0 1 {index}\n" for index in range(len(list(numbers)))))


def prepare(root, out, *more):
    return main(["kitti-odometry", "--root", str(root), "--out", str(out), "--size", "104x32", "--workers", "1", *more])


def test_a_rendered_drive_keeps_its_truth(tmp_path):
    write_drive(tmp_path / "drives" / "a")
    assert prepare(tmp_path / "drives", tmp_path / "out") == 0
    (scene,) = open_data(tmp_path / "out")
    assert scene.frames.shape == (8, 32, 104, 3)
    assert scene.frames[:, 0, 0, 0].tolist() == [10 * index for index in range(8)]
    assert scene.depth[0, 5, 5] == 5.0
    assert np.isinf(scene.depth[0, 0, 0])
    assert scene.intrinsics == pytest.approx(np.array([[60, 0, 51.5], [0, 60, 15.5], [0, 0, 1]]))
    assert scene.poses[3, 2, 3] == 3.0
    assert scene.poses_supervise


def test_real_poses_never_supervise(tmp_path):
    write_drive(tmp_path / "drives" / "a", rendered=False)
    prepare(tmp_path / "drives", tmp_path / "out")
    (scene,) = open_data(tmp_path / "out")
    assert scene.poses is not None
    assert not scene.poses_supervise
    batch = SnippetSampler([[scene]], 5, 1, 2, seed=0).batch(0)
    assert not batch.has_motion.any()
    assert not batch.has_depth.any()


def test_a_range_of_frames_becomes_a_scene_of_its_own(tmp_path):
    write_drive(tmp_path / "sequences" / "03")
    assert prepare(tmp_path, tmp_path / "out", "--sequences", "03:0-4", "03:5-7") == 0
    scenes = open_data(tmp_path / "out")
    assert {scene.name: len(scene.frames) for scene in scenes} == {"03_000000-000004": 5, "03_000005-000007": 3}
    training, validation = split_scenes(scenes, ("03_000005-*",))
    assert [scene.name for scene in training] == ["03_000000-000004"]
    assert [scene.name for scene in validation] == ["03_000005-000007"]


def test_a_snippet_never_spans_missing_frames(tmp_path):
    write_drive(tmp_path / "a", numbers=[0, 1, 2, 3, 4, 5, 7, 8, 9, 10, 11])
    prepare(tmp_path / "a", tmp_path / "out")
    (scene,) = open_data(tmp_path / "out")
    assert scene.snippet_starts(5).tolist() == [0, 1, 6]
    assert scene.snippet_starts(3).tolist() == [0, 1, 2, 3, 6, 7, 8]


def test_poses_are_relative_to_the_target(tmp_path):
    write_drive(tmp_path / "a")
    prepare(tmp_path / "a", tmp_path / "out")
    batch = SnippetSampler([open_data(tmp_path / "out")], 5, 1, 3, seed=0).batch(0)
    assert batch.camera_from_frame[:, :, 2, 3].tolist() == [[-2.0, -1.0, 0.0, 1.0, 2.0]] * 3


def test_batches_depend_on_seed_and_step_alone(tmp_path):
    write_drive(tmp_path / "a")
    prepare(tmp_path / "a", tmp_path / "out")
    scenes = open_data(tmp_path / "out")
    first, again = (SnippetSampler([scenes], 5, 1, 4, seed=7) for _ in range(2))
    first.batch(0)
    assert first.batch(5).frames.equal(again.batch(5).frames)
    assert not first.batch(5).frames.equal(first.batch(6).frames)


def test_preparing_again_keeps_what_is_complete(tmp_path):
    write_drive(tmp_path / "a")
    prepare(tmp_path / "a", tmp_path / "out")
    written = (tmp_path / "out" / "a" / "frames.npy").stat().st_mtime_ns
    assert prepare(tmp_path / "a", tmp_path / "out") == 0
    assert (tmp_path / "out" / "a" / "frames.npy").stat().st_mtime_ns == written


def damage_image(folder):
    path = folder / "image_2" / "000003.png"
    path.write_bytes(path.read_bytes()[:40])


def remove_images(folder):
    for path in (folder / "image_2").iterdir():
        path.unlink()


def drop_poses(folder):
    (folder / "poses.txt").write_text("1 0 0 0 0 1 0 0 0 0 1 0\n")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (damage_image, "000003.png"),
        (remove_images, "image_2"),
        (lambda folder: (folder / "calib.txt").write_text("P9: 1\n"), "calib.txt"),
        (drop_poses, "poses.txt"),
    ],
)
def test_bad_data_is_one_line_that_names_the_file(tmp_path, capsys, damage, message):
    write_drive(tmp_path / "a")
    damage(tmp_path / "a")
    assert prepare(tmp_path / "a", tmp_path / "out") == 2
    error = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
    assert len(error) == 1
    assert message in error[0]


@pytest.mark.parametrize("more", [("--size", "big"), ("--sequences", "99")])
def test_bad_arguments_exit_with_two(tmp_path, more):
    write_drive(tmp_path / "drives" / "a")
    assert prepare(tmp_path / "drives", tmp_path / "out", *more) == 2


def test_a_missing_root_and_an_unwritable_output_exit_with_two(tmp_path, capsys):
    assert prepare(tmp_path / "nowhere", tmp_path / "out") == 2
    write_drive(tmp_path / "a")
    (tmp_path / "file").write_text("")
    assert prepare(tmp_path / "a", tmp_path / "file" / "out") == 2
    assert "file" in capsys.readouterr().err


def test_truncated_or_foreign_prepared_data_is_refused_by_name(tmp_path):
    write_drive(tmp_path / "a")
    prepare(tmp_path / "a", tmp_path / "out")
    frames = tmp_path / "out" / "a" / "frames.npy"
    frames.write_bytes(frames.read_bytes()[:-100])
    with pytest.raises(InputError, match=r"frames\.npy"):
        open_data(tmp_path / "out")
    (tmp_path / "out" / "index.json").write_text(json.dumps({"format": "other"}))
    with pytest.raises(InputError, match=r"index\.json"):
        open_data(tmp_path / "out")


def test_real_frames_of_the_three_layouts(kitti, tmp_path):
    assert (
        main(["kitti-raw", "--root", str(kitti / "raw"), "--out", str(tmp_path / "raw"), "--sequences", "2011_09_26_drive_9003_sync"]) == 0
    )
    scenes = open_data(tmp_path / "raw")
    assert [scene.name for scene in scenes] == ["2011_09_26_drive_9003_sync_02", "2011_09_26_drive_9003_sync_03"]
    assert scenes[0].frames.shape == (21, 128, 416, 3)
    assert prepare(kitti / "odometry", tmp_path / "odometry", "--sequences", "03:440-459", "--size", "416x128") == 0
    (scene,) = open_data(tmp_path / "odometry")
    assert scene.frames.shape == (20, 128, 416, 1)
    assert prepare(kitti / "prepared_416x128", tmp_path / "port", "--size", "416x128") == 0
    assert len(open_data(tmp_path / "port")) == 2
