"""Preparation of KITTI odometry, KITTI raw and rendered drives."""

import collections
import json
import shutil

import cv2
import numpy as np
import pytest

from sfm_odometry.errors import InputError
from sfm_odometry.geometry.camera import Intrinsics
from training.data.sampler import SnippetSampler, cameras_of, open_data, split_scenes
from training.prepare import main
from training.prepare.kitti_raw import EIGEN_TEST_DRIVES
from training.prepare.recording import SceneView, fingerprint_text
from training.prepare.static import mean_flows


def write_drive(folder, count=8, size=(208, 64), rendered=True, numbers=None):
    """Writes a small drive in KITTI odometry layout; a frame's grey value is 10 times its index."""
    # Images, depth and motion masks.
    numbers = range(count) if numbers is None else numbers
    for name in ("image_2", "depth", "motion_mask") if rendered else ("image_2",):
        (folder / name).mkdir(parents=True)
    for index, number in enumerate(numbers):
        cv2.imwrite(
            str(folder / "image_2" / f"{number:06d}.png"),
            np.full((size[1], size[0], 3), 10 * index, np.uint8),
        )
        if rendered:
            depth = np.full((size[1], size[0]), 256 * 5, np.uint16)
            depth[:4] = 0
            cv2.imwrite(str(folder / "depth" / f"{number:06d}.png"), depth)
            cv2.imwrite(
                str(folder / "motion_mask" / f"{number:06d}.png"),
                np.zeros((size[1], size[0]), np.uint8),
            )
    # Calibration, times and poses.
    row = "120 0 103.5 0 0 120 31.5 0 0 0 1 0"
    (folder / "calib.txt").write_text("".join(f"P{camera}: {row}\n" for camera in range(4)))
    (folder / "times.txt").write_text(
        "".join(f"{index / 10}\n" for index in range(len(list(numbers))))
    )
    (folder / "poses.txt").write_text(
        "".join(f"1 0 0 0 0 1 0 0 0 0 1 {index}\n" for index in range(len(list(numbers))))
    )


