"""The command line without ROS, on images as KITTI lays them out."""

import signal
import subprocess
import sys
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from sfm_odometry.geometry.camera import Intrinsics
from sfm_odometry.inference.checkpoint import save_model
from sfm_odometry.inference.estimator import Estimator
from sfm_odometry.io.camera_options import SourceCamera
from sfm_odometry.io.image_source import ImageSource, SourceImage
from sfm_odometry.io.trajectories import read_poses
from sfm_odometry.networks.depth_net import DepthNetConfig
from sfm_odometry.networks.model import Model, ModelConfig
from sfm_odometry.networks.pose_net import PoseNetConfig
from sfm_odometry.odometry import MonocularOdometry
from sfm_odometry.run import DriveResult, Tracker, main

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


DAMAGES = {
    "truncated after 100 bytes": lambda path: corrupt(path),
    "empty file": lambda path: path.write_bytes(b""),
    "cannot be decoded": lambda path: path.write_bytes(b"no image at all"),
    "10x10 pixels, expected 192x96": lambda path: cv2.imwrite(
        str(path), np.zeros((10, 10), np.uint8)
    ),
}


@pytest.mark.parametrize("number", [0, 5])
@pytest.mark.parametrize("said", DAMAGES)
def test_a_damaged_image_is_left_out_and_told_or_ends_the_strict_run(drive, capsys, number, said):
    if number == 0 and "10x10" in said:
        pytest.skip("the first image gives the size")
    name = f"{number:06d}.png"
    DAMAGES[said](drive / "image_2" / name)
    assert run(drive) == 0
    output = capsys.readouterr()
    (line,) = output.err.splitlines()
    assert name in line and said in line and line.endswith("left out")
    assert output.out.splitlines()[-1] == (
        "7 of 8 frames have a pose of their own; the others repeat the pose before them; "
        "1 images left out"
    )
    poses = read_poses(drive / "poses.txt").poses
    assert len(poses) == 8
    assert poses[number] == pytest.approx(poses[max(number - 1, 0)])
    (drive / "poses.txt").unlink()
    assert run(drive, "--strict") == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and name in error and said in error
    assert not (drive / "poses.txt").exists()


def rows_of(path):
    return len(set(path.read_text().splitlines()))


@pytest.mark.parametrize(
    ("times", "reason"),
    [
        ([0, 1, 2, 3, 4, 5, 6, 7], "every step is a gap of 1.0 s"),
        ([0, 0.1, 0.2, 9, 9.1, 9.2, 18, 18.1], "2 steps are gaps of 8.8 s"),
        ([0, 1, 2, 3, 3.1, 3.2, 4.2, 5.2], "5 steps are gaps of 1.0 s"),
        ([0.1] * 8, "7 frames refused: equal stamp"),
    ],
)
def test_a_run_without_a_full_window_ends_with_3_and_the_reason(drive, capsys, times, reason):
    (drive / "times.txt").write_text("".join(f"{time}\n" for time in times))
    assert run(drive, "--times", drive / "times.txt") == 3
    output = capsys.readouterr()
    said = f"not tracked: no window of 5 frames was ever full: {reason}"
    assert output.err.splitlines()[-1].startswith(said)
    assert output.out.splitlines()[-1].startswith("0 of 8 frames have a pose of their own; ")
    assert rows_of(drive / "poses.txt") == 1


def test_a_run_of_which_less_than_half_was_tracked_ends_with_3(drive, capsys):
    times = [0, 0.1, 0.2, 0.3, 0.4, 2, 4, 6, 8, 10, 12]
    for index in range(8, 11):
        (drive / "image_2" / f"{index:06d}.png").write_bytes(
            (drive / "image_2" / "000000.png").read_bytes()
        )
    (drive / "times.txt").write_text("".join(f"{time}\n" for time in times))
    assert run(drive, "--times", drive / "times.txt") == 3
    output = capsys.readouterr()
    assert "not tracked: only 5 of 11 frames were tracked: 6 steps are gaps of 2.0 s" in output.err
    assert "5 of 11 frames have a pose of their own" in output.out


def test_a_run_that_lost_every_window_says_so(drive, capsys):
    """Steps of a microsecond: any motion is too fast to be one."""
    (drive / "times.txt").write_text("".join(f"{1e-6 * index:.7f}\n" for index in range(8)))
    assert run(drive, "--times", drive / "times.txt") == 3
    error = capsys.readouterr().err
    assert "not tracked: no window of 5 frames was ever tracked: lost " in error
    assert "is not plausible" in error.splitlines()[-1]


def test_more_damaged_images_than_whole_ones_end_with_3(drive, capsys):
    for index in (1, 3, 5, 6):
        corrupt(drive / "image_2" / f"{index:06d}.png")
    assert run(drive) == 3
    assert "ever full: 4 of 8 images cannot be used" in capsys.readouterr().err


def euroc_names(drive):
    """Renames the images to nanoseconds, 0.1 s apart; returns their names."""
    names = [f"{1403636579763555584 + 10**8 * index}.png" for index in range(8)]
    for index, name in enumerate(names):
        (drive / "image_2" / f"{index:06d}.png").rename(drive / "image_2" / name)
    return names


def test_names_and_times_in_nanoseconds_give_the_same_path(drive, capsys):
    run(drive)
    plain = read_poses(drive / "poses.txt").poses
    names = euroc_names(drive)
    (drive / "times.txt").write_text("".join(f"{name[:-4]}\n" for name in names))
    for more in ((), ("--times", drive / "times.txt")):
        assert run(drive, *more, "--format", "tum", out="named.tum") == 0
        named = read_poses(drive / "named.tum")
        assert named.poses == pytest.approx(plain, abs=1e-9)
        assert named.stamps_s[0] == pytest.approx(1403636579.763555584, abs=1e-6)


