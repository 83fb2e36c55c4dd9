"""The command line without ROS, on images as KITTI lays them out."""

import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from sfm_odometry.inference.checkpoint import save_model
from sfm_odometry.io.trajectories import read_poses
from sfm_odometry.networks.depth_net import DepthNetConfig
from sfm_odometry.networks.model import Model, ModelConfig
from sfm_odometry.networks.pose_net import PoseNetConfig
from sfm_odometry.run import main

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def drive(tmp_path):
    """Eight noise images of camera 2, its calibration and times, and a small model with random
    weights."""
    (tmp_path / "image_2").mkdir()
    random = np.random.default_rng(0)
    for index in range(8):
        cv2.imwrite(
            str(tmp_path / "image_2" / f"{index:06d}.png"),
            random.integers(0, 256, (96, 192, 3), np.uint8),
        )
    (tmp_path / "calib.txt").write_text("P2: 110 0 95.5 0 0 110 47.5 0 0 0 1 0\n")
    (tmp_path / "times.txt").write_text("".join(f"{index * 0.1:.3f}\n" for index in range(8)))
    torch.manual_seed(0)
    depth = DepthNetConfig(1, (4, 8), (3, 3), (8, 4), scales=2)
    pose = PoseNetConfig(
        1,
        5,
        (4, 8, 8, 8, 8),
        pose_widths=(8,),
        mask_widths=(8, 8, 8, 4, 4),
        mask_kernels=(3, 3, 3, 3, 3),
    )
    save_model(
        tmp_path / "model.safetensors", Model(ModelConfig(64, 32, depth=depth, pose=pose)), {}
    )
    return tmp_path


def run(drive, *more, **replaced):
    options = {
        "images": "image_2",
        "calib": "calib.txt",
        "model": "model.safetensors",
        "out": "poses.txt",
    } | replaced
    files = [part for name, value in options.items() for part in (f"--{name}", str(drive / value))]
    return main([*files, "--backend", "eager", *map(str, more)])


def test_one_pose_a_frame_the_first_the_identity(drive):
    assert run(drive) == 0
    poses = read_poses(drive / "poses.txt").poses
    assert poses.shape == (8, 4, 4)
    assert poses[0] == pytest.approx(np.eye(4))
    assert all(
        np.linalg.norm(after[:3, 3] - before[:3, 3]) > 0 for before, after in pairwise(poses)
    )


def test_tum_rows_carry_the_times(drive):
    assert run(drive, "--format", "tum", "--times", drive / "times.txt", out="poses.tum") == 0
    file = read_poses(drive / "poses.tum")
    assert file.stamps_s == pytest.approx(np.arange(8) * 0.1)
    run(drive)
    assert file.poses == pytest.approx(read_poses(drive / "poses.txt").poses, abs=1e-6)


def test_depth_and_masks_carry_the_images_names(drive):
    assert run(drive, "--depth-dir", drive / "depth", "--masks-dir", drive / "masks") == 0
    assert sorted(path.name for path in (drive / "depth").iterdir()) == [
        f"{index:06d}.npy" for index in range(8)
    ]
    assert sorted(path.name for path in (drive / "masks").iterdir()) == [
        f"{index:06d}.npy" for index in range(2, 6)
    ]
    depth, mask = np.load(drive / "depth" / "000004.npy"), np.load(drive / "masks" / "000004.npy")
    assert depth.shape == mask.shape == (32, 64)
    assert depth.dtype == mask.dtype == np.float32
    assert ((mask >= 0) & (mask <= 1)).all()


def test_a_scale_factor_scales_the_path(drive):
    run(drive)
    run(drive, "--scale", "2.5", out="scaled.txt")
    plain, scaled = (
        read_poses(drive / name).poses[:, :3, 3] for name in ("poses.txt", "scaled.txt")
    )
    assert scaled == pytest.approx(plain * 2.5, rel=1e-4)