def moving_texture(steps, size=(208, 64), seed=0):
    """Images of a texture that moves by `steps` pixels from one to the next.

    Steps are rounded to eighths of a pixel.
    """
    width, height = size
    texture = np.random.default_rng(seed).integers(
        0, 256, (height, (width + 200) * 8 // 16), np.uint8
    )
    texture = cv2.resize(texture, ((width + 200) * 8, height), interpolation=cv2.INTER_CUBIC)
    offsets = np.concatenate([[0], np.cumsum(steps)])
    return [
        cv2.resize(
            texture[:, round(8 * x) : round(8 * x) + 8 * width], size, interpolation=cv2.INTER_AREA
        )
        for x in offsets
    ]


def write_raw(root, drives, count=6, cameras=(2, 3), images=None):
    """Writes drives, named as 2011_09_26_drive_0001_sync, in the layout of KITTI raw."""
    for drive in drives:
        folder = root / drive[:10]
        # Images of each camera.
        for camera in cameras:
            (folder / drive / f"image_{camera:02d}" / "data").mkdir(parents=True)
            for index in range(count):
                image = (
                    np.full((64, 208, 3), 10 * index, np.uint8) if images is None else images[index]
                )
                cv2.imwrite(
                    str(folder / drive / f"image_{camera:02d}" / "data" / f"{index:010d}.png"),
                    image,
                )
        # Calibration.
        lines = [
            f"S_rect_{c:02d}: 208 64\nP_rect_{c:02d}: {120 + c} 0 103.5 0 0 120 31.5 0 0 0 1 0\n"
            for c in range(4)
        ]
        (folder / "calib_cam_to_cam.txt").write_text(
            "calib_time: 09-Jan-2012 13:57:47\n" + "".join(lines)
        )


def prepare_raw(root, out, *more):
    """Exit code of a preparation of KITTI raw drives."""
    return main(["kitti-raw", "--root", str(root), "--out", str(out), "--size", "104x32", *more])


def prepare(root, out, *more):
    """Exit code of a preparation of KITTI odometry sequences."""
    command = ["kitti-odometry", "--root", str(root), "--out", str(out)]
    return main([*command, "--size", "104x32", "--workers", "1", *more])


def test_the_fingerprint_of_a_scene_does_not_depend_on_the_names_of_classes():
    view = SceneView("scene", "camera", (0, 1, 2, 3))
    text = "View(scene='scene', camera='camera', window=(0, 1, 2, 3))"
    assert fingerprint_text("View", view) == text
    intrinsics = Intrinsics(60.0, 61.0, 51.5, 15.5, 104, 32)
    assert fingerprint_text("Intrinsics", intrinsics) == repr(intrinsics)


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


def test_raw_drives_give_both_cameras_with_their_own_intrinsics(tmp_path):
    write_raw(tmp_path / "raw", ["2011_09_26_drive_0001_sync"])
    assert prepare_raw(tmp_path / "raw", tmp_path / "out") == 0
    left, right = open_data(tmp_path / "out")
    assert (left.name, right.name) == (
        "2011_09_26_drive_0001_sync_02",
        "2011_09_26_drive_0001_sync_03",
    )
    assert left.drive == right.drive == "2011_09_26_drive_0001_sync"
    assert (left.intrinsics[0, 0], right.intrinsics[0, 0]) == (61.0, 61.5)
    assert [camera.name for camera in cameras_of([left, right])] == [
        "2011_09_26/02",
        "2011_09_26/03",
    ]
    training, validation = split_scenes([left, right], ("*_02",))
    assert (training, validation) == ([], [left, right])


def test_drives_of_the_eigen_test_split_are_left_out_unless_requested(tmp_path, capsys):
    write_raw(
        tmp_path / "raw",
        ["2011_09_26_drive_0001_sync", "2011_09_26_drive_0002_sync", "2011_10_03_drive_0047_sync"],
        cameras=(2,),
    )
    assert prepare_raw(tmp_path / "raw", tmp_path / "out") == 0
    assert "2 drives of the Eigen test split are left out" in capsys.readouterr().out
    assert [scene.drive for scene in open_data(tmp_path / "out")] == ["2011_09_26_drive_0001_sync"]
    # An option or a name includes them.
    assert prepare_raw(tmp_path / "raw", tmp_path / "all", "--split", "all") == 0
    assert len(open_data(tmp_path / "all")) == 3
    assert (
        prepare_raw(
            tmp_path / "raw", tmp_path / "named", "--sequences", "2011_09_26_drive_0002_sync"
        )
        == 0
    )
    assert [scene.drive for scene in open_data(tmp_path / "named")] == [
        "2011_09_26_drive_0002_sync"
    ]
    # A folder with nothing else is an error.
    write_raw(tmp_path / "test", ["2011_09_26_drive_0002_sync"], cameras=(2,))
    assert prepare_raw(tmp_path / "test", tmp_path / "out") == 2
    assert "--split all" in capsys.readouterr().err


def test_the_eigen_split_is_the_published_one():
    assert len(EIGEN_TEST_DRIVES) == 28
    dates = collections.Counter(drive[:10] for drive in EIGEN_TEST_DRIVES)
    assert dates == {
        "2011_09_26": 21,
        "2011_09_28": 1,
        "2011_09_29": 1,
        "2011_09_30": 3,
        "2011_10_03": 2,
    }


def test_static_frames_are_found_by_their_flow(tmp_path):
    steps = [4.0, 4.0, 0.0, 0.0, 1.0, 4.0, 4.0, 0.0]  # half of it at the prepared size
    write_raw(
        tmp_path / "raw",
        ["2011_09_26_drive_0001_sync"],
        len(steps) + 1,
        (2,),
        moving_texture(steps),
    )
    # No three frames in a row move: there is nothing to learn from.
    assert prepare_raw(tmp_path / "raw", tmp_path / "out", "--static", "flow") == 3
    (scene,) = open_data(tmp_path / "out")
    assert np.flatnonzero(scene.static).tolist() == [2, 3, 4, 7, 8]
    assert prepare_raw(tmp_path / "raw", tmp_path / "keep", "--static", "keep") == 0
    assert not open_data(tmp_path / "keep")[0].static.any()


def test_flow_is_measured_in_pixels():
    frames = np.stack(moving_texture([0.0, 0.5, 2.0, 5.0]))[:, :, :, None]
    assert mean_flows(frames) == pytest.approx([0.0, 0.5, 2.0, 5.0], rel=0.15, abs=0.02)


def test_static_frames_can_be_listed_in_a_file(tmp_path, capsys):
    write_raw(tmp_path / "raw", ["2011_09_26_drive_0001_sync", "2011_09_26_drive_0005_sync"])
    static = tmp_path / "static_frames.txt"
    # Listed frames are static, for both cameras.
    static.write_text(
        "2011_09_26 2011_09_26_drive_0001_sync 0000000002\n\n"
        "2011_09_26 2011_09_26_drive_0009_sync 0000000001\n"
    )
    assert prepare_raw(tmp_path / "raw", tmp_path / "out", "--static", str(static)) == 0
    scenes = open_data(tmp_path / "out")
    assert [np.flatnonzero(scene.static).tolist() for scene in scenes] == [[2], [2], [], []]
    assert "2 of them static" in capsys.readouterr().out
    # A line of another form is an error that names it.
    static.write_text("2011_09_26_drive_0001_sync 12\n")
    assert prepare_raw(tmp_path / "raw", tmp_path / "out", "--static", str(static)) == 2
    assert "static_frames.txt, line 1" in capsys.readouterr().err


def test_scenes_of_the_port_have_a_drive_and_can_be_listed_in_a_file(tmp_path):
    # Three scenes of two drives, two of them listed.
    listed = ["2011_09_26_drive_0001_sync_02", "2011_09_26_drive_0001_sync_03"]
    for name in (*listed, "2011_09_26_drive_0005_sync_02"):
        scene = tmp_path / "port" / name
        scene.mkdir(parents=True)
        for index in range(3):
            cv2.imwrite(str(scene / f"{index:010d}.jpg"), np.full((32, 104, 3), 90, np.uint8))
        (scene / "cam.txt").write_text("60 0 51.5\n0 60 15.5\n0 0 1\n")
    (tmp_path / "train.txt").write_text("\n".join(listed) + "\n")
    sequences = f"@{tmp_path / 'train.txt'}"
    assert prepare(tmp_path / "port", tmp_path / "out", "--sequences", sequences) == 0
    # They are prepared, with their names split into drive and camera.
    scenes = open_data(tmp_path / "out")
    assert [(scene.drive, scene.camera.name) for scene in scenes] == [
        ("2011_09_26_drive_0001_sync", "2011_09_26/02"),
        ("2011_09_26_drive_0001_sync", "2011_09_26/03"),
    ]
    assert scenes[0].intrinsics == pytest.approx(
        np.array([[60, 0, 51.5], [0, 60, 15.5], [0, 0, 1]])
    )


def test_both_cameras_of_a_sequence_are_scenes_of_one_drive(tmp_path):
    write_drive(tmp_path / "sequences" / "03", rendered=False)
    (tmp_path / "sequences" / "03" / "image_3").symlink_to(
        tmp_path / "sequences" / "03" / "image_2"
    )
    assert prepare(tmp_path, tmp_path / "out", "--camera", "2", "3") == 0
    scenes = open_data(tmp_path / "out")
    assert [(scene.name, scene.drive, scene.camera.name) for scene in scenes] == [
        ("03_02", "03", "image_2"),
        ("03_03", "03", "image_3"),
    ]


def test_two_sources_of_one_name_are_refused(tmp_path, capsys):
    write_drive(tmp_path / "a" / "x")
    write_drive(tmp_path / "a_x")
    assert prepare(tmp_path, tmp_path / "out", "--sequences", "a/x", "a_x") == 2
    assert "'a_x'" in capsys.readouterr().err


def test_frames_are_stored_grey_on_request(tmp_path):
    write_drive(tmp_path / "a")
    prepare(tmp_path / "a", tmp_path / "out", "--grey")
    (scene,) = open_data(tmp_path / "out")
    assert scene.frames.shape == (8, 32, 104, 1)
    assert scene.frames[:, 0, 0, 0].tolist() == [10 * index for index in range(8)]


def test_a_range_of_frames_becomes_a_scene_of_its_own(tmp_path):
    write_drive(tmp_path / "sequences" / "03")
    assert prepare(tmp_path, tmp_path / "out", "--sequences", "03:0-4", "03:5-7") == 0
    scenes = open_data(tmp_path / "out")
    assert {scene.name: len(scene.frames) for scene in scenes} == {
        "03_000000-000004": 5,
        "03_000005-000007": 3,
    }
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


def test_preparing_again_keeps_complete_scenes(tmp_path):
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
def test_bad_data_is_an_error_of_one_line_that_names_the_file(tmp_path, capsys, damage, message):
    write_drive(tmp_path / "a")
    damage(tmp_path / "a")
    assert prepare(tmp_path / "a", tmp_path / "out", "--strict") == 2
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
    # KITTI raw.
    drive = "2011_09_26_drive_9003_sync"
    command = ["kitti-raw", "--root", str(kitti / "raw"), "--out", str(tmp_path / "raw")]
    assert main([*command, "--sequences", drive]) == 0
    scenes = open_data(tmp_path / "raw")
    assert [scene.name for scene in scenes] == [f"{drive}_02", f"{drive}_03"]
    assert scenes[0].frames.shape == (21, 128, 416, 3)
    # KITTI odometry.
    size = ("--size", "416x128")
    sequence = ("--sequences", "03:440-459")
    assert prepare(kitti / "odometry", tmp_path / "odometry", *sequence, *size) == 0
    (scene,) = open_data(tmp_path / "odometry")
    assert scene.frames.shape == (20, 128, 416, 1)
    # SfMLearner's port.
    assert prepare(kitti / "prepared_416x128", tmp_path / "port", *size) == 0
    names = {path.name for path in (kitti / "prepared_416x128").iterdir() if path.is_dir()}
    assert {scene.name for scene in open_data(tmp_path / "port")} == names


def test_a_damaged_image_is_left_out_with_its_pose_and_depth(tmp_path, capsys):
    write_drive(tmp_path / "a", count=20)
    for number in (0, 9, 19):
        path = tmp_path / "a" / "image_2" / f"{number:06d}.png"
        path.write_bytes(path.read_bytes()[:40])
    (tmp_path / "a" / "depth" / "000012.png").write_bytes(b"no image")
    assert prepare(tmp_path / "a", tmp_path / "out") == 0
    printed = capsys.readouterr()
    assert printed.err.count("; left out") == 4
    assert "16 frames of 104x32; 10 snippets of 3 frames, 6 snippets of 5 frames; lost: " in (
        printed.out
    )
    assert "4 frames whose image is damaged, snippets over 2 gaps" in printed.out
    (scene,) = open_data(tmp_path / "out")
    kept = [*range(1, 9), 10, 11, *range(13, 19)]
    assert scene.frame_numbers.tolist() == kept
    assert scene.frames[:, 5, 5, 0].tolist() == [10 * number for number in kept]
    assert scene.poses[:, 2, 3].tolist() == kept
    assert len(scene.depth) == len(scene.motion_mask) == 16
    # Preparing again keeps the scene and says the same.
    assert prepare(tmp_path / "a", tmp_path / "out") == 0
    assert "4 frames whose image is damaged" in capsys.readouterr().out


def test_images_of_another_size_are_left_out_unless_they_are_most(tmp_path, capsys):
    write_drive(tmp_path / "a", rendered=False)
    cv2.imwrite(str(tmp_path / "a/image_2/000004.png"), np.zeros((10, 20, 3), np.uint8))
    assert prepare(tmp_path / "a", tmp_path / "out") == 0
    assert "20x10 pixels, expected 208x64" in capsys.readouterr().err
    for number in (1, 2, 3, 5):
        cv2.imwrite(str(tmp_path / f"a/image_2/{number:06d}.png"), np.zeros((9, 20, 3), np.uint8))
    assert prepare(tmp_path / "a", tmp_path / "out") == 2
    assert "5 of 8 frames cannot be used" in capsys.readouterr().err


def test_a_preparation_without_snippets_says_so_and_ends_with_three(tmp_path, capsys):
    for name, numbers, message in (
        ("short", [0, 1], "the longest scene has 2 frames, expected 3 or more"),
        ("gaps", [0, 1, 5, 6, 20, 21], "there is a gap after every frame"),
    ):
        write_drive(tmp_path / name, rendered=False, numbers=numbers)
        assert prepare(tmp_path / name, tmp_path / "out") == 3
        printed = capsys.readouterr()
        assert "0 snippets of 3 frames, 0 snippets of 5 frames" in printed.out
        assert f"nothing to learn from, {message}" in printed.err
    write_drive(tmp_path / "four", count=4)
    assert prepare(tmp_path / "four", tmp_path / "out") == 0
    assert "no snippet of 5" in capsys.readouterr().out


def test_another_calibration_and_its_distortion_are_applied(tmp_path, capsys):
    write_drive(tmp_path / "a", rendered=False)
    camera = tmp_path / "camchain.yaml"
    camera.write_text(
        "cam0:\n  camera_model: pinhole\n  intrinsics: [130.0, 131.0, 103.5, 31.5]\n"
        "  distortion_model: radtan\n  distortion_coeffs: [0.5, 0.1, 0.0, 0.0]\n"
        "  resolution: [208, 64]\n"
    )
    plain = tmp_path / "plain"
    assert prepare(tmp_path / "a", plain, "--calib", str(camera), "--rectified") == 0
    assert prepare(tmp_path / "a", tmp_path / "out", "--calib", str(camera)) == 0
    rectified, raw = open_data(tmp_path / "out")[0], open_data(plain)[0]
    assert rectified.intrinsics[0, 0] == pytest.approx(65.0)
    assert (rectified.frames != raw.frames).any()
    assert prepare(tmp_path / "a", tmp_path / "guess", "--fov", "80") == 0
    assert not open_data(tmp_path / "guess")[0].camera.known
    # Depth maps have no distortion to be removed.
    write_drive(tmp_path / "rendered")
    assert prepare(tmp_path / "rendered", tmp_path / "out", "--calib", str(camera)) == 2
    assert "has distortion, but rendered has depth maps" in capsys.readouterr().err


def test_a_given_camera_needs_no_calibration_in_the_folder(tmp_path):
    write_drive(tmp_path / "drives" / "a", rendered=False)
    (tmp_path / "drives/a/calib.txt").unlink()
    assert prepare(tmp_path / "drives", tmp_path / "out") == 2
    camera = tmp_path / "cam.txt"
    camera.write_text("130 0 103.5\n0 130 31.5\n0 0 1\n")
    assert prepare(tmp_path / "drives", tmp_path / "out", "--calib", str(camera)) == 0
    assert open_data(tmp_path / "out")[0].intrinsics[0, 0] == pytest.approx(65.0)
    plain = tmp_path / "plain" / "images"
    shutil.copytree(tmp_path / "drives/a/image_2", plain)
    assert prepare(plain, tmp_path / "out2", "--calib", str(camera)) == 0
    write_raw(tmp_path / "raw", ["2011_09_26_drive_0001_sync"], cameras=(2,))
    (tmp_path / "raw/2011_09_26/calib_cam_to_cam.txt").unlink()
    assert prepare_raw(tmp_path / "raw", tmp_path / "out3", "--calib", str(camera)) == 0
    assert open_data(tmp_path / "out3")[0].intrinsics[0, 0] == pytest.approx(65.0)


def write_deep(folder, values):
    """Writes frames of 16 bits, each of one of the values and half of it, side by side."""
    write_drive(folder, count=len(values), rendered=False)
    for index, value in enumerate(values):
        image = np.full((64, 208), value, np.uint16)
        image[:, :104] //= 2
        cv2.imwrite(str(folder / "image_2" / f"{index:06d}.png"), image)


def test_the_bits_of_deep_images_can_be_given_and_their_range_is_held(tmp_path):
    write_deep(tmp_path / "a", [4000, 3600, 3200, 3600])
    assert prepare(tmp_path / "a", tmp_path / "out", "--bit-depth", "12") == 0
    frames = open_data(tmp_path / "out")[0].frames[:, 16, 80, 0].astype(int)
    assert frames.tolist() == [round(v * 255 / 4095) for v in (4000, 3600, 3200, 3600)]
    # auto: brightness that falls is seen to fall, and scenes of other options are made anew.
    assert prepare(tmp_path / "a", tmp_path / "out") == 0
    frames = open_data(tmp_path / "out")[0].frames[:, 16, 80, 0].astype(int)
    assert (np.diff(frames) != 0).all() and frames[0] > frames[1] > frames[2] < frames[3]


def test_what_a_file_of_poses_lacks_is_noted(tmp_path, capsys):
    write_drive(tmp_path / "a", rendered=False)
    poses = tmp_path / "a/poses.txt"
    rows = [f"{number} {row}" for number, row in enumerate(poses.read_text().splitlines())]
    poses.write_text("\n".join([*rows, rows[3]]) + "\n")
    assert prepare(tmp_path / "a", tmp_path / "out") == 0
    assert "poses.txt: 1 of 9 rows repeats an earlier row's" in capsys.readouterr().err