def test_a_folder_brings_its_calibration_or_a_field_of_view_is_guessed(drive, capsys):
    arguments = ["--model", drive / "model.safetensors", "--backend", "eager"]
    arguments += ["--images", drive / "image_2", "--out", drive / "own.txt"]
    run(drive)
    assert main([str(word) for word in arguments]) == 0
    assert "camera: " in capsys.readouterr().err
    assert (drive / "own.txt").read_text() == (drive / "poses.txt").read_text()
    assert main([str(word) for word in [*arguments, "--fov", 82.2]]) == 0
    assert "a guess by --fov 82.2" in capsys.readouterr().err
    (drive / "calib.txt").unlink()
    assert main([str(word) for word in arguments]) == 2
    assert "without a calibration, expected --calib FILE" in capsys.readouterr().err


def test_images_are_undistorted_by_the_calibration(drive, capsys):
    text = "resolution: [192, 96]\nintrinsics: [110, 110, 95.5, 47.5]\n"
    text += "distortion_model: radtan\ndistortion_coeffs: [{}, 0, 0, 0]\n"
    for name, k1 in (("flat", 0.0), ("bent", -0.3)):
        indented = text.format(k1).replace("\n", "\n  ")
        (drive / f"{name}.yaml").write_text(f"cam0:\n  {indented}\n")
    for calib, more, out in (
        ("flat.yaml", (), "flat.txt"),
        ("bent.yaml", ("--rectified",), "rectified.txt"),
        ("bent.yaml", (), "bent.txt"),
    ):
        assert run(drive, "--camera", 0, *more, calib=calib, out=out) == 0
    assert "images are undistorted by" in capsys.readouterr().err
    flat, rectified, bent = (
        (drive / f"{name}.txt").read_text() for name in ("flat", "rectified", "bent")
    )
    assert flat == rectified != bent


def test_ctrl_c_ends_a_live_camera_and_keeps_its_path(drive):
    """Seven frames, then the signal; images of a recording would end with it."""
    random = np.random.default_rng(0)

    def frames():
        for index in range(7):
            pixels = random.integers(0, 256, (96, 192, 3), np.uint8)
            yield SourceImage(f"frame {index}", f"{index:06d}", index * 10**8, pixels.copy)
        raise KeyboardInterrupt

    intrinsics = Intrinsics(110.0, 110.0, 95.5, 47.5, 192, 96)
    camera = SourceCamera(intrinsics, lambda image: image)
    estimator = Estimator.from_file(drive / "model.safetensors")
    live = ImageSource("camera 0", "live camera", None, frames)
    result = Tracker(MonocularOdometry(estimator), camera).track(live, live)
    assert (result.tracked, len(result.poses())) == (7, 7)
    recorded = ImageSource("drive", "video", 7, frames)
    with pytest.raises(KeyboardInterrupt):
        Tracker(MonocularOdometry(estimator), camera).track(recorded, recorded)


def test_a_stream_is_tracked_until_ctrl_c_and_its_path_is_written(drive, stream_server):
    """The real command on a real stream: the signal comes once depth of a seventh frame is
    written."""
    random = np.random.default_rng(0)
    images = [random.integers(0, 256, (96, 192, 3), np.uint8) for _ in range(20)]
    server = stream_server(images, repeats=True)
    command = [sys.executable, "-m", "sfm_odometry.run", "--images", server.address]
    command += ["--model", str(drive / "model.safetensors"), "--backend", "eager"]
    command += ["--out", str(drive / "live.tum"), "--format", "tum"]
    command += ["--depth-dir", str(drive / "depth")]
    running = subprocess.Popen(
        command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        while len(list((drive / "depth").glob("*.npy"))) < 7:
            assert running.poll() is None, running.communicate()
            time.sleep(0.05)
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=60)
    finally:
        running.kill()
    assert running.returncode == 0, err
    written = read_poses(drive / "live.tum")
    assert len(written.poses) >= 7
    assert (np.diff(written.stamps_s) > 0).all()
    assert "have a pose of their own" in out
    assert "camera: a guess, 65 degrees wide" in err
    assert f"camera {server.address}: gave " in err
    assert "Traceback" not in err


def test_a_run_is_recorded_for_rerun(drive):
    """Depth and mask are computed for it, without folders for them."""
    reader = pytest.importorskip("rerun.chunk", reason="rerun-sdk is not installed")
    assert run(drive, "--rerun", drive / "drive.rrd") == 0
    rows = Counter()
    for chunk in reader.RrdReader(drive / "drive.rrd").stream().to_chunks():
        rows[str(chunk.entity_path)] += chunk.num_rows
    assert rows["/world/base"] == rows["/depth"] == rows["/world/base/camera/points"] == 8
    assert rows["/mask"] == 4


def test_help_names_the_exit_codes(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "exit codes: 0 done; 2 bad input" in capsys.readouterr().out


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


def test_images_in_which_little_can_be_seen_are_said():
    result = DriveResult(stamps_ns=[1, 2, 3])
    result.add_image(np.tile(np.arange(64, dtype=np.uint8) * 4, (48, 1)))
    assert result.poor_said == ""
    result.add_image(np.tile(np.arange(64, dtype=np.uint8) % 3 + 40, (48, 1)))
    assert result.poor_said == "1 of 3 images show little, the last: 3 grey levels in the image"
