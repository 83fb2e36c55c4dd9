"""Rendered drives on disk and as trajectories: layout, determinism, car motion, errors."""

import copy
from pathlib import Path

import cv2
import numpy as np
import pytest

from training.synthetic.__main__ import main
from training.synthetic.drive import DriveSpec, camera0_from_camera
from training.synthetic.render import Renderer

FRAMES = 4
SMALL = ("--frames", str(FRAMES), "--size", "96x48", "--quiet")


@pytest.fixture(scope="module")
def drive(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("drive") / "seed7"
    assert main(["--out", str(out), "--seed", "7", *SMALL, "--workers", "1"]) == 0
    return out


def contents(folder: Path) -> dict[str, bytes]:
    """Content of all files by their path in the folder."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_layout_of_the_images(drive):
    names = [f"{number:06d}.png" for number in range(FRAMES)]
    for folder in ("image_2", "depth", "motion_mask"):
        assert sorted(path.name for path in (drive / folder).iterdir()) == names
    image = cv2.imread(str(drive / "image_2" / names[0]), cv2.IMREAD_UNCHANGED)
    depth = cv2.imread(str(drive / "depth" / names[0]), cv2.IMREAD_UNCHANGED)
    mask = cv2.imread(str(drive / "motion_mask" / names[0]), cv2.IMREAD_UNCHANGED)
    assert image.shape == (48, 96, 3) and image.dtype == np.uint8
    assert depth.shape == (48, 96) and depth.dtype == np.uint16
    assert mask.shape == (48, 96) and set(np.unique(mask)) <= {0, 255}
    assert 1 < np.median(depth[depth > 0]) / 256 < 100


def test_calibration_times_and_poses(drive):
    lines = (drive / "calib.txt").read_text().splitlines()
    assert [line.split(":")[0] for line in lines] == ["P0", "P1", "P2", "P3"]
    k = DriveSpec(FRAMES, 7, 96, 48).intrinsics()
    for line in lines:
        projection = np.array(line.split()[1:], dtype=float).reshape(3, 4)
        np.testing.assert_allclose(projection[:, :3], k.matrix())
        np.testing.assert_array_equal(projection[:, 3], 0)
    np.testing.assert_allclose(np.loadtxt(drive / "times.txt"), 0.1 * np.arange(FRAMES))
    poses = np.loadtxt(drive / "poses.txt").reshape(-1, 3, 4)
    assert len(poses) == FRAMES
    np.testing.assert_array_equal(poses[0], np.eye(4)[:3])


def test_workers_do_not_change_the_bytes_and_overwrite_keeps_other_files(drive, tmp_path):
    (tmp_path / "image_2").mkdir()
    (tmp_path / "image_2" / "000099.png").write_bytes(b"of an earlier drive")
    (tmp_path / "notes.txt").write_text("mine")
    assert (
        main(["--out", str(tmp_path), "--seed", "7", *SMALL, "--workers", "2", "--overwrite"]) == 0
    )
    assert (tmp_path / "notes.txt").read_text() == "mine"
    (tmp_path / "notes.txt").unlink()
    assert contents(tmp_path) == contents(drive)


def test_frames_depend_on_the_seed_and_not_on_earlier_frames(drive):
    spec = DriveSpec(30, 5, 96, 48)
    renderer = Renderer(spec.seed, spec.frames, spec.intrinsics())
    fresh = copy.deepcopy(renderer)  # before anything is rendered
    renderer.render(0)
    after_another = renderer.render(29)
    by_itself = fresh.render(29)
    np.testing.assert_array_equal(after_another.image, by_itself.image)
    np.testing.assert_array_equal(after_another.depth_m, by_itself.depth_m)
    np.testing.assert_array_equal(after_another.moving, by_itself.moving)
    other_street = cv2.imread(str(drive / "image_2" / "000000.png"))[..., ::-1]
    assert np.abs(fresh.render(0).image.astype(float) - other_street).mean() > 15


def test_other_seeds_give_other_routes():
    assert not np.allclose(
        camera0_from_camera(DriveSpec(FRAMES, 7)), camera0_from_camera(DriveSpec(FRAMES, 8))
    )


@pytest.mark.parametrize("seed", range(6))
def test_the_camera_moves_like_one_on_a_car(seed):
    poses = camera0_from_camera(DriveSpec(400, seed))
    np.testing.assert_array_equal(poses[0], np.eye(4))
    previous_from_current = np.linalg.inv(poses[:-1]) @ poses[1:]
    np.testing.assert_allclose(np.linalg.det(poses[:, :3, :3]), 1.0)
    step = previous_from_current[:, :3, 3]
    rotation = previous_from_current[:, :3, :3]
    yaw_deg = np.degrees(np.arctan2(rotation[:, 0, 2], rotation[:, 2, 2]))
    pitch_deg = np.degrees(-rotation[:, 1, 2])
    roll_deg = np.degrees(rotation[:, 1, 0])
    assert step[:, 2].min() > -0.01 and step[:, 2].max() < 1.8
    assert 0.3 < np.median(step[:, 2]) < 1.5
    assert np.abs(np.diff(step[:, 2])).max() < 0.4, (
        "no acceleration beyond 4 m/s in a second of frames, stops included"
    )
    assert np.abs(yaw_deg).max() < 5 and np.abs(yaw_deg).max() > 0.5
    assert np.abs(pitch_deg).max() < 1.5 and np.abs(roll_deg).max() < 1.5
    assert np.abs(step[:, 1]).max() < 0.12 and np.abs(step[:, 0]).max() < 0.25


def test_the_camera_swings_outwards_ahead_of_the_rear_axle():
    """Turning about the rear axle moves the camera sideways, into the turn, by its lever arm."""
    levers = []
    for seed in range(6):
        poses = camera0_from_camera(DriveSpec(400, seed))
        motion = np.linalg.inv(poses[:-1]) @ poses[1:]
        yaw_rad = np.arctan2(motion[:, 0, 2], motion[:, 2, 2])
        mount_rad = np.median(motion[:, 0, 3] / np.maximum(motion[:, 2, 3], 0.1))
        sideways = motion[:, 0, 3] - mount_rad * motion[:, 2, 3]
        levers.append((sideways * yaw_rad).sum() / (yaw_rad**2).sum())
    assert 1.0 < np.median(levers) < 1.8


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--frames", "0", "--seed", "1"), "--frames 0"),
        (("--frames", "3", "--seed", "-1"), "--seed -1"),
        (("--frames", "3", "--seed", "1", "--size", "416"), "--size 416"),
        (("--frames", "3", "--seed", "1", "--size", "8x8"), "--size 8x8"),
        (("--frames", "3", "--seed", "1", "--workers", "0"), "--workers 0"),
    ],
)
def test_bad_arguments_are_an_error_of_one_line(tmp_path, capsys, arguments, message):
    assert main(["--out", str(tmp_path / "out"), *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error and "expected" in error and error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_foreign_files_are_left_alone(tmp_path, capsys):
    (tmp_path / "thesis.tex").write_text("years of work")
    assert main(["--out", str(tmp_path), "--seed", "1", *SMALL]) == 2
    assert "thesis.tex" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_unwritable_output_is_an_error_of_one_line(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    for out in (tmp_path / "file", tmp_path / "file" / "below"):
        assert main(["--out", str(out), "--seed", "1", *SMALL]) == 2
        message = capsys.readouterr().err
        assert str(out) in message and "Traceback" not in message and message.count("\n") == 1
