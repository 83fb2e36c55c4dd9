"""Packing and unpacking of prepared data; only the images change, by JPEG's losses."""

import json
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from training.data.lesson import Lesson, read_lesson
from training.data.sampler import SnippetSampler, open_data
from training.prepare import main


def write_data(
    folder: Path, name: str, channels: int = 3, poses: bool = True, count: int = 7
) -> Path:
    """Writes one scene of moving texture, with a missing frame number and one static frame."""
    # Arrays.
    noise = np.random.default_rng(channels).integers(0, 256, (3, 9, channels), np.uint8)
    wide = cv2.resize(noise, (128, 32), interpolation=cv2.INTER_CUBIC).reshape(32, 128, channels)
    scene = folder / name
    scene.mkdir(parents=True)
    np.save(
        scene / "frames.npy",
        np.stack([wide[:, 3 * index : 3 * index + 64] for index in range(count)]),
    )
    if poses:
        np.save(scene / "poses.npy", np.random.default_rng(0).normal(size=(count, 4, 4)))
    np.save(scene / "depth.npy", np.ones((count, 32, 64), np.float16))
    np.save(scene / "motion_mask.npy", np.zeros((count, 32, 64), np.uint8))
    # Description, and the index of the data set.
    description = {
        "drive": "a drive",
        "camera_name": "a camera",
        "intrinsics": [[40.1234567890123, 0.0, 31.5], [0.0, 40.0, 15.5], [0.0, 0.0, 1.0]],
        "intrinsics_known": False,
        "width": 64,
        "height": 32,
        "channels": channels,
        "frame_numbers": [*range(3), *range(4, count + 1)],
        "static": [1],
        "has_depth": True,
        "has_motion_mask": True,
        "has_poses": poses,
        "poses_supervise": poses,
        "resize_mode": "stretch",
        "made_from": "elsewhere",
    }
    (scene / "scene.json").write_text(json.dumps(description))
    (folder / "index.json").write_text(
        json.dumps({"format": "sfm_odometry prepared data", "version": 1, "scenes": [name]})
    )
    return folder


def pack(tmp_path: Path, *data: Path, quality: int = 95) -> Path:
    """Packs data sets and returns the file."""
    out = tmp_path / "packed.zip"
    assert (
        main(["pack", "--data", *map(str, data), "--out", str(out), "--quality", str(quality)]) == 0
    )
    return out


def unpack(file: Path, out: Path) -> int:
    """Exit code of unpacking a file."""
    return main(["unpack", "--file", str(file), "--out", str(out)])


def test_unpacked_data_equals_the_original_but_for_jpeg_and_truth(tmp_path, capsys):
    # Pack and unpack two data sets.
    before = (
        write_data(tmp_path / "colour", "colour"),
        write_data(tmp_path / "grey", "grey", channels=1, poses=False),
    )
    file = pack(tmp_path, *before)
    assert "2 scenes, 14 frames" in capsys.readouterr().out
    assert unpack(file, tmp_path / "after") == 0
    # Compare their scenes.
    scenes = [scene for folder in before for scene in open_data(folder)]
    for scene, unpacked in zip(scenes, open_data(tmp_path / "after"), strict=True):
        for name in ("name", "drive", "poses_supervise", "resize_mode"):
            assert getattr(scene, name) == getattr(unpacked, name)
        assert unpacked.camera.name == "a camera" and not unpacked.camera.known
        assert np.array_equal(scene.intrinsics, unpacked.intrinsics)
        assert np.array_equal(scene.frame_numbers, unpacked.frame_numbers) and np.array_equal(
            scene.static, unpacked.static
        )
        assert unpacked.depth is None and unpacked.motion_mask is None
        assert (scene.poses is None) == (unpacked.poses is None)
        assert scene.poses is None or np.array_equal(scene.poses, unpacked.poses)
        difference = np.abs(scene.frames.astype(int) - unpacked.frames)
        assert difference.mean() < 3, "the channels keep their order, up to JPEG's losses"
        assert np.array_equal(scene.snippet_starts(3), unpacked.snippet_starts(3))


def test_batches_are_sampled_from_unpacked_data(tmp_path):
    file = pack(tmp_path, write_data(tmp_path / "data", "a"))
    assert unpack(file, tmp_path / "after") == 0
    batch = SnippetSampler([open_data(tmp_path / "after")], 2, 3, 4, seed=0).batch(0)
    assert batch.frames.shape == (4, 2, 3, 32, 64)


def test_a_lesson_travels_and_a_new_one_replaces_it(tmp_path):
    data = write_data(tmp_path / "data", "a")
    for value in (1.0, 2.0):
        lesson = Lesson(
            segment=np.zeros(7, int),
            poses=np.tile(np.eye(4), (7, 1, 1)),
            covariance=np.full((7, 6, 6), value),
            first_point=np.zeros(8, int),
            pixels=np.zeros((0, 2), np.float32),
            inverse_depth=np.zeros(0, np.float32),
            sigma=np.zeros(0, np.float32),
        )
        lesson.save(data / "a")
        assert unpack(pack(tmp_path, data), tmp_path / "after") == 0
        unpacked = read_lesson(tmp_path / "after" / "a", 7)
        assert np.array_equal(unpacked.covariance, lesson.covariance)


def test_quality_decides_the_size(tmp_path):
    data = write_data(tmp_path / "data", "a")
    large = pack(tmp_path, data, quality=98).stat().st_size
    assert pack(tmp_path, data, quality=30).stat().st_size < 0.7 * large


def test_unpacking_again_keeps_complete_scenes(tmp_path):
    file = pack(tmp_path, write_data(tmp_path / "data", "a"))
    assert unpack(file, tmp_path / "after") == 0
    stamp_ns = (tmp_path / "after" / "a" / "frames.npy").stat().st_mtime_ns
    assert unpack(file, tmp_path / "after") == 0
    assert (tmp_path / "after" / "a" / "frames.npy").stat().st_mtime_ns == stamp_ns


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-2000])


def foreign(path: Path) -> None:
    path.write_bytes(b"not a zip file")


def escaping(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(
            "pack.json",
            json.dumps(
                {"format": "sfm_odometry packed data", "version": 1, "scenes": ["../outside"]}
            ),
        )


def other_version(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(
            "pack.json",
            json.dumps({"format": "sfm_odometry packed data", "version": 99, "scenes": []}),
        )


def image_missing(path: Path) -> None:
    with zipfile.ZipFile(path) as file:
        content = {
            name: file.read(name) for name in file.namelist() if not name.endswith("000003.jpg")
        }
    with zipfile.ZipFile(path, "w") as file:
        for name, data in content.items():
            file.writestr(name, data)


@pytest.mark.parametrize(
    "damage", [Path.unlink, truncated, foreign, escaping, other_version, image_missing]
)
def test_a_damaged_file_is_an_error_of_one_line_that_names_it(tmp_path, capsys, damage):
    file = pack(tmp_path, write_data(tmp_path / "data", "a"))
    damage(file)
    capsys.readouterr()
    assert unpack(file, tmp_path / "after") == 2
    error = capsys.readouterr().err
    assert "packed.zip" in error and "training.prepare pack" in error and error.count("\n") == 1
    assert not (tmp_path / "outside").exists()


def test_scenes_of_one_name_are_refused(tmp_path, capsys):
    data = [str(write_data(tmp_path / name, "same")) for name in ("one", "two")]
    assert main(["pack", "--data", *data, "--out", str(tmp_path / "out.zip")]) == 2
    assert "scene 'same' is in several" in capsys.readouterr().err