def test_speeds_scale_the_path(drive, capsys):
    """Fewer steps than make a scale metric, and the line at the end says so; the path is scaled
    all the same."""
    run(drive)
    plain = read_poses(drive / "poses.txt").poses[:, :3, 3]
    lengths = np.linalg.norm(np.diff(plain, axis=0), axis=1)
    factor = 2.0 / np.median(lengths)
    rows = [
        (0.1 * index + part, factor * length / 0.1)
        for index, length in enumerate(lengths)
        for part in (0.001, 0.05, 0.099)
    ]
    (drive / "speeds.txt").write_text("".join(f"{time:.4f} {speed:.9f}\n" for time, speed in rows))
    assert run(drive, "--speeds", drive / "speeds.txt", out="scaled.txt") == 0
    scaled = read_poses(drive / "scaled.txt").poses[:, :3, 3]
    assert np.diff(scaled, axis=0)[-1] == pytest.approx(
        np.diff(plain, axis=0)[-1] * factor, rel=0.05
    )
    assert "metric at 0 of 8 frames, not metric at the end:" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["--scale", "2", "--camera-height", "1.65"],
            "--scale and --camera-height exclude each other",
        ),
        (["--camera-height", "-1"], "scale_camera_height must be zero or positive, got -1"),
        (["--speeds", "nowhere.txt"], "nowhere.txt: no such file"),
    ],
)
def test_scale_options_that_cannot_be_used_are_one_line(drive, capsys, words, said):
    assert run(drive, *words) == 2
    assert said in capsys.readouterr().err


def corrupt(path):
    path.write_bytes(path.read_bytes()[:100])


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (lambda d: [path.unlink() for path in (d / "image_2").iterdir()], "image_2"),
        (lambda d: (d / "image_2").rename(d / "elsewhere"), "image_2"),
        (lambda d: corrupt(d / "image_2" / "000005.png"), "000005.png"),
        (
            lambda d: cv2.imwrite(str(d / "image_2" / "000005.png"), np.zeros((10, 10), np.uint8)),
            "000005.png",
        ),
        (lambda d: (d / "calib.txt").write_text("P0: 1 0 0 0 0 1 0 0 0 0 1 0\n"), "calib.txt"),
        (lambda d: (d / "calib.txt").unlink(), "calib.txt"),
        (lambda d: corrupt(d / "model.safetensors"), "model.safetensors"),
        (lambda d: (d / "model.safetensors").write_bytes(b"\x80\x04\x95"), "model.safetensors"),
        (
            lambda d: [(d / "image_2" / f"{index:06d}.png").unlink() for index in range(4)],
            "4 images, expected at least the 5",
        ),
        (lambda d: (d / "poses.txt").mkdir(), "poses.txt"),
    ],
)
def test_bad_input_is_one_line_that_names_the_file(drive, capsys, damage, named):
    damage(drive)
    assert run(drive) == 2
    error = capsys.readouterr().err.strip()
    assert error.startswith("error: ")
    assert "\n" not in error
    assert named in error


def test_times_of_another_length_name_both_counts(drive, capsys):
    (drive / "times.txt").write_text("0.0\n0.1\n")
    assert run(drive, "--times", drive / "times.txt") == 2
    assert "2 times for 8 images" in capsys.readouterr().err


def test_the_command_itself_exits_with_two_and_no_traceback(drive):
    command = [
        sys.executable,
        "-m",
        "sfm_odometry.run",
        "--images",
        drive / "nowhere",
        "--calib",
        drive / "calib.txt",
        "--out",
        drive / "o.txt",
    ]
    finished = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert finished.returncode == 2
    assert "Traceback" not in finished.stderr
    assert finished.stderr.count("\n") == 1


def test_the_packaged_model_tracks_real_frames(kitti, tmp_path):
    """The first 30 frames of sequence 00: about 24 m nearly straight ahead."""
    sequence = kitti / "odometry" / "sequences" / "00"
    frames = tmp_path / "image_0"
    frames.mkdir()
    for path in sorted((sequence / "image_0").iterdir())[:30]:
        (frames / path.name).symlink_to(path.resolve())
    assert (
        main(
            [
                "--images",
                str(frames),
                "--calib",
                str(sequence / "calib.txt"),
                "--out",
                str(tmp_path / "poses.txt"),
            ]
        )
        == 0
    )
    estimated = read_poses(tmp_path / "poses.txt").poses
    true = read_poses(kitti / "odometry" / "poses" / "00.txt").poses[:30]
    direction = estimated[-1, :3, 3] / np.linalg.norm(estimated[-1, :3, 3])
    assert direction @ (true[-1, :3, 3] / np.linalg.norm(true[-1, :3, 3])) > 0.98
